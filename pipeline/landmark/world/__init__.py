"""A synthetic planet in the layout of the Planetary Computer, for the demo, tests and benchmarks."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from landmark.core.atomic import wait_for_lock
from landmark.core.errors import InputError
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor

EDITION = 1  # raise it when a change outside this package changes the world
_log = logging.getLogger(__name__)

Edition = Literal["planet", "easy"]
SIZES = {"planet": (360, 128), "easy": (1098, 512)}  # edges of tiles and blocks in pixels

__all__ = ["Edition", "cached", "demo", "easy", "full_size", "make", "make_scene"]


def make(
    out: Path,
    *,
    edition: Edition = "planet",
    tile_px: int | None = None,
    block_px: int | None = None,
    seed: int = 0,
    workers: int = 0,
) -> Path:
    """Write the world to `out` and return the path of its `catalog.json`; the bytes do not depend on `workers`.

    Args:
        out: Folder to create, atomically.
        edition: `planet`: small places on six continents; `easy`: two larger places.
        tile_px: Edge of a Sentinel-2 tile in 10 m pixels, a multiple of 6; real tiles have 10980. By default 360 for
            the planet, and 1098.
        block_px: Edge of the GeoTIFF blocks in pixels, a multiple of 16; by default 128 for the planet, and 512.
        seed: Seed of the planet.
        workers: Worker processes; 0 runs in this process.

    Raises:
        InputError: `out` is not empty, the edition is unknown, or a size is invalid.
    """
    from landmark.world import publish

    if edition not in SIZES:
        raise InputError(f"no such edition; one of {', '.join(SIZES)}", key="edition", value=edition)
    tile_px = SIZES[edition][0] if tile_px is None else tile_px
    block_px = SIZES[edition][1] if block_px is None else block_px
    _check_arguments(out, tile_px, block_px)
    parameters = {"edition": edition, "tile_px": tile_px, "block_px": block_px, "seed": seed}
    return _build(out, publish, parameters, workers)


def make_scene(out: Path, *, tile_px: int = 10980, block_px: int = 512, workers: int = 0) -> Path:
    """Write one full-size Sentinel-2 scene with radar scenes and label maps, and return the path of `catalog.json`.

    `tile_px` is a multiple of 36; the other parameters are those of `make`.
    """
    from landmark.world import full

    _check_arguments(out, tile_px // 6, block_px)
    return _build(out, full, {"tile_px": tile_px, "block_px": block_px, "seed": 0}, workers)


def _build(out: Path, maker: Any, parameters: dict[str, Any], workers: int) -> Path:
    """Run the work units of a module into a temporary folder, and rename it to `out`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _fill(building, maker, parameters, workers)
        building.chmod(0o755)
        building.rename(out)  # replaces an empty folder; fails if another process has filled it
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out / "catalog.json"


def _check_arguments(out: Path, tile_px: int, block_px: int) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("the folder is not empty", file=out, remedy="name another, or remove this one")
    if tile_px < 120 or tile_px % 6:
        raise InputError("must be a multiple of 6, 120 or more", key="tile_px", value=tile_px)
    if block_px < 16 or block_px % 16:
        raise InputError("must be a multiple of 16", key="block_px", value=block_px)


def _fill(building: Path, maker: Any, parameters: dict[str, Any], workers: int) -> None:
    from landmark.world import items

    write = partial(maker.write_unit, out=building, parameters=parameters)
    with open_executor(ExecutorConfig(workers)) as map_units:
        for unit, result in map_units(write, maker.units(parameters)):
            if isinstance(result, WorkerLost):
                raise MemoryError(f"unit {' '.join(unit)} of the world failed: {result.detail}")
    items.write_catalog(building)


def demo() -> Path:
    """Path of the planet's catalogue in the user's cache; the first call builds it."""
    return cached("world", make, "the demo's world", "a minute")


def easy() -> Path:
    """Path of the easy edition's catalogue in the user's cache; the first call builds it."""
    return cached("world-easy", partial(make, edition="easy"), "the easy demo's world", "a minute")


def full_size() -> Path:
    """Path of a full-size scene's catalogue in the user's cache; the first call builds it."""
    return cached("scene", make_scene, "a scene as large as real ones", "three minutes and 4 GB")


def cached(name: str, maker: Callable[..., Path], what: str, cost: str) -> Path:
    """Path of a world's catalogue in the user's cache, keyed by the digest of its sources; the first call builds it.

    Args:
        name: Prefix of the folder.
        maker: Called as `maker(folder, workers=n)`.
        what: Description for the log.
        cost: Duration and size, for the log.
    """
    import platformdirs

    cache = Path(os.environ.get("LANDMARK_CACHE") or platformdirs.user_cache_path("landmark"))
    folder = cache / f"{name}-{EDITION}-{_digest()}"
    cache.mkdir(parents=True, exist_ok=True)
    wait = partial(_log.warning, "waiting for %s, which takes about %s: %s is making it", what, cost)
    with wait_for_lock(cache / f"{folder.name}.lock", wait):
        if not (folder / "catalog.json").exists():
            _log.info("making %s in %s (once, about %s)", what, folder, cost)
            maker(folder, workers=os.cpu_count() or 1)
    return folder / "catalog.json"


def _digest() -> str:
    """Digest of the sources, so that a changed generator never uses a stale cache."""
    state = blake2b(digest_size=6)
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".yaml"):
            state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()
