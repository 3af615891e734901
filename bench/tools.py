"""Who reads: landmark, and the tools people cut patches with. Each yields a cell's arrays, band → (y, x), native."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.scene import CELL_M, PATCH_PX, Reading, offsets, spans
from landmark.base.outcomes import Outcome
from landmark.imagery import cut
from landmark.io.raster import Unread, ask, opened

Arrays = dict[str, NDArray[Any]]

# What the peers' documentations advise for files behind HTTP, and what helped here: no listing, ranges merged, no
# second cache of bytes.
GDAL_ENV = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "65536",
    "GDAL_CACHEMAX": 2**30,
    "CPL_VSIL_CURL_CACHE_SIZE": "268435456",
}
_BLOCK_PX = 512


def ours(reading: Reading) -> Iterator[Arrays]:
    """Landmark's kernel alone: what `imagery.cut` reads before it judges."""
    bands = [(band, factor) for factor, names in reading.factors.items() for band in names]
    with ExitStack() as stack:
        asked = [ask(reading.href(band), reading.setting.access) for band, _ in bands]
        rasters = [stack.enter_context(opened(one)) for one in asked]
        if gdal := [raster.route for raster in rasters if raster.route != "direct"]:
            raise OSError(gdal[0])
        streams = [
            raster.chips(offsets(reading.corners, raster.header.origin, raster.header.pixel), PATCH_PX // factor)
            for raster, (_, factor) in zip(rasters, bands, strict=True)
        ]
        for chips in zip(*streams, strict=True):
            if unread := next((chip for chip in chips if isinstance(chip, Unread)), None):
                raise OSError(unread.detail)
            yield {band: chip for (band, _), chip in zip(bands, chips, strict=True)}
        trips = [trip for raster in rasters for trip in raster.trips]
        reading.parts["decode and copy"] = sum(trip.cut_s for trip in trips) / reading.cores


def judged(reading: Reading) -> Iterator[Arrays]:
    """Landmark as a build reads: warped if need be, offset removed or turned into dB, shares measured, digested."""
    for chip in cut(reading.cut):
        if isinstance(chip, Outcome):
            raise OSError(f"{chip.reason}: {chip.detail}")
        yield {
            band: pixels
            for group in reading.sensor.groups
            for band, pixels in zip(group.bands, chip.groups[group.column], strict=True)
        }


def odc_eager(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load of the region all cells lie in, then slices of it."""
    yield from _cells(reading, _odc(reading, reading.corners, pool=reading.cores))


def odc_each(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load cell by cell."""
    for corner in reading.corners:
        yield from _cells(reading, _odc(reading, corner[None], pool=reading.cores), corner[None])


def odc_lazy(reading: Reading) -> Iterator[Arrays]:
    """odc.stac.load of Dask arrays in the files' blocks, slices of them, one compute."""
    with _dask(reading.cores):
        chunks = {"x": _BLOCK_PX, "y": _BLOCK_PX}
        yield from _computed(_cells(reading, _odc(reading, reading.corners, chunks=chunks)))


def stackstac_lazy(reading: Reading) -> Iterator[Arrays]:
    """stackstac.stack of Dask arrays in the files' blocks, slices of them, one compute."""
    import stackstac

    env = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL_ENV)
    how = {"epsg": reading.acquisition.epsg, "bounds": spans(reading.corners), "chunksize": _BLOCK_PX, "gdal_env": env}
    with _dask(reading.cores):
        loaded = {}
        for factor, names in reading.factors.items():
            for name in names:
                fill = np.zeros((), dtype=_dtype(reading, name))[()]
                stack = stackstac.stack(
                    [reading.item.to_dict()],
                    assets=[name],
                    resolution=10 * factor,
                    dtype=fill.dtype,
                    fill_value=fill,
                    rescale=False,
                    xy_coords=False,
                    **how,
                )
                loaded[name] = stack.data[0, 0]
        yield from _computed(_cells(reading, loaded))


def _dtype(reading: Reading, band: str) -> str:
    if reading.sensor.name == "s1":
        return "float32"
    return "uint8" if band == "SCL" else "uint16"


def _odc(reading: Reading, corners: NDArray[np.int64], **how: Any) -> dict[str, Any]:
    """The bands under some cells, each at its own pixel size, as NumPy or Dask arrays."""
    import odc.stac
    from odc.geo.geobox import GeoBox

    odc.stac.configure_rio(cloud_defaults=True, **GDAL_ENV)
    assets = {name: {"data_type": _dtype(reading, name)} for names in reading.factors.values() for name in names}
    how["stac_cfg"] = {reading.item.collection_id: {"assets": assets}}
    found = {}
    for factor, names in reading.factors.items():
        box = GeoBox.from_bbox(spans(corners), f"EPSG:{reading.acquisition.epsg}", resolution=10 * factor)
        resampling = "bilinear" if reading.sensor.warped else "nearest"
        loaded = odc.stac.load([reading.item], bands=names, geobox=box, resampling=resampling, **how)
        found |= {name: loaded[name].data[0] for name in names}
    return found


def _cells(reading: Reading, loaded: dict[str, Any], corners: NDArray[np.int64] | None = None) -> Iterator[Any]:
    """Each cell's slices."""
    corners = reading.corners if corners is None else corners
    west, _, _, north = spans(corners)
    sizes = {name: PATCH_PX // factor for factor, names in reading.factors.items() for name in names}
    places = {size: offsets(corners, (west, north), CELL_M / size) for size in set(sizes.values())}
    for number in range(len(corners)):
        cell = {}
        for name, size in sizes.items():
            row, column = places[size][number]
            cell[name] = loaded[name][row : row + size, column : column + size]
        yield cell


def _dask(cores: int) -> Any:
    import dask

    return dask.config.set(scheduler="threads", num_workers=cores)


def _computed(cells: Iterable[Any]) -> Iterable[Arrays]:
    import dask

    computed: Iterable[Arrays] = dask.compute(*cells)
    return computed


TOOLS: dict[str, Callable[[Reading], Iterator[Arrays]]] = {
    "ours": ours,
    "judged": judged,
    "odc-eager": odc_eager,
    "stackstac-lazy": stackstac_lazy,
    "odc-lazy": odc_lazy,
    "odc-each": odc_each,
}
