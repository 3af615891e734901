"""Plan, cover and lock on disk: written once, read by every build, checked by a locked one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark.base.archive import Acquisition, LabelRaster
from landmark.base.errors import InputsChanged
from landmark.base.hashing import digest, file_sha256
from landmark.base.manifest import InputFile, LabelInput, Lock, read_document
from landmark.base.recipe import Recipe
from landmark.base.taxonomy import Meaning
from landmark.io.store import write_bytes, write_table

_LIBRARIES = ("landmark", "numpy", "rasterio", "pyproj", "shapely", "pyarrow")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with all it rests on."""

    lock: Lock
    plan: pa.Table
    cover: pa.Table


def write_plan(
    corpus: Path,
    plan: pa.Table,
    cover: pa.Table,
    left_out: pa.Table,
    *,
    recipe: Recipe,
    meaning: Meaning,
    catalog: str,
    root: str,
    acquisitions: Mapping[str, Acquisition],
    labels: Iterable[LabelRaster],
    considered: dict[str, int],
    proof: dict[str, Any],
) -> Planned:
    """Write plan, cover and the ledger's first rows, then the lock that names them; until then there is no plan."""
    (corpus / "lock.json").unlink(missing_ok=True)
    used = [acquisitions[name] for name in sorted(set(plan["acquisition"].to_pylist()))]
    locked = [_label(raster) for raster in labels]
    hrefs = {href for one in used for item in one.items for href in item.assets.values()} | {
        entry.href for entry in locked
    }
    write_table(corpus / "plan.parquet", plan)
    write_table(corpus / "cover.parquet", cover)
    write_table(corpus / "ledger.parquet", left_out)
    lock = Lock(
        recipe=recipe.asked(),
        recipe_digest=recipe.digest,
        plan_sha256=file_sha256(corpus / "plan.parquet"),
        cover_sha256=file_sha256(corpus / "cover.parquet"),
        catalog=catalog,
        acquisitions=[one.to_json() for one in used],
        labels=locked,
        files=[_file(root, href) for href in sorted(hrefs)],
        meaning=meaning_digest(meaning),
        considered=considered,
        proof=proof,
        libraries={name: version(name) for name in _LIBRARIES},
    )
    write_bytes(corpus / "lock.json", lock.model_dump_json(indent=1).encode())
    return Planned(lock, plan, cover)


def read_plan(corpus: Path) -> Planned | None:
    """The plan of a corpus folder, None where there is none yet.

    Raises:
        InputsChanged: plan or cover is not the one the lock names.
    """
    if not (corpus / "lock.json").is_file():
        return None
    lock: Lock = read_document(Lock, corpus / "lock.json")
    for name, expected in (("plan.parquet", lock.plan_sha256), ("cover.parquet", lock.cover_sha256)):
        if not (corpus / name).is_file() or file_sha256(corpus / name) != expected:
            raise InputsChanged(
                f"{corpus / name} is not the file lock.json names; delete the folder's contents and plan again"
            )
    return Planned(lock, pq.read_table(corpus / "plan.parquet"), pq.read_table(corpus / "cover.parquet"))


def check_inputs(lock: Lock, root: str, meaning: Meaning) -> None:
    """Compare what can be compared without a download.

    Raises:
        InputsChanged: naming the first input that differs.
    """
    if meaning_digest(meaning) != lock.meaning:
        raise InputsChanged("the taxonomy, a crosswalk or a threshold differs from the locked one")
    for recorded in lock.files:
        if recorded.sha256 is not None and _file(root, recorded.href) != recorded:
            raise InputsChanged(f"{root}{recorded.href} differs from the locked file (or is gone)")


def meaning_digest(meaning: Meaning) -> str:
    """Digest of what labels mean."""
    documents = [meaning.taxonomy, *meaning.crosswalks]
    return digest([[document.model_dump(mode="json") for document in documents], dict(meaning.thresholds)])


def _label(raster: LabelRaster) -> LabelInput:
    return LabelInput(
        source=raster.vintage.name,
        version=raster.vintage.version,
        item=raster.item,
        href=raster.recorded_href,
        start=raster.vintage.start,
        end=raster.vintage.end,
        digest=raster.digest,
    )


def _file(root: str, href: str) -> InputFile:
    path = Path(href if href.startswith("/") else root + href)
    if "://" in href or "://" in root or not path.is_file():
        return InputFile(href=href, size_bytes=None, sha256=None)
    return InputFile(href=href, size_bytes=path.stat().st_size, sha256=file_sha256(path))
