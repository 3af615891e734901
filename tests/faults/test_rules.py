"""Any order of builds, kills, retries, recaptionings and new formats ends in the corpus that a new build would make."""

import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.errors import SealingFailed
from landmark.core.executor import ExecutorConfig
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, is_sealed, read_document
from landmark.quality.check import check
from landmark.quality.check_profile import load_check_profile
from landmark.workflow.build import BuildRequest, build
from landmark.workflow.recaption import recaption
from tests.faults.crash_points import CrashPoint, Killed, killed_at
from tests.faults.test_crash_points import small_recipe
from tests.workflow.conftest import Archive

SERIAL = ExecutorConfig()
THRESHOLDS = (5, 15)
# End of the path of a raster that every build reads.
RASTER = "/S1A_IW_GRDH_1SDV_20210614T170628_20210614T170653_038339_04B340_rtc/vv.tif"
# Files beside those that the manifest names.
DOCUMENTS = {
    "ATTRIBUTION.md",
    "README.md",
    "cloud_stats.parquet",
    "corpus.json",
    "index.parquet",
    "inputs.parquet",
    "label_counts.parquet",
    "ledger.parquet",
    "lock.json",
    "plan.parquet",
}
Facts = dict[str, Any]

crashes = st.none() | st.builds(CrashPoint, st.integers(0, 150), st.sampled_from(["before", "after"]))


@dataclass(frozen=True)
class ServedWorld:
    """The small world behind a URL.

    Attributes:
        folder: Of recipes.
        expected: What a new build makes of them, by threshold.
    """

    folder: Path
    world: Path
    url: str
    expected: dict[int, Facts] = field(default_factory=dict)

    def request(
        self, out: Path, threshold: int, formats: tuple[str, ...] = ("parquet",), **options: Any
    ) -> BuildRequest:
        """A build with a threshold and formats."""
        output = {"shard_mb": 2, "formats": list(formats)}
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(small_recipe(self.world, thresholds={"default": threshold}, output=output)))
        return BuildRequest(load_recipe(str(path)), out, SERIAL, catalog=f"{self.url}/catalog.json", **options)


def facts(corpus: Path) -> Facts:
    """What follows from the recipe, in whatever generation it is, and the checks that object to it."""
    manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
    names = ("counts", "dropped", "ids_digest", "labels", "lock_digest", "queries", "recipe_digest", "statistics")
    shards = [(Path(shard.path).name, shard.content_digest, shard.sha256) for shard in manifest.shards]
    report = check(corpus, load_check_profile(), executor=SERIAL)
    findings = {finding.check for finding in report.findings("warning")}
    return {"shards": shards, "findings": findings, **{name: getattr(manifest, name) for name in names}}


class Histories(RuleBasedStateMachine):
    """A corpus and what was done to it."""

    def __init__(self, served_world: ServedWorld, folder: Path) -> None:
        super().__init__()
        self.served_world, self.out = served_world, folder / "corpus"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.formats: tuple[str, ...] = ("parquet",)
        self.reads_failed = False
        Archive.gone.clear()

    @property
    def threshold(self) -> int | None:
        """Threshold of the sealed corpus; None if it is not sealed."""
        if not is_sealed(self.out):
            return None
        digest = read_document(Manifest, self.out / "corpus.json").recipe_digest
        return next(key for key, value in self.served_world.expected.items() if value["recipe_digest"] == digest)

    @rule(crash=crashes, retry=st.booleans())
    def build(self, crash: CrashPoint | None, retry: bool) -> None:
        before = self.threshold
        self.reads_failed |= bool(Archive.gone) and before is None
        try:
            if self._completes(lambda: self._build(retry=retry), crash):
                self.reads_failed = False
        except SealingFailed:
            assert before is None and self.reads_failed and (Archive.gone or not retry)
        assert self.threshold in (before, before or THRESHOLDS[0])

    @rule(crash=crashes)
    def add_format(self, crash: CrashPoint | None) -> None:
        self.formats = ("parquet", "webdataset")
        self.build(crash, False)

    @precondition(lambda self: self.threshold is not None)
    @rule(threshold=st.sampled_from(THRESHOLDS), crash=crashes)
    def recaption(self, threshold: int, crash: CrashPoint | None) -> None:
        before = self.threshold
        recipe = self.served_world.request(self.out, threshold).recipe
        if self._completes(lambda: recaption(self.out, recipe, SERIAL), crash):
            assert self.threshold == threshold
        assert self.threshold in (before, threshold)

    # The plan reads headers: what it cannot read is not planned.
    @precondition(lambda self: (self.out / "lock.json").exists())
    @rule()
    def hide_raster(self) -> None:
        Archive.gone.add(RASTER)

    @rule()
    def show_raster(self) -> None:
        Archive.gone.clear()

    @rule()
    def verify(self) -> None:
        self.show_raster()
        self._build(retry=True)
        self.reads_failed = False
        self._require_invariants()

    def teardown(self) -> None:
        self.verify()

    def _build(self, *, retry: bool) -> None:
        build(self.served_world.request(self.out, self.threshold or THRESHOLDS[0], self.formats, retry=retry))

    def _completes(self, command: Callable[[], object], crash: CrashPoint | None) -> bool:
        with suppress(Killed), killed_at(self.out.parent, crash):
            command()
            return True
        return False

    def _require_invariants(self) -> None:
        manifest: Manifest = read_document(Manifest, self.out / "corpus.json")
        corpus, threshold = landmark.open(self.out), self.threshold
        assert threshold is not None
        assert facts(self.out) == self.served_world.expected[threshold]
        assert read_document(Lock, self.out / "lock.json").digest == manifest.lock_digest
        assert len(list(corpus)) == manifest.counts["written"]
        assert manifest.counts["planned"] == sum(manifest.counts[name] for name in ("written", "dropped", "failed"))
        assert {export.shard for export in manifest.exports} == (
            {shard.path for shard in manifest.shards} if "webdataset" in self.formats else set()
        )
        named = [*manifest.files, *manifest.queries]
        assert all(file_sha256(self.out / file.path) == file.sha256 for file in named)
        files = {path.relative_to(self.out).as_posix() for path in self.out.rglob("*") if path.is_file()}
        assert files == {file.path for file in named} | DOCUMENTS


@pytest.fixture(scope="session")
def served_world(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    folder = tmp_path_factory.mktemp("histories")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Archive, directory=str(world))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        served_world = ServedWorld(folder, world, f"http://127.0.0.1:{server.server_address[1]}")
        for threshold in THRESHOLDS:
            build(served_world.request(folder / str(threshold), threshold))
            served_world.expected[threshold] = facts(folder / str(threshold))
        yield served_world
        server.shutdown()
        thread.join()


def run_histories(served_world: ServedWorld, folder: Path, examples: int, steps: int) -> None:
    options = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        # Steps take seconds: histories are short instead of shrunk.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Histories(served_world, folder), settings=options)


@pytest.mark.long
def test_histories_of_a_corpus_end_in_the_corpus_of_a_new_build(served_world: ServedWorld, tmp_path: Path) -> None:
    run_histories(served_world, tmp_path / "corpus", examples=5, steps=8)


@pytest.mark.nightly
def test_many_histories_of_a_corpus_end_in_the_corpus_of_a_new_build(served_world: ServedWorld, tmp_path: Path) -> None:
    run_histories(served_world, tmp_path / "corpus", examples=200, steps=15)
