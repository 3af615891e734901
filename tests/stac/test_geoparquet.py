"""STAC-GeoParquet as a catalogue."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from landmark.config.recipe import load_recipe
from landmark.core.errors import InputError
from landmark.stac.open_catalog import open_catalog
from tests.stac.items import anywhere, collected, items_of, run_search
from tests.stac.test_search import WORLDCOVER, bare

COLLECTIONS = ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")


def written(path, items):
    to_parquet(parse_stac_items_to_arrow(items), path)
    return path


def test_geoparquet_equals_catalogue(world, recipe, tmp_path):
    items = [item for collection in COLLECTIONS for item in items_of(world, collection)]
    request = load_recipe(str(recipe()))
    table, catalogue = (
        run_search(path, request, crosswalks=(WORLDCOVER,))
        for path in (written(tmp_path / "items.parquet", items), world)
    )
    assert [bare(acquisition) for acquisition in table.acquisitions] == [
        bare(acquisition) for acquisition in catalogue.acquisitions
    ]
    assert [(acquisition.item_id, acquisition.edition) for acquisition in table.labels] == [
        (acquisition.item_id, acquisition.edition) for acquisition in catalogue.labels
    ]


@pytest.mark.parametrize(("name", "sensor"), [("sentinel-1-rtc-pc.json", "s1"), ("sentinel-2-l2a-pc.json", "s2")])
def test_real_items_equal_those_from_json(real, tmp_path, name, sensor):
    items = json.loads((real / "stac" / name).read_text())
    by_table = run_search(written(tmp_path / "items.parquet", items), anywhere(sensor)).acquisitions
    by_json = run_search(collected(tmp_path, items), anywhere(sensor)).acquisitions
    assert [bare(acquisition) for acquisition in by_table] == [bare(acquisition) for acquisition in by_json]


def test_other_parquet_is_an_error(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError) as caught:
        open_catalog(str(tmp_path / "other.parquet"))
    assert caught.value.file == str(tmp_path / "other.parquet")


def test_timestamp_columns_are_read(world, tmp_path):
    items = items_of(world, "sentinel-2-l2a")
    for item in items:
        item["properties"]["updated"] = "2022-11-06T09:32:34.081877Z"
    assert len(run_search(written(tmp_path / "items.parquet", items), anywhere("s2")).acquisitions) == len(items)
