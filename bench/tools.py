"""The tools that are measured. Each yields the arrays of a cell: band → (y, x) at native resolution."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.scene import PATCH_PX, Reading, offsets, spans
from landmark.domain.drops import DropRecord
from landmark.extract.chips import extract_chips
from landmark.raster.chip_stream import FailedChip
from landmark.raster.reader import open_raster, prefetch

Arrays = dict[str, NDArray[Any]]

# The settings that the peers' documentation recommends for files over HTTP, and that helped here.
GDAL_ENV = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "65536",
    "GDAL_CACHEMAX": 2**30,
    "CPL_VSIL_CURL_CACHE_SIZE": "268435456",
}
_BLOCK_PX = 512


def landmark_arrays(reading: Reading) -> Iterator[Arrays]:
    """The read engine of landmark alone: the arrays before `extract_chips` finalizes them."""
    bands = [(band, factor) for factor, names in reading.factors.items() for band in names]
    with ExitStack() as stack:
        pending = [prefetch(reading.href(band), reading.context.access) for band, _ in bands]
        rasters = [stack.enter_context(open_raster(raster)) for raster in pending]
        if gdal := [raster.route for raster in rasters if raster.route != "direct"]:
            raise OSError(gdal[0])
        streams = [
            raster.chips(offsets(reading.corners, raster.header.origin, raster.header.pixel_size), PATCH_PX // factor)
            for raster, (_, factor) in zip(rasters, bands, strict=True)
        ]
        for chips in zip(*streams, strict=True):
            if unread := next((chip for chip in chips if isinstance(chip, FailedChip)), None):
                raise OSError(unread.detail)
            yield {band: chip for (band, _), chip in zip(bands, chips, strict=True)}
        decode_s = sum(read.decode_s for raster in rasters for read in raster.reads)
        reading.parts["decode and copy"] = decode_s / reading.cores


def landmark_chips(reading: Reading) -> Iterator[Arrays]:
    """Read as a build does: warped if needed, offset removed or converted to dB, cloud measured, checksummed."""
    for chip in extract_chips(reading.request):
        if isinstance(chip, DropRecord):
            raise OSError(f"{chip.reason}: {chip.detail}")
        yield {
            band: pixels
            for group in reading.sensor.groups
            for band, pixels in zip(group.bands, chip.groups[group.column], strict=True)
        }


def odc_eager(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load of the bounding box of all cells, then slices."""
    yield from _cells(reading, _odc(reading, reading.corners, pool=reading.cores))


def odc_each(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load cell by cell."""
    for corner in reading.corners:
        yield from _cells(reading, _odc(reading, corner[None], pool=reading.cores), corner[None])


def odc_lazy(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load of Dask arrays in the files' blocks, slices of them, one compute."""
    with _dask(reading.cores):
        chunks = {"x": _BLOCK_PX, "y": _BLOCK_PX}
        yield from _compute(_cells(reading, _odc(reading, reading.corners, chunks=chunks), by_blocks=True))


def stackstac_lazy(reading: Reading) -> Iterator[Arrays]:
    """stackstac.stack of Dask arrays in the files' blocks, slices of them, one compute."""
    import stackstac

    env = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL_ENV)
    options = {"epsg": reading.acquisition.epsg, "chunksize": _BLOCK_PX, "gdal_env": env, "rescale": False}
    with _dask(reading.cores):
        loaded: dict[str, Any] = {}
        kinds = {(factor, _dtype(reading, name)) for factor, names in reading.factors.items() for name in names}
        for factor, dtype in sorted(kinds):
            names = [name for name in reading.factors[factor] if _dtype(reading, name) == dtype]
            stack = stackstac.stack(
                [reading.item.to_dict()],
                assets=names,
                bounds=_box(reading, reading.corners, factor, by_blocks=True),
                resolution=10 * factor,
                dtype=np.dtype(dtype),
                fill_value=np.zeros((), dtype)[()],
                xy_coords=False,
                **options,
            )
            loaded |= {name: stack.data[0, place] for place, name in enumerate(names)}
        yield from _compute(_cells(reading, loaded, by_blocks=True))


def _dtype(reading: Reading, band: str) -> str:
    if reading.sensor.name == "s1":
        return "float32"
    return "uint8" if band == "SCL" else "uint16"


def _odc(reading: Reading, corners: NDArray[np.int64], **options: Any) -> dict[str, Any]:
    """Load the bands around some cells, each at its own pixel size, as NumPy or Dask arrays."""
    import odc.stac
    from odc.geo.geobox import GeoBox

    odc.stac.configure_rio(cloud_defaults=True, **GDAL_ENV)
    assets = {name: {"data_type": _dtype(reading, name)} for names in reading.factors.values() for name in names}
    options["stac_cfg"] = {reading.item.collection_id: {"assets": assets}}
    bands: dict[str, Any] = {}
    for factor, names in reading.factors.items():
        bounds = _box(reading, corners, factor, by_blocks="chunks" in options)
        box = GeoBox.from_bbox(bounds, f"EPSG:{reading.acquisition.epsg}", resolution=10 * factor)
        resampling = "bilinear" if reading.sensor.warped else "nearest"
        loaded = odc.stac.load([reading.item], bands=names, geobox=box, resampling=resampling, **options)
        bands |= {name: loaded[name].data[0] for name in names}
    return bands


def _box(
    reading: Reading, corners: NDArray[np.int64], factor: int, *, by_blocks: bool
) -> tuple[float, float, float, float]:
    """Return (west, south, east, north) of cells; `by_blocks` extends it to whole blocks, so that chunks are blocks."""
    west, south, east, north = spans(corners)
    if not by_blocks:
        return west, south, east, north
    (left, top), block_m = reading.acquisition.origin, _BLOCK_PX * 10 * factor
    return (
        left + (west - left) // block_m * block_m,
        top - -(-(top - south) // block_m) * block_m,
        left - -(east - left) // block_m * block_m,
        top - (top - north) // block_m * block_m,
    )


def _cells(
    reading: Reading, loaded: dict[str, Any], corners: NDArray[np.int64] | None = None, *, by_blocks: bool = False
) -> Iterator[Any]:
    """Yield each cell's slices."""
    corners = reading.corners if corners is None else corners
    corner_px = {}
    for factor in reading.factors:
        west, _, _, north = _box(reading, corners, factor, by_blocks=by_blocks)
        corner_px[factor] = offsets(corners, (west, north), 10 * factor)
    for number in range(len(corners)):
        cell: dict[str, Any] = {}
        for factor, names in reading.factors.items():
            (row, column), size = corner_px[factor][number], PATCH_PX // factor
            cell |= {name: loaded[name][row : row + size, column : column + size] for name in names}
        yield cell


def _dask(cores: int) -> Any:
    import dask

    return dask.config.set(scheduler="threads", num_workers=cores)


def _compute(cells: Iterable[Any]) -> Iterable[Arrays]:
    import dask

    computed: Iterable[Arrays] = dask.compute(*cells)
    return computed


TOOLS: dict[str, Callable[[Reading], Iterator[Arrays]]] = {
    "landmark": landmark_arrays,
    "landmark-chips": landmark_chips,
    "odc-eager": odc_eager,
    "stackstac-lazy": stackstac_lazy,
    "odc-lazy": odc_lazy,
    "odc-each": odc_each,
}
