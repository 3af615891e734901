"""Why the grid of a raster cannot be used for chips, and what to do about it."""

from typing import Any

from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.errors import CRSError
from rasterio.transform import Affine

from landmark.core.crs import LONLAT

_METRES = ("metre", "meter", "metres", "meters", "m")


def is_south_up(dataset: Any) -> bool:
    """Whether the rows run from south to north."""
    transform = dataset.transform
    return bool(transform.e > 0 and transform.b == transform.d == 0 and not transform.is_identity)


def north_up_transform(dataset: Any) -> Affine:
    """The transform of a dataset, of one with rows from south to north that of its rows in reverse order."""
    transform = dataset.transform
    return transform @ Affine(1, 0, 0, 0, -1, dataset.height) if is_south_up(dataset) else transform


def find_grid_problem(dataset: Any) -> str | None:
    """Describe what a raster has in place of a grid in metres, north up, with square pixels; None if it has one."""
    if points := len(dataset.gcps[0]):
        return f"{points} ground control points: warp to UTM (gdalwarp -t_srs EPSG:326xx or 327xx)"
    transform, crs = north_up_transform(dataset), dataset.crs
    if crs is None:
        return "no CRS: assign it (gdal_edit.py -a_srs)"
    if transform.is_identity:
        return "no geotransform: assign it (gdal_edit.py -a_ullr)"
    if crs.is_geographic:
        return f"{_name(crs)}, which is in degrees: {_remedy(dataset)}"
    if not crs.is_projected or crs.linear_units not in _METRES:
        return f"{_name(crs)}, which is in {crs.linear_units} and not in metres: {_remedy(dataset)}"
    if transform.b or transform.d:
        return f"a rotated or sheared geotransform {tuple(transform)[:6]}: {_remedy(dataset)}"
    if transform.a < 0 or transform.a != -transform.e:
        size = f"{transform.a:g} x {-transform.e:g} m"
        return f"pixels of {size}, neither square nor west to east: {_remedy(dataset)} -tr with one size"
    return None


def _name(crs: Any) -> str:
    """EPSG code of a CRS, or what it has instead, in one short line."""
    return f"EPSG:{code}" if (code := crs.to_epsg()) else f"the CRS {crs.to_string()[:60]}"


def _remedy(dataset: Any) -> str:
    """How to warp a raster to the UTM zone of its centre."""
    x, y = dataset.transform @ (dataset.width / 2, dataset.height / 2)
    try:
        lon, lat = Transformer.from_crs(dataset.crs.to_wkt(), LONLAT, always_xy=True).transform(x, y)
        zone = f"{326 if lat >= 0 else 327}{int((lon + 180) // 6) % 60 + 1:02d}"
    except (ProjError, CRSError, ValueError, OverflowError):
        zone = "326xx"
    return f"warp to UTM, e.g. gdalwarp -t_srs EPSG:{zone}"
