"""A corpus built over a faulty server, compared with the one built without faults."""

import json
import shutil
import urllib.request
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import landmark
from landmark.corpus.lock import Lock
from landmark.write.staging import Staging
from tests.faults.commands import Commands, Result
from tests.faults.planet import CELLS
from tests.faults.schedules import Schedule
from tests.faults.server import Fault

# A build takes a second, and up to half a minute over silent servers; a busy machine ten times as long.
BOUND_S = 300.0
# Columns that a file's later version changes, beside the pixels.
_OF_PIXELS = ("dark_dn", "valid_pct", "sha256", "shard", "row_group", "row")


@dataclass(frozen=True)
class Server:
    """The fault server as the tests' process sees it."""

    url: str

    def plan(self, faults: Collection[Fault], **more: Any) -> None:
        """Replace its faults."""
        body = json.dumps({"faults": [asdict(fault) for fault in faults], **more}).encode()
        urllib.request.urlopen(urllib.request.Request(self.url, body), timeout=30).close()

    def faulted(self) -> dict[str, list[str]]:
        """Paths that faults have met, with their kinds."""
        with urllib.request.urlopen(f"{self.url}/~faulted", timeout=30) as response:
            result: dict[str, list[str]] = json.load(response)
        return result


@dataclass(frozen=True)
class Planet:
    """The served folder, and the corpora built without faults.

    Attributes:
        folder: The served files.
        recipe: The recipe.
        planned: A corpus folder with a plan only.
        right: The corpus.
        newer: The corpus of the files' later versions.
    """

    folder: Path
    recipe: Path
    planned: Path
    right: Path
    newer: Path
    server: Server
    commands: Commands

    def build(self, out: Path, *options: str) -> Result:
        """Run `landmark build`."""
        return self._run("build", out, *options)

    def plan(self, out: Path) -> Result:
        """Run `landmark plan`."""
        return self._run("plan", out)

    def _run(self, command: str, out: Path, *options: str) -> Result:
        where = ("--catalog", f"{self.server.url}/catalog.json", "--out", out, "--workers", 0, "--limit", CELLS)
        result = self.commands.run(command, self.recipe, *where, *options, bound_s=BOUND_S)
        assert "Traceback" not in result.errors, result.errors
        return result


def check_build(planet: Planet, schedule: Schedule, out: Path) -> str:
    """Build under a schedule, and again with `--retry` after its faults; returns what happened."""
    shutil.copytree(planet.planned, out)
    planet.server.plan(schedule.faults)
    result = planet.build(out)
    faulted = planet.server.faulted()
    planet.server.plan(())
    assert result.code in (0, 1), result
    failed = check_ledger(planet, schedule, out, faulted)
    assert (result.code == 1) == bool(failed), (result, failed)
    if failed:
        assert not schedule.costs_nothing, failed
        again = planet.build(out, "--retry")
        assert again.code == 0, again
    replaced = {path for path, kinds in faulted.items() if "replaced" in kinds}
    check_corpus(planet, out, replaced)
    return f"{len(failed)} failed, {sorted(set(failed.values()))}, {len(faulted)} files"


def check_plan(planet: Planet, schedule: Schedule, out: Path) -> str:
    """Plan under a schedule: refused, planned as without faults, or planned without images that are named."""
    planet.server.plan(schedule.faults)
    result = planet.plan(out)
    faulted = planet.server.faulted()
    planet.server.plan(())
    right = (planet.planned / "lock.json").read_bytes()
    assert result.code in (0, 1, 2), result
    if result.code:
        assert not schedule.costs_nothing, result
        assert result.errors.strip()
        assert not out.exists() or not [path for path in out.rglob("*") if path.name != ".landmark.lock"]
        assert (again := planet.plan(out)).code == 0, again
        assert (out / "lock.json").read_bytes() == right
    elif (out / "lock.json").read_bytes() != right:
        assert not schedule.costs_nothing
        lock, reference = (Lock.model_validate_json((each / "lock.json").read_text()) for each in (out, planet.planned))
        assert not any("esa-worldcover" in path for path in faulted)
        assert lock.labels == reference.labels
        assert lock.findings != reference.findings, "a plan with fewer images says nothing"
    return f"exit {result.code}, {len(faulted)} files: {result.errors.strip()[-300:]}"


def check_ledger(planet: Planet, schedule: Schedule, out: Path, faulted: Collection[str]) -> dict[str, str]:
    """Check that the books balance and that all reasons fit; return the reason of each failed sample."""
    ledger, right = (
        {row["id"]: row for row in pq.read_table(folder / "ledger.parquet").to_pylist() if row["stage"] == "extract"}
        for folder in (out, planet.right)
    )
    planned = pq.read_table(out / "plan.parquet", columns=["id", "acquisition"]).to_pylist()
    written = set(landmark.open(out).ids) if (out / "corpus.json").exists() else set(Staging(out).status().written)
    assert written | ledger.keys() == {row["id"] for row in planned}
    assert not written & ledger.keys()
    lost = {id: row["reason"] for id, row in ledger.items() if not row["final"]}
    assert {id: row["reason"] for id, row in ledger.items() if row["final"]} == {
        id: row["reason"] for id, row in right.items()
    }
    assert set(lost.values()) <= schedule.reasons, ledger
    lock = Lock.model_validate_json((out / "lock.json").read_text())
    touched = {
        each.id
        for each in lock.acquisitions
        if any(f"/{href}" in faulted for item in each.items for href in item.assets.values())
    }
    assert {row["acquisition"] for row in planned if row["id"] in lost} <= touched
    return lost


def check_corpus(planet: Planet, out: Path, replaced: Collection[str]) -> None:
    """Check that a sealed corpus is the one without faults, but for bands that come complete from a later version."""
    corpus, right = landmark.open(out), landmark.open(planet.right)
    if not replaced:
        assert corpus.manifest.content_digest == right.manifest.content_digest
        assert corpus.manifest.shards == right.manifest.shards
        return
    assert corpus.manifest.counts == right.manifest.counts
    columns = [name for name in right.table.column_names if name not in _OF_PIXELS]
    assert corpus.table.select(columns).equals(right.table.select(columns))
    newer = landmark.open(planet.newer)
    for id in right.ids:
        for band, pixels in _bands(corpus[id]).items():
            assert any(np.array_equal(pixels, _bands(each[id])[band], equal_nan=True) for each in (right, newer)), id


def _bands(sample: Any) -> dict[int, Any]:
    return dict(enumerate(sample.s1 if sample.s2 is None else sample.s2))
