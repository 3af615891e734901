"""Images whose files are not as their items or the provider's profile say: read right, or refused by name."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import yaml
from rasterio.transform import Affine

from landmark.core.resources import resource_dir
from tests.stac.items import collected, items_of

OPTICAL = "sentinel-2-l2a"
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]


@pytest.fixture
def item(world, tmp_path):
    """A Sentinel-2 item with its files in a folder of its own."""
    first = next(item for item in items_of(world, OPTICAL) if item["properties"]["eo:cloud_cover"] < 30)
    (tmp_path / "files").mkdir()
    for asset in first["assets"].values():
        if asset["href"].endswith(".tif"):
            asset["href"] = shutil.copy(asset["href"], tmp_path / "files")
    return first


@pytest.fixture
def small(recipe, tmp_path):
    """Arguments of a command over one item."""

    def arguments(command, item, *options, **changes):
        changes = {"sensors": ["s2"], "labels": [], "clouds": {"max_item_pct": 100, "max_chip_pct": 100}} | changes
        path = recipe(catalog=str(collected(tmp_path, [item])), **changes)
        return command, path, "--out", tmp_path / "corpus", "--workers", 0, *options

    return arguments


def rewrite(item, bands=BANDS, **profile):
    """Write files anew with another profile; the pixels stay, `stack` is the number of bands."""
    stack = profile.pop("stack", 1)
    for band in bands:
        path = item["assets"][band]["href"]
        with rasterio.open(path) as data:
            options, pixels = data.profile | profile | {"count": stack}, data.read(1)
        with rasterio.open(path, "w", **options) as data:
            data.write(np.stack([pixels] * stack))


def grid(item, *, transform=None, shape=None):
    """Change the grid that the item gives for every band."""
    for asset in item["assets"].values():
        if "proj:transform" in asset:
            asset["proj:transform"] = (transform or list)(asset["proj:transform"])
            asset["proj:shape"] = (shape or list)(asset["proj:shape"])


@pytest.fixture
def digests(landmark, small, tmp_path):
    """Build one item and return the digest of each sample's pixels by its id."""

    def run(item, **changes):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        code, _, err = landmark(*small("build", item, **changes))
        assert code == 0, err
        table = pq.read_table(tmp_path / "corpus/index.parquet", columns=["id", "sha256"])
        return dict(zip(*table.to_pydict().values(), strict=True))

    return run


def pixel_centres(values):
    return [*values[:2], values[2] + values[0] / 2, *values[3:5], values[5] + values[4] / 2]


