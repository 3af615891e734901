"""Radiometric offset of Sentinel-2, by the metadata of every provider."""

import pystac
import pytest

from landmark.core.errors import InputError
from landmark.stac.offset import declared_offset, radiometric_offset

# Provider → rule, baseline, boa_offset_applied, declared offset; offset to subtract, part of the reason.
ROWS = {
    "Planetary Computer, new": ("baseline", "04.00", None, None, 1000, "baseline 04.00"),
    "Planetary Computer, reprocessed old scene": ("baseline", "05.10", None, None, 1000, "baseline 05.10"),
    "Planetary Computer, old": ("baseline", "02.12", None, None, 0, "baseline 02.12: none"),
    "Earth Search v1, old": ("declared", "02.14", False, 0.0, 0, "declared 0: none"),
    "Earth Search v1, new: declared after removal": ("declared", "04.00", True, -0.1, 0, "boa_offset_applied"),
    "Earth Search v1, new and flagged as raw": ("declared", "05.09", False, 0.0, 1000, "baseline 05.09: 1000"),
    "Earth Search v1, flag alone": ("declared", "05.09", True, None, 0, "boa_offset_applied"),
    "Collection 1, CDSE, stactools": ("declared", "05.00", None, -0.1, 1000, "declared -0.1: 1000"),
    "Collection 1, old": ("declared", "02.14", None, 0.0, 0, "declared 0: none"),
    "an unusual value": ("declared", "05.09", None, -0.7, 7000, "declared -0.7: 7000"),
    "AWS JP2, no flag": ("declared", "04.00", None, -0.1, 1000, "declared -0.1"),
    "declares nothing, old": ("declared", "03.01", None, None, 0, "baseline 03.01: none"),
    "declared without a baseline": ("declared", None, None, -0.1, 1000, "declared -0.1"),
    "a provider that never has any": ("none", "05.10", None, -0.1, 0, None),
}


@pytest.mark.parametrize(("rule", "baseline", "applied", "declared", "offset_dn", "why"), ROWS.values(), ids=ROWS)
def test_offset_follows_from_metadata(rule, baseline, applied, declared, offset_dn, why):
    result, reason = radiometric_offset(rule, baseline=baseline, applied=applied, declared=declared)
    assert result == offset_dn
    assert reason is None if why is None else why in reason


@pytest.mark.parametrize(
    ("rule", "baseline", "key"),
    [
        ("baseline", None, "s2:processing_baseline"),
        ("declared", None, "s2:processing_baseline"),
        ("declared", "04.00", "raster:offset"),
    ],
)
def test_unknown_offset_is_an_error(rule, baseline, key):
    with pytest.raises(InputError) as caught:
        radiometric_offset(rule, baseline=baseline, applied=None, declared=None)
    assert caught.value.key == key


def item(properties=(), *bands):
    interval = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}
    made = pystac.Item("one", None, None, None, {**dict(properties), **interval})
    for number, fields in enumerate(bands):
        made.add_asset(f"B{number:02d}", pystac.Asset("x.tif", extra_fields=fields))
    return made


LEVELS = {
    "raster extension 1, per band": item((), {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}),
    "raster extension 2, on the asset": item((), {"raster:scale": 0.0001, "raster:offset": -0.1}),
    "STAC 1.1, bands of the asset": item((), {"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}),
    "on the item": item({"raster:scale": 0.0001, "raster:offset": -0.1}, {}),
    "on the item, per band": item({"raster:bands": [{"offset": -0.1}]}, {}),
    "on the asset before the item": item({"raster:offset": 0.0}, {"raster:bands": [{"offset": -0.1}]}),
    "the same on every band": item((), {"raster:offset": -0.1}, {"raster:offset": -0.1}),
}


@pytest.mark.parametrize("declaring", LEVELS.values(), ids=LEVELS)
def test_declared_offset_is_read_at_any_level(declaring):
    assert declared_offset(declaring, declaring.assets) == -0.1


def test_undeclared_offset_is_none():
    undeclared = item((), {"raster:bands": [{"nodata": 0}]}, {})
    assert declared_offset(undeclared, undeclared.assets) is None


@pytest.mark.parametrize(
    ("invalid", "key", "value"),
    [
        (item((), {"raster:offset": -0.1}, {"raster:offset": 0.0}), "raster:offset", [-0.1, 0.0]),
        (item((), {"raster:offset": "minus"}), "raster:offset", "minus"),
        (item((), {"raster:offset": -0.1, "raster:scale": 0.001}), "raster:scale", 0.001),
    ],
    ids=["bands disagree", "text", "another scale"],
)
def test_invalid_declared_offset_is_an_error(invalid, key, value):
    with pytest.raises(InputError) as caught:
        declared_offset(invalid, invalid.assets)
    assert (caught.value.key, caught.value.value) == (key, value)
    assert caught.value.file == f"item {invalid.id}"
