"""Every kind of raster gives the very bits rasterio reads, from a disk and over HTTP."""

import shutil
import warnings

import pytest
import rasterio
from hypothesis import example, given
from hypothesis import strategies as st
from rasterio.errors import NotGeoreferencedWarning

from landmark.raster.reader import Header, open_raster
from landmark.raster.source import GDAL_OPTIONS
from tests.parts import examples
from tests.raster.kinds import KINDS
from tests.raster.serving import serving

SIZES = (1, 20, 60, 120, 121, 200)
# A place is a fraction of the way a chip can be moved: 0 and 1 touch the edges, and with them partial blocks.
EDGES = [(0, 0), (0, 1), (0.4, 0.6), (0.4, 0.7), (1, 0), (1, 1)]
SIGNED = "sv=2021-08-06&se=2021-06-01T12%3A00%3A00Z&sig=a%2Fb%2Bc%3D"

each = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.name) for kind in KINDS])
some = pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=kind.name) for kind in KINDS if kind.name in ("cog", "lzma")]
)
places = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=9)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="session")
def served(folder):
    with serving(folder) as files:
        yield files


@pytest.fixture(scope="session")
def built(folder):
    """Makes each kind once: (its path, what rasterio reads of its first band)."""
    made = {}

    def build(kind):
        if kind.name not in made:
            path = folder / f"{kind.name}.tif"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                kind.make(path)
                with rasterio.open(path) as data:
                    made[kind.name] = path, data.read(1)
        return made[kind.name]

    return build


def corners(shape, size, places):
    return sorted((round(down * (shape[0] - size)), round(right * (shape[1] - size))) for down, right in places)


def check(href, pixels, size, places):
    size = min(size, *pixels.shape)
    at = corners(pixels.shape, size, places)
    with open_raster(href) as raster:
        chips = list(raster.chips(at, size))
    assert len(chips) == len(at)
    for chip, (row, col) in zip(chips, at, strict=True):
        expected = pixels[row : row + size, col : col + size]
        assert chip.dtype == expected.dtype and chip.shape == expected.shape
        assert chip.tobytes() == expected.tobytes()


@each
@given(size=st.sampled_from(SIZES), places=places)
@example(size=20, places=[])
@example(size=121, places=EDGES)
@examples(2)
def test_chips_are_bit_identical_to_rasterio(built, kind, size, places):
    path, pixels = built(kind)
    check(str(path), pixels, size, places)


@each
def test_chips_are_bit_identical_over_http(built, served, kind):
    path, pixels = built(kind)
    check(served.href(path.name, SIGNED), pixels, 120, EDGES)


@each
def test_the_header_is_what_rasterio_says(built, kind):
    path, _ = built(kind)
    with rasterio.Env(**GDAL_OPTIONS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        data = rasterio.open(path)
    with data, open_raster(str(path)) as raster:
        at = data.transform
        expected = Header(
            epsg=data.crs.to_epsg() if data.crs else None,
            origin=(at.c, at.f),
            pixel_size=at.a,
            shape=data.shape,
            dtype=data.dtypes[0],
            nodata=data.nodata,
            north_up=at.is_rectilinear and at.a == -at.e > 0,
            unit=data.units[0] or "",
        )
        assert repr(raster.header) == repr(expected)  # a nodata of NaN equals no other


@each
def test_which_path_each_raster_takes(built, served, kind):
    path, _ = built(kind)
    for href in (str(path), served.href(path.name)):
        with open_raster(href) as raster:
            way, _, why = raster.route.partition(": ")
        assert way == kind.route and bool(why) == (way == "gdal")


@some
@pytest.mark.parametrize("name", ["a b.tif", "a%20b.tif", "a+b&c.tif", "50%.tif", "ä.tif", "in/two folders/a.tif"])
@pytest.mark.parametrize("query", ["", SIGNED, "sig=%3D%26"])
def test_a_file_of_any_name_is_read(built, folder, served, kind, name, query):
    path, pixels = built(kind)
    there = folder / kind.name / name
    if not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    check(str(there), pixels, 60, EDGES)
    check(served.href(f"{kind.name}/{name}", query), pixels, 60, EDGES)
    asked = served.asked(f"{kind.name}/{name}")
    assert {request.query for request in asked[-3:]} == {query}
