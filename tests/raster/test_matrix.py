"""Every kind of raster gives exactly the pixels rasterio reads, from disk and over HTTP."""

import shutil
import warnings

import pytest
import rasterio
from hypothesis import example, given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from landmark.raster.reader import Header, open_raster
from tests.parts import examples
from tests.raster.kinds import KINDS
from tests.raster.serving import serving

SIZES = (1, 20, 60, 120, 121, 200)
# A position is a fraction of the way a chip can be moved: 0 and 1 touch the edges, and with them partial blocks.
EDGES = [(0, 0), (0, 1), (0.4, 0.6), (0.4, 0.7), (1, 0), (1, 1)]
SIGNED = "sv=2021-08-06&se=2021-06-01T12%3A00%3A00Z&sig=a%2Fb%2Bc%3D"

every_kind = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS])
two_kinds = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.name in ("cog", "lzma")]
)
position_lists = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=9)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="session")
def served(folder):
    with serving(folder) as files:
        yield files


@pytest.fixture(scope="session")
def built(folder):
    """Writes each kind once; returns (its path, what rasterio reads of its first band)."""
    cache = {}

    def build(kind):
        if kind.name not in cache:
            path = folder / f"{kind.name}.tif"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                kind.make(path)
                with rasterio.open(path) as dataset:
                    cache[kind.name] = path, dataset.read(1)
        return cache[kind.name]

    return build


def check(href, pixels, size, positions):
    size = min(size, *pixels.shape)
    height, width = pixels.shape
    corners = sorted((round(down * (height - size)), round(right * (width - size))) for down, right in positions)
    with open_raster(href) as raster:
        chips = list(raster.chips(corners, size))
    assert len(chips) == len(corners)
    for chip, (row, col) in zip(chips, corners, strict=True):
        expected = pixels[row : row + size, col : col + size]
        assert chip.dtype == expected.dtype and chip.shape == expected.shape
        assert chip.tobytes() == expected.tobytes()


@every_kind
@given(size=st.sampled_from(SIZES), positions=position_lists)
@example(size=20, positions=[])
@example(size=121, positions=EDGES)
@examples(2)
def test_chips_are_bit_identical_to_rasterio(built, kind, size, positions):
    path, pixels = built(kind)
    check(str(path), pixels, size, positions)


@every_kind
def test_chips_are_bit_identical_over_http(built, served, kind):
    path, pixels = built(kind)
    check(served.href(path.name, SIGNED), pixels, 120, EDGES)


@every_kind
def test_the_header_equals_rasterios(built, kind):
    path, _ = built(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path)
    with dataset, open_raster(str(path)) as raster:
        transform = dataset.transform
        expected = Header(
            epsg=dataset.crs.to_epsg() if dataset.crs else None,
            origin=(transform.c, transform.f),
            pixel_size=transform.a,
            shape=dataset.shape,
            dtype=dataset.dtypes[0],
            nodata=dataset.nodata,
            north_up=transform.is_rectilinear and transform.a == -transform.e > 0,
            unit=dataset.units[0] or "",
            n_bands=dataset.count,
        )
        assert repr(raster.header) == repr(expected)  # a nodata of NaN equals no other


@every_kind
def test_each_kind_takes_the_expected_route(built, served, kind):
    path, _ = built(kind)
    for href in (str(path), served.href(path.name)):
        with open_raster(href) as raster:
            route, _, reason = raster.route.partition(": ")
        assert route == kind.route and bool(reason) == (route == "gdal")


@two_kinds
@pytest.mark.parametrize("name", ["a b.tif", "a%20b.tif", "a+b&c.tif", "50%.tif", "ä.tif", "in/two folders/a.tif"])
@pytest.mark.parametrize("query", ["", SIGNED, "sig=%3D%26"])
def test_a_file_of_any_name_is_read(built, folder, served, kind, name, query):
    path, pixels = built(kind)
    copy = folder / kind.name / name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    check(str(copy), pixels, 60, EDGES)
    check(served.href(f"{kind.name}/{name}", query), pixels, 60, EDGES)
    requests = served.requests(f"{kind.name}/{name}")
    assert {request.query for request in requests[-3:]} == {query}
