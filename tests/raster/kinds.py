"""A small raster of every kind that occurs, and the route each is expected to take."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window

from tests.raster.rasters import noise, write_raster

SHAPE = (300, 260)
REALS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")
# Options left to drivers that name them differently.
_UNTILED = {"tiled": False, "blockysize": None}
_COG = {"driver": "COG", "BLOCKSIZE": 128, **_UNTILED}


@dataclass(frozen=True)
class Kind:
    """A kind of raster.

    Attributes:
        route: Expected route.
    """

    name: str
    make: Callable[[Path], object]
    route: Literal["direct", "gdal"] = "direct"


@cache
def pixels(dtype: str, shape: tuple[int, int] = SHAPE) -> NDArray[Any]:
    """A ramp, noise over the type's range, a constant part, and special floating-point values."""
    values = noise(shape, dtype)
    height, width = shape
    values[: height // 2, : width // 2] = np.add.outer(np.arange(height // 2), np.arange(width // 2)) % 120
    values[height // 2 : height // 2 + 70, : width // 3] = 0
    if values.dtype.kind == "f":
        special = [np.nan, np.inf, -np.inf, -0.0, np.finfo(values.dtype).smallest_subnormal, np.finfo(values.dtype).max]
        values[7::31, 5::17] = np.resize(special, values[7::31, 5::17].shape)
    values.flags.writeable = False
    return values


def _raster(values: NDArray[Any], **options: Any) -> Callable[[Path], object]:
    return lambda path: write_raster(path, values, **options)


def _updated(path: Path, values: NDArray[Any], *, levels: tuple[int, ...] = (), **tags: str) -> None:
    """Update a finished file, which moves its header to the end."""
    write_raster(path, values)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(levels)
        dataset.update_tags(**tags)


def _masked(path: Path, values: NDArray[Any]) -> None:
    write_raster(path, values)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(values > np.median(values))


def _copied(path: Path, first: Callable[[Path], object], **options: Any) -> None:
    """Copy a raster as `gdal_translate` does."""
    before = path.with_name(f"before {path.name}")
    first(before)
    rasterio.shutil.copy(before, path, **options)
    before.unlink()


def _scaled(path: Path, values: NDArray[Any]) -> None:
    write_raster(path, values)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets, dataset.units = (0.0001,), (-0.1,), ("1",)


def _sparse(
    path: Path, shape: tuple[int, int] = SHAPE, *, nodata: float | None, block: int = 64, last: bool = True
) -> None:
    """Write the blocks in the first and the last corner only; the file lacks the others."""
    layout = {"tiled": True, "blockxsize": block, "blockysize": block, "compress": "deflate", "nodata": nodata}
    shaped = {"height": shape[0], "width": shape[1], "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", driver="GTiff", SPARSE_OK=True, **shaped, **layout) as dataset:
        part = noise((block, block), "uint16")
        for row, col in ((0, 0), (shape[0] - block, shape[1] - block))[: 1 + last]:
            dataset.write(part, 1, window=Window(col, row, block, block))


def _old_deflate(path: Path) -> None:
    """Deflate under its older compression number (32946)."""
    write_raster(path, pixels("uint16"))
    tag = b"\x03\x01\x03\x00\x01\x00\x00\x00"
    content = path.read_bytes()
    assert content.count(tag + b"\x08\x00") == 1
    path.write_bytes(content.replace(tag + b"\x08\x00", tag + b"\xb2\x80"))


def _codings(dtype: str, *codecs: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every codec with every predictor it supports: (name, options)."""
    for codec in codecs:
        for predictor in (1, 2, 3) if codec else (1,):
            if predictor < 3 or dtype.startswith("float"):
                options = {"predictor": predictor} if codec else {}
                yield f"{codec or 'plain'}-{predictor}-{dtype}", {"compress": codec, **options}


def _codecs() -> Iterator[Kind]:
    for dtype in REALS:
        codecs = ("lzw", "zstd") if dtype not in ("int8", "uint64", "int64") else ()
        for name, coding in _codings(dtype, None, "deflate", *codecs):
            yield Kind(name, _raster(pixels(dtype), **coding))
    for dtype in ("uint16", "float64"):
        for name, coding in _codings(dtype, None, "deflate", "lzw"):
            yield Kind(f"big-endian-{name}", _raster(pixels(dtype), ENDIANNESS="BIG", **coding), "gdal")
    for dtype in ("uint8", "uint16", "float32"):
        for codec in ("packbits", "lerc_zstd"):
            yield Kind(f"{codec}-{dtype}", _raster(pixels(dtype), compress=codec), "gdal")
    yield Kind("lzma", _raster(pixels("uint16"), compress="lzma"), "gdal")
    for part in ("float32", "float64"):
        values = np.stack([pixels(part), pixels(part)[::-1]], -1).view(f"complex{np.dtype(part).itemsize * 16}")[..., 0]
        for codec in (None, "deflate"):
            yield Kind(f"{codec or 'plain'}-{values.dtype}", _raster(values, compress=codec), "gdal")


def _layouts() -> Iterator[Kind]:
    for name, codec in (("plain", {"compress": None}), ("deflate-2", {"predictor": 2})):
        for height, width in ((16, 16), (64, 64), (128, 128), (256, 256), (512, 512), (32, 128), (256, 16), (304, 272)):
            yield Kind(
                f"tiles-{height}x{width}-{name}", _raster(pixels("int16"), blockysize=height, blockxsize=width, **codec)
            )
        for rows in (1, 7, 64, 300, 400, None):
            yield Kind(f"strips-{rows}-{name}", _raster(pixels("int16"), tiled=False, blockysize=rows, **codec))
    yield Kind("bigtiff", _raster(pixels("uint16"), BIGTIFF="YES", predictor=2))
    yield Kind("bigtiff-big-endian", _raster(pixels("uint16"), BIGTIFF="YES", predictor=2, ENDIANNESS="BIG"), "gdal")


def _several() -> Iterator[Kind]:
    bands = np.stack([pixels("uint16"), pixels("uint16")[::-1], pixels("uint16")[:, ::-1]])
    colours = bands.astype("uint8")
    for interleave in ("pixel", "band"):
        for predictor in (1, 2):
            make = _raster(bands, interleave=interleave, predictor=predictor)
            yield Kind(f"three-bands-{interleave}-{predictor}", make, "gdal" if interleave == "pixel" else "direct")
    for interleave, route in (("pixel", "gdal"), ("band", "direct")):
        make = _raster(bands, interleave=interleave, tiled=False, blockysize=9)
        yield Kind(f"three-bands-{interleave}-strips", make, route)
    yield Kind("jpeg", _raster(colours[0], compress="jpeg"), "gdal")
    yield Kind("jpeg-ycbcr", _raster(colours, compress="jpeg", photometric="YCBCR", interleave="pixel"), "gdal")
    yield Kind("webp", _raster(colours, compress="webp", WEBP_LOSSLESS=True, interleave="pixel"), "gdal")
    yield Kind("jp2", _raster(pixels("uint16"), driver="JP2OpenJPEG", compress=None, **_UNTILED), "gdal")


def _headers() -> Iterator[Kind]:
    values = pixels("uint16")
    yield Kind("cog", _raster(values, compress="deflate", **_COG))
    yield Kind("cog-zstd-predictor", _raster(values, **_COG | {"compress": "zstd", "PREDICTOR": "YES"}))
    yield Kind("cog-float", _raster(pixels("float32"), compress="deflate", PREDICTOR="YES", **_COG))
    yield Kind("cog-mask", partial(_copied, first=partial(_masked, values=values), driver="COG", BLOCKSIZE=128), "gdal")
    pyramid = partial(_updated, values=values, levels=(2, 4))
    yield Kind("overviews-at-the-end", pyramid)
    leader = {"copy_src_overviews": True, "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    yield Kind("block-leaders", partial(_copied, first=pyramid, driver="GTiff", **leader))
    yield Kind("mask", partial(_masked, values=values), "gdal")
    yield Kind("header-at-the-end", partial(_updated, values=values, note="x" * 3000))
    yield Kind("many-tags", partial(_updated, values=values, **{f"k{n}": "x" * 100 for n in range(2000)}))
    yield Kind("long-index", _raster(noise((2768, 2768), "uint8"), blockxsize=16, blockysize=16))
    yield Kind("long-sparse-index", partial(_sparse, shape=(2768, 2768), nodata=None, block=16))
    yield Kind("long-index-of-strips", _raster(noise((30_000, 24), "uint8"), tiled=False, blockysize=1))


def _values() -> Iterator[Kind]:
    for nodata in (None, 0, 7, 65535):
        yield Kind(f"sparse-{nodata}", partial(_sparse, nodata=nodata))
    yield Kind("sparse-to-its-end", partial(_sparse, nodata=7, last=False))
    yield Kind("nodata-nan", _raster(pixels("float32"), nodata=np.nan, predictor=3))
    yield Kind("nodata-lowest-float", _raster(pixels("float32"), nodata=float(np.finfo("float32").min)))
    yield Kind("nodata-uint64", _raster(pixels("uint64"), nodata=2**63))
    yield Kind("scaled", partial(_scaled, values=pixels("int16")))
    yield Kind("nbits-12", _raster(pixels("uint16") % 4096, NBITS=12), "gdal")
    yield Kind("nbits-1", _raster(pixels("uint8") % 2, NBITS=1), "gdal")
    yield Kind("nbits-16-float", _raster(pixels("float32"), NBITS=16, predictor=2), "gdal")
    yield Kind("white-is-zero", _raster(pixels("uint8"), photometric="miniswhite"))
    yield Kind("palette", _raster(pixels("uint8"), photometric="palette"))
    yield Kind("deflate-older-number", _old_deflate)
    yield Kind("one-pixel", _raster(pixels("uint16", (4, 4))[:1, :1]))
    yield Kind("not-georeferenced", _raster(pixels("uint16"), crs=None, transform=None))


KINDS = [*_codecs(), *_layouts(), *_several(), *_headers(), *_values()]
