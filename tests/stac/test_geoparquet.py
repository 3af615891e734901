"""STAC-GeoParquet is one more document."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stac_geoparquet.arrow import parse_stac_items_to_arrow, to_parquet

from landmark.config.recipe import load_recipe
from landmark.core.errors import InputError
from landmark.stac.open_catalog import open_catalog
from tests.stac.items import anywhere, collected, found_in, items_of
from tests.stac.test_search import WORLDCOVER, bare

COLLECTIONS = ("sentinel-1-rtc", "sentinel-2-l2a", "esa-worldcover")


def written(path, items):
    to_parquet(parse_stac_items_to_arrow(items), path)
    return path


def test_a_table_of_items_is_found_like_the_catalogue(world, recipe, tmp_path):
    items = [item for collection in COLLECTIONS for item in items_of(world, collection)]
    asked = load_recipe(str(recipe()))
    table, catalogue = (
        found_in(path, asked, crosswalks=(WORLDCOVER,)) for path in (written(tmp_path / "items.parquet", items), world)
    )
    assert [bare(one) for one in table.acquisitions] == [bare(one) for one in catalogue.acquisitions]
    assert [(one.item_id, one.edition) for one in table.labels] == [(one.item_id, one.edition) for one in catalogue.labels]


@pytest.mark.parametrize(("name", "sensor"), [("sentinel-1-rtc-pc.json", "s1"), ("sentinel-2-l2a-pc.json", "s2")])
def test_real_items_are_read_as_from_json(real, tmp_path, name, sensor):
    items = json.loads((real / "stac" / name).read_text())
    by_table = found_in(written(tmp_path / "items.parquet", items), anywhere(sensor)).acquisitions
    by_json = found_in(collected(tmp_path, items), anywhere(sensor)).acquisitions
    assert [bare(one) for one in by_table] == [bare(one) for one in by_json]


def test_a_table_of_something_else_is_refused_with_its_path(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: not STAC-GeoParquet"):
        open_catalog(str(tmp_path / "other.parquet"))


def test_a_column_of_times_is_text_as_in_json(world, tmp_path):
    items = items_of(world, "sentinel-2-l2a")
    for item in items:
        item["properties"]["updated"] = "2022-11-06T09:32:34.081877Z"
    assert len(found_in(written(tmp_path / "items.parquet", items), anywhere("s2")).acquisitions) == len(items)
