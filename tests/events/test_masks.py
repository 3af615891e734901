import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.crs import LONLAT, transformer
from landmark.domain.event import Part
from landmark.domain.schemas import cover_schema
from landmark.events.masks import marks_at
from landmark.grid.points import Points
from landmark.labels.counts import cover_units, gathered, measure
from tests.domain.impacts import event, grounds
from tests.labels.maps import each_alone
from tests.labels.test_counts import year
from tests.parts import cell_table, examples

LEFT, TOP = 600_000.0, 5_040_000.0


def lonlat(left, bottom, right, top):
    """A rectangle of the zone's grid, metres from the first cell's corner, in degrees."""
    box = shapely.segmentize(shapely.box(LEFT + left, TOP + bottom, LEFT + right, TOP + top), 50)
    return shapely.transform(box, lambda xy: np.stack(transformer(32632, LONLAT).transform(xy[:, 0], xy[:, 1]), axis=1))


@st.composite
def happening(draw):
    """A few events with rectangles of ground that overlap or not."""
    edges = st.tuples(st.integers(-600, 1300), st.integers(-1800, 100), st.integers(200, 900), st.integers(200, 900))
    found = []
    for number in range(draw(st.integers(1, 4))):
        shapes = [lonlat(x, y, x + w, y + h) for x, y, w, h in draw(st.lists(edges, min_size=1, max_size=2))]
        found.append(event(f"e-{number}", parts=grounds(shapes[0], shapes[-1] if len(shapes) > 1 else None)))
    return found


@given(happening())
@examples(40)
def test_a_mark_is_the_set_of_all_ground_a_point_lies_in(events):
    axes = LEFT + 25 + 50 * np.arange(24), TOP - 25 - 50 * np.arange(24)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes))
    number, marks = marks_at(events, Points(32632, *(axis[None] for axis in axes)))
    lon, lat = transformer(32632, LONLAT).transform(x, y)
    assert marks[0] == () and len(set(marks)) == len(marks)
    for at in range(len(x)):
        point = shapely.Point(lon[at], lat[at])
        held = {(one.id, part.name) for one in events for part in one.parts if part.shape.intersects(point)}
        assert set(marks[number[at]]) == held


def measured(cells, events, order=lambda units: units):
    units = list(cover_units(cells, [], cell_m=1200, patch_px=120, sources=(), periods=(year(2021),), events=events))
    return gathered((), [measure(unit) for unit in order(units)], events=True)


def test_events_alone_make_a_cover_whose_counts_are_those_of_their_rectangles():
    # Two cells far enough apart to be measured in two units.
    cells = cell_table(32632, [(LEFT, TOP), (LEFT + 24_000, TOP)])
    flood = event("flood-1", parts=grounds(lonlat(300, -900, 900, -300), lonlat(0, -1200, 1200, 0)))
    fire = event("fire-1", type="fire", parts=grounds(lonlat(600, -900, 24_300, -300)))
    found = measured(cells, (fire, flood))
    assert found.table.schema.equals(cover_schema([], events=True), check_metadata=True)
    counts = {
        (row["cell"], tuple(found.marks[number]) if (number := row["codes"][0]) >= 0 else ()): row["pixels"]
        for row in found.table.to_pylist()
    }
    first, second = cells["cell"].to_pylist()
    aoi, wet, burnt = ("flood-1", "aoi"), ("flood-1", "observed"), ("fire-1", "observed")
    assert counts == {
        (first, (burnt, aoi, wet)): 30 * 60,
        (first, (burnt, aoi)): 30 * 60,
        (first, (aoi, wet)): 30 * 60,
        (first, (aoi,)): 14_400 - 3 * 30 * 60,
        (second, (burnt,)): 30 * 60,
        (second, ()): 14_400 - 30 * 60,
    }
    backwards = measured(cells, (fire, flood), order=lambda units: units[::-1])
    assert backwards.table.equals(found.table) and backwards.marks == found.marks


def test_without_events_at_hand_the_cover_says_so_everywhere():
    found = measured(cell_table(32632, [(LEFT, TOP)]), ())
    assert found.marks == () and found.table["codes"].to_pylist() == [[-1]]
    assert found.table["pixels"].to_pylist() == [14_400]


def test_a_part_that_touches_no_point_leaves_no_mark():
    number, marks = marks_at(
        [event(parts=(Part("observed", shapely.box(0, 0, 1, 1)),))],
        each_alone(32632, np.array([LEFT]), np.array([TOP])),
    )
    assert number.tolist() == [0] and marks == [()]
