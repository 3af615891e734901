"""Event masks against point-in-polygon tests, and in label counts."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landmark.core.crs import LONLAT, transformer
from landmark.domain.event import EventPart
from landmark.domain.schemas import label_counts_schema
from landmark.events.masks import event_masks
from landmark.grid.points import Points
from landmark.labels.counts import CountConfig, count_tasks, measure_counts, merge
from tests.domain.impacts import event, event_parts
from tests.labels.maps import scattered_points
from tests.labels.test_counts import year
from tests.parts import cell_table, examples

LEFT, TOP = 600_000.0, 5_040_000.0


def lonlat(left, bottom, right, top):
    """A rectangle in degrees, from metres east and north of the first cell's corner in the zone's grid."""
    box = shapely.segmentize(shapely.box(LEFT + left, TOP + bottom, LEFT + right, TOP + top), 50)
    return shapely.transform(box, lambda xy: np.stack(transformer(32632, LONLAT).transform(xy[:, 0], xy[:, 1]), axis=1))


@st.composite
def event_lists(draw):
    """A few events with rectangles that may overlap."""
    edges = st.tuples(st.integers(-600, 1300), st.integers(-1800, 100), st.integers(200, 900), st.integers(200, 900))
    events = []
    for number in range(draw(st.integers(1, 4))):
        shapes = [lonlat(x, y, x + w, y + h) for x, y, w, h in draw(st.lists(edges, min_size=1, max_size=2))]
        events.append(event(f"e-{number}", parts=event_parts(shapes[0], shapes[-1] if len(shapes) > 1 else None)))
    return events


@given(event_lists())
@examples(40)
def test_a_combination_is_the_set_of_parts_that_hold_a_point(events):
    axes = LEFT + 25 + 50 * np.arange(24), TOP - 25 - 50 * np.arange(24)
    x, y = (axis.ravel() for axis in np.meshgrid(*axes))
    index, combinations = event_masks(events, Points(32632, *(axis[None] for axis in axes)))
    lon, lat = transformer(32632, LONLAT).transform(x, y)
    assert combinations[0] == () and len(set(combinations)) == len(combinations)
    for number, point in enumerate(shapely.points(lon, lat)):
        parts = {(event.id, part.name) for event in events for part in event.parts if part.geometry.intersects(point)}
        assert set(combinations[index[number]]) == parts


def counted(cells, events, order=lambda tasks: tasks):
    config = CountConfig(1200, 120, (), (year(2021),), event_masks=event_masks)
    tasks = list(count_tasks(cells, [], config, events))
    return merge((), [measure_counts(task) for task in order(tasks)], events=True)


def test_counts_of_events_without_label_sources():
    # Far enough apart to be counted in two tasks.
    cells = cell_table(32632, [(LEFT, TOP), (LEFT + 24_000, TOP)])
    flood = event("flood-1", parts=event_parts(lonlat(300, -900, 900, -300), lonlat(0, -1200, 1200, 0)))
    fire = event("fire-1", type="fire", parts=event_parts(lonlat(600, -900, 24_300, -300)))
    result = counted(cells, (fire, flood))
    assert result.table.schema.equals(label_counts_schema([], events=True), check_metadata=True)
    counts = {
        (row["cell"], tuple(result.event_combinations[number]) if (number := row["codes"][0]) >= 0 else ()): row[
            "pixels"
        ]
        for row in result.table.to_pylist()
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
    reversed_counts = counted(cells, (fire, flood), order=lambda tasks: tasks[::-1])
    assert (
        reversed_counts.table.equals(result.table) and reversed_counts.event_combinations == result.event_combinations
    )


def test_counts_without_events():
    result = counted(cell_table(32632, [(LEFT, TOP)]), ())
    assert result.event_combinations == () and result.table["codes"].to_pylist() == [[-1]]
    assert result.table["pixels"].to_pylist() == [14_400]


def test_a_part_without_points_gives_no_combination():
    index, combinations = event_masks(
        [event(parts=(EventPart("observed", shapely.box(0, 0, 1, 1)),))],
        scattered_points(32632, np.array([LEFT]), np.array([TOP])),
    )
    assert index.tolist() == [0] and combinations == [()]
