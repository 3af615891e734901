"""A miniature planet, made by code and published as the Planetary Computer publishes: demo data and test bench."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from landmark.core.errors import InputError
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor

EDITION = 1  # raise it when the world changes for reasons that its sources do not show
_log = logging.getLogger(__name__)

__all__ = ["cached", "demo", "full_size", "make", "make_scene"]


def make(out: Path, *, tile_px: int = 1098, block_px: int = 512, seed: int = 0, workers: int = 0) -> Path:
    """Write the world into `out` and return the path of its `catalog.json`; the same bytes whatever the workers.

    Args:
        out: The folder to make; it appears whole or not at all.
        tile_px: Width of a Sentinel-2 tile at 10 m, a multiple of 6; real ones have 10980.
        block_px: Width of the blocks in the rasters, a multiple of 16.
        seed: Another seed is another planet.
        workers: Processes; 0 works in this one.

    Raises:
        InputError: If `out` holds something or a size does not fit.
    """
    from landmark.world import publish

    _check(out, tile_px, block_px)
    return _made(out, publish, {"tile_px": tile_px, "block_px": block_px, "seed": seed}, workers)


def make_scene(out: Path, *, tile_px: int = 10980, block_px: int = 512, workers: int = 0) -> Path:
    """Write one Sentinel-2 scene as large as real ones into `out`, radar scenes and label maps over it.

    Returns the path of its `catalog.json`. `tile_px` is a multiple of 36.
    """
    from landmark.world import full

    _check(out, tile_px // 6, block_px)
    return _made(out, full, {"tile_px": tile_px, "block_px": block_px, "seed": 0}, workers)


def _made(out: Path, maker: Any, parameters: dict[str, int], workers: int) -> Path:
    """Let a module's units fill `out`, which appears whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _fill(building, maker, parameters, workers)
        building.chmod(0o755)
        building.rename(out)  # replaces an empty folder, refuses one that another process filled meanwhile
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out / "catalog.json"


def _check(out: Path, tile_px: int, block_px: int) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not empty: the world takes a folder of its own; name another or remove this one")
    if tile_px < 120 or tile_px % 6 or block_px < 16 or block_px % 16:
        raise InputError(f"tile_px must be a multiple of 6 from 120, block_px of 16; got {tile_px} and {block_px}")


def _fill(building: Path, maker: Any, parameters: dict[str, int], workers: int) -> None:
    from landmark.world import items

    write = partial(maker.write_unit, out=building, parameters=parameters)
    with open_executor(ExecutorConfig(workers)) as map_units:
        for unit, result in map_units(write, maker.units(parameters)):
            if isinstance(result, WorkerLost):
                raise MemoryError(f"{' '.join(unit)} of the world could not be made: {result.detail}")
    items.write_catalog(building)


def demo() -> Path:
    """Return the catalogue of the default world in the user's cache, made at the first call."""
    return cached("world", make, "the demo's world", "a minute")


def full_size() -> Path:
    """Return the catalogue of a scene as large as real ones in the user's cache, made at the first call."""
    return cached("scene", make_scene, "a scene as large as real ones", "three minutes and 4 GB")


def cached(name: str, maker: Callable[..., Path], what: str, cost: str) -> Path:
    """Return the catalogue of a world in the user's cache, made at the first call and found by its digest later.

    Args:
        name: Prefix of the folder.
        maker: Called as `maker(folder, workers=n)`.
        what: Description for the log.
        cost: How long it takes, for the log.
    """
    import fcntl

    import platformdirs

    cache = Path(os.environ.get("LANDMARK_CACHE") or platformdirs.user_cache_path("landmark"))
    folder = cache / f"{name}-{EDITION}-{_digest()}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second maker waits here and finds it made
        if not (folder / "catalog.json").exists():
            _log.info("making %s in %s (once, about %s)", what, folder, cost)
            maker(folder, workers=os.cpu_count() or 1)
    return folder / "catalog.json"


def _digest() -> str:
    """Return what names this world: its sources, so that a changed generator never serves a stale one."""
    here = Path(__file__).parent
    state = blake2b(digest_size=6)
    for path in sorted(here.iterdir()):
        if path.suffix in (".py", ".yaml"):
            state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()