WRONG_GRIDS = {
    "the shape is halved": {"shape": lambda shape: [size // 2 for size in shape]},
    "the transform gives pixel centres": {"transform": pixel_centres},
    "another origin": {"transform": lambda values: [*values[:2], values[2] + 60_000, *values[3:]]},
}


def test_the_header_is_right_where_the_item_is_wrong(item, digests, tmp_path):
    expected = digests(item)
    original = json.dumps(item["assets"])
    for name, change in WRONG_GRIDS.items():
        item["assets"] = json.loads(original)
        grid(item, **change)
        assert digests(item) == expected, name
        findings = json.loads((tmp_path / "corpus/lock.json").read_text())["findings"]
        assert any(item["id"] in line for line in findings), name


def test_rows_from_south_to_north_give_the_same_corpus(item, digests):
    expected = digests(item)
    for asset in item["assets"].values():
        with rasterio.open(asset["href"]) as data:
            profile, pixels, (a, _, left, _, e, top) = data.profile, data.read(1), tuple(data.transform)[:6]
        profile["transform"] = Affine(a, 0, left, 0, -e, top + e * len(pixels))
        with rasterio.open(asset["href"], "w", **profile) as data:
            data.write(pixels[::-1], 1)
    grid(item, transform=lambda values: [*values[:4], -values[4], values[5] + values[4] * 366])
    assert digests(item) == expected


UNUSABLE = {
    "two bands": ({"stack": 2}, "2 bands"),
    "degrees": ({"crs": "EPSG:4326", "transform": Affine(1e-4, 0, 11.9, 0, -1e-4, 45.4)}, "EPSG:32632"),
    "rotated": ({"transform": Affine(10, 1, 7e5, 1, -10, 5e6)}, "rotated"),
    "no CRS": ({"crs": None}, "CRS"),
}


@pytest.mark.parametrize(("profile", "word"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.parametrize("band", ["B02", "SCL"])
def test_images_that_cannot_be_used_are_refused_by_their_header(item, small, refusal, band, profile, word):
    rewrite(item, [band], **profile)
    error = refusal(*small("plan", item))
    assert (error.key, error.value, error.exit_code) == ("sensors", "s2", 2)
    assert word in str(error) and band in str(error)


def test_an_image_in_degrees_is_refused_by_name_if_the_item_agrees(item, small, refusal):
    transform = Affine(1e-4, 0, 11.9, 0, -1e-4, 45.4)
    rewrite(item, crs="EPSG:4326", transform=transform)
    item["properties"]["proj:epsg"] = 4326
    grid(item, transform=lambda _: list(transform)[:6])
    error = refusal(*small("plan", item))
    assert error.value == "s2" and "EPSG:32632" in str(error)


@pytest.fixture
def stacked(item, tmp_path):
    """The item with its twelve bands, brought to the finest pixels, in one file."""
    paths = [item["assets"][band]["href"] for band in BANDS]
    with rasterio.open(item["assets"]["B02"]["href"]) as data:
        profile, size = data.profile, data.height
    bands = []
    for path in paths:
        with rasterio.open(path) as data:
            factor = size // data.height
            bands.append(data.read(1).repeat(factor, axis=0).repeat(factor, axis=1))
    with rasterio.open(tmp_path / "files/stack.tif", "w", **profile | {"count": 12}) as data:
        data.write(np.stack(bands))
    stack = item["assets"]["B02"] | {"href": str(tmp_path / "files/stack.tif")}
    return item | {"assets": {"image": stack, "SCL": item["assets"]["SCL"]}}


def provider(tmp_path, **s2):
    """A provider's profile with changes to Sentinel-2."""
    base = yaml.safe_load((resource_dir("profiles/providers") / "planetary-computer.yaml").read_text())
    base["sensors"] = {"s2": base["sensors"]["s2"] | s2}
    path = tmp_path / "provider.yaml"
    path.write_text(yaml.safe_dump(base))
    return str(path)


def test_a_file_of_all_bands_is_read_by_the_profiles_list(item, stacked, digests, tmp_path):
    expected = digests(item)
    listed = {"assets": {"SCL": "SCL"}, "bands": {"image": BANDS}}
    assert digests(stacked, provider=provider(tmp_path, **listed)) == expected
    (locked,) = json.loads((tmp_path / "corpus/lock.json").read_text())["acquisitions"]
    assert locked["items"][0]["bands"] == {band: number for number, band in enumerate(BANDS, start=1)}


def test_a_file_of_all_bands_is_read_by_the_items_list(item, stacked, digests, tmp_path):
    expected = digests(item)
    stacked["assets"]["image"]["eo:bands"] = [{"name": band} for band in BANDS]
    shared = {"assets": dict.fromkeys(BANDS, "image") | {"SCL": "SCL"}}
    assert digests(stacked, provider=provider(tmp_path, **shared)) == expected


def test_several_bands_with_the_same_file_and_no_number_are_refused(stacked, small, refusal, tmp_path):
    shared = {"assets": dict.fromkeys(BANDS, "image") | {"SCL": "SCL"}}
    error = refusal(*small("plan", stacked, provider=provider(tmp_path, **shared)))
    assert error.exit_code == 2 and "bands: {image:" in str(error)


def test_nodata_of_the_header_is_no_reflectance(item, landmark, small, tmp_path):
    path = item["assets"]["B03"]["href"]
    with rasterio.open(path) as data:
        profile, pixels = data.profile, data.read(1)
    pixels[150:180, 150:180] = 65535
    with rasterio.open(path, "w", **profile | {"nodata": 65535}) as data:
        data.write(pixels, 1)
    code, _, err = landmark(*small("build", item, min_valid_pct=0))
    assert code == 0, err
    table = pq.read_table(tmp_path / "corpus/index.parquet", columns=["valid_pct"])
    assert min(table["valid_pct"].to_pylist()) < 97
