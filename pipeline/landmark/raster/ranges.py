"""Byte ranges of rasters: which of them this package requests itself."""

from urllib.parse import urlsplit

from landmark.core.hosts import HTTP, is_url
from landmark.core.ranges.http_file import HttpFile
from landmark.core.ranges.range_reader import LocalFile, NoRanges, RangeReader, RefusedFile
from landmark.raster.source import RasterSource


def open_ranges(source: RasterSource) -> RangeReader:
    """Return the range reader of a source; where only GDAL can read it, one that raises `NoRangeSupport`.

    Raises:
        InputError: a `GDAL_HTTP_*` variable is not supported.
    """
    if (refusal := source.refusal) is not None:
        return RefusedFile(refusal)
    if (scheme := urlsplit(source.href).scheme.lower()) in HTTP:
        return HttpFile(source)
    return NoRanges(f"{scheme} is for GDAL") if is_url(source.href) else LocalFile(source.href)
