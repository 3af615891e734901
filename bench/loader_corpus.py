"""The corpus of the loader benchmark: Sentinel-2 samples of the full-size scene, built once by landmark.

Noise gives the pixels the compressed size of real ones. The same samples are in .tar files for webdataset and, where
litData is installed, in its format.
"""

import os
from hashlib import blake2b
from pathlib import Path

import platformdirs

import landmark
from bench.scene import recipe
from landmark import world
from landmark.config.recipe import Recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build

CELLS, SHARD_MB = 4400, 96


def bench_corpus() -> Path:
    """Return the folder of the corpus in the user's cache; the first call builds it, in two minutes."""
    cache = Path(os.environ.get("LANDMARK_CACHE") or platformdirs.user_cache_path("landmark"))
    scene = world.full_size().parent
    return make_corpus(cache / f"loader-{_digest(scene.name)}", scene, cells=CELLS, shard_mb=SHARD_MB)


def make_corpus(folder: Path, scene: Path, *, cells: int, shard_mb: float) -> Path:
    """Build a corpus of some cells of a scene, with .tar files, unless it is there; return its folder."""
    build(_request(folder, scene, cells=cells, shard_mb=shard_mb))
    return folder


def _request(folder: Path, scene: Path, *, cells: int, shard_mb: float) -> BuildRequest:
    fields = recipe(scene, ["s2"]).model_dump(mode="json", exclude_unset=True)
    changes = {
        "name": "loader",
        "sampling": {"cells": cells},
        "splits": {"train": 100, "val": 0, "test": 0, "buffer_m": 0},
        "output": {"shard_mb": shard_mb, "formats": ["parquet", "webdataset"]},
    }
    changed = Recipe.model_validate({**fields, **changes})
    return BuildRequest(changed, folder, ExecutorConfig(0), catalog=str(scene), consent=lambda _: True)


def _digest(scene: str) -> str:
    """Digest of the scene and of the code that determines the files of a corpus."""
    state, package = blake2b(scene.encode(), digest_size=6), Path(landmark.__file__).parent
    formats = [package / "corpus" / f"{name}.py" for name in ("manifest", "pages", "shard_schema")]
    for path in [Path(__file__), *formats, *sorted((package / "write").glob("*.py"))]:
        state.update(path.read_bytes())
    return state.hexdigest()
