"""Sentinel-2's radiometric offset: every dialect a row."""

import pystac
import pytest

from landmark.core.errors import InputError
from landmark.stac.offset import declared_offset, radiometric_offset

# who says it: rule, baseline, boa_offset_applied, declared offset → digital numbers to subtract, words of the reason
ROWS = {
    "Planetary Computer, new": ("baseline", "04.00", None, None, 1000, "baseline 04.00"),
    "Planetary Computer, reprocessed old scene": ("baseline", "05.10", None, None, 1000, "baseline 05.10"),
    "Planetary Computer, old": ("baseline", "02.12", None, None, 0, "baseline 02.12: none"),
    "Earth Search v1, old": ("declared", "02.14", False, 0.0, 0, "declared 0: none"),
    "Earth Search v1, new: declared though removed": ("declared", "04.00", True, -0.1, 0, "boa_offset_applied"),
    "Earth Search v1, new and said to be raw": ("declared", "05.09", False, 0.0, 1000, "baseline 05.09: 1000"),
    "Earth Search v1, flag alone": ("declared", "05.09", True, None, 0, "boa_offset_applied"),
    "Collection 1, CDSE, stactools": ("declared", "05.00", None, -0.1, 1000, "declared -0.1: 1000"),
    "Collection 1, old": ("declared", "02.14", None, 0.0, 0, "declared 0: none"),
    "an odd one": ("declared", "05.09", None, -0.7, 7000, "declared -0.7: 7000"),
    "AWS JP2, no flag": ("declared", "04.00", None, -0.1, 1000, "declared -0.1"),
    "declares nothing, old": ("declared", "03.01", None, None, 0, "baseline 03.01: none"),
    "declared without a baseline": ("declared", None, None, -0.1, 1000, "declared -0.1"),
    "a provider that never has any": ("none", "05.10", None, -0.1, 0, None),
}


@pytest.mark.parametrize(("rule", "baseline", "applied", "declared", "offset_dn", "why"), ROWS.values(), ids=ROWS)
def test_what_is_subtracted_follows_from_what_the_item_says(rule, baseline, applied, declared, offset_dn, why):
    got, reason = radiometric_offset(rule, baseline=baseline, applied=applied, declared=declared)
    assert got == offset_dn
    assert reason is None if why is None else why in reason


@pytest.mark.parametrize(
    ("rule", "baseline", "words"),
    [
        ("baseline", None, "baseline is unknown"),
        ("declared", None, "baseline is unknown"),
        ("declared", "04.00", "no band declares `raster:offset`"),
    ],
)
def test_what_leaves_the_offset_unknown_is_refused(rule, baseline, words):
    with pytest.raises(InputError, match=words):
        radiometric_offset(rule, baseline=baseline, applied=None, declared=None)


def item(properties=(), *bands):
    when = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}
    made = pystac.Item("one", None, None, None, {**dict(properties), **when})
    for number, fields in enumerate(bands):
        made.add_asset(f"B{number:02d}", pystac.Asset("x.tif", extra_fields=fields))
    return made


PLACES = {
    "raster extension 1, per band": item((), {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}),
    "raster extension 2, on the asset": item((), {"raster:scale": 0.0001, "raster:offset": -0.1}),
    "STAC 1.1, bands of the asset": item((), {"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}),
    "on the item": item({"raster:scale": 0.0001, "raster:offset": -0.1}, {}),
    "on the item, per band": item({"raster:bands": [{"offset": -0.1}]}, {}),
    "on the asset before the item": item({"raster:offset": 0.0}, {"raster:bands": [{"offset": -0.1}]}),
    "the same on every band": item((), {"raster:offset": -0.1}, {"raster:offset": -0.1}),
}


@pytest.mark.parametrize("one", PLACES.values(), ids=PLACES)
def test_a_declared_offset_is_found_where_it_stands(one):
    assert declared_offset(one, one.assets) == -0.1


def test_silence_declares_nothing():
    one = item((), {"raster:bands": [{"nodata": 0}]}, {})
    assert declared_offset(one, one.assets) is None


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (item((), {"raster:offset": -0.1}, {"raster:offset": 0.0}), "different offsets: -0.1 to 0"),
        (item((), {"raster:offset": "minus"}), "'minus'.*is no number"),
        (item((), {"raster:offset": -0.1, "raster:scale": 0.001}), "`raster:scale` is 0.001"),
    ],
    ids=["bands disagree", "a word", "another scale"],
)
def test_a_declaration_nobody_can_obey_is_refused_by_item(one, words):
    with pytest.raises(InputError, match=f"item one: .*{words}"):
        declared_offset(one, one.assets)
