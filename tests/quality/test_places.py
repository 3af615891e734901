"""Nearest places of a gazetteer agree with each other; wrong distances, bearings and names are named, and only they."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from landmark.captions.gazetteer import Gazetteer
from landmark.domain.schemas import INDEX
from landmark.quality.check import CHECKS
from landmark.quality.check_input import CheckInput
from landmark.quality.findings import NotApplicable
from tests.quality.measured_corpus import PROFILE

WITHIN_KM = 40.0
SCHEMA = pa.schema([INDEX.field(name) for name in ("id", "cell", "lon", "lat", "place")])
Row = dict[str, Any]
RNG = np.random.default_rng(20)
# Near the antimeridian and a pole, and at mid latitudes; a third of the places shares two names.
CENTRES = [(179.95, 10.0), (-30.0, 83.0), (11.0, -45.0)]


def _around(number: int, spread_deg: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    offsets = RNG.uniform(-spread_deg, spread_deg, (len(CENTRES), number, 2))
    points = np.array(CENTRES)[:, None] + offsets
    points[..., 0] = (points[..., 0] + 180) % 360 - 180
    return points.reshape(-1, 2)


PLACES = _around(12, 0.8)
GAZETTEER = Gazetteer(
    tuple({"": f"Newtown {row % 2}" if row % 3 == 0 else f"Town {row}"} for row in range(len(PLACES))),
    PLACES,
    WITHIN_KM,
)


def _rows() -> list[Row]:
    rows = []
    for number, (lon, lat) in enumerate(_around(80, 0.8).tolist()):
        nearest = GAZETTEER.nearest(lon, lat)
        place = nearest and {
            "name": nearest.names[""],
            "names": [],
            "km": float(np.float32(nearest.km)),
            "bearing_deg": float(np.float32(nearest.bearing_deg)),
        }
        rows += [
            {"id": f"{sensor}-{number}", "cell": str(number), "lon": lon, "lat": lat, "place": place}
            for sensor in ("s1", "s2")
        ]
    return rows


ROWS = _rows()
PLACED = [row for row in ROWS if row["place"]]


def named(rows: list[Row]) -> set[str]:
    inputs: Any = SimpleNamespace(
        samples=pa.Table.from_pylist(rows, schema=SCHEMA),
        context=SimpleNamespace(recipe=SimpleNamespace(gazetteer=SimpleNamespace(within_km=WITHIN_KM))),
    )
    checked: CheckInput = inputs
    return {flag.subject for flag in CHECKS["places"](checked, PROFILE.checks["places"].limits)}


def test_places_of_a_gazetteer_have_no_problem() -> None:
    assert len(PLACED) > len(ROWS) / 2
    assert len(PLACED) < len(ROWS)
    assert named(ROWS) == set()


def _changed(share: float, **change: Any) -> tuple[list[Row], set[str]]:
    """Rows of which some have another place, and their ids."""
    chosen = {row["id"] for row in PLACED[:: round(1 / share)]}
    edited = {
        row["id"]: {**row, "place": {**row["place"], **{key: edit(row["place"]) for key, edit in change.items()}}}
        for row in PLACED
        if row["id"] in chosen
    }
    return [edited.get(row["id"], row) for row in ROWS], chosen


@pytest.mark.parametrize(
    "change",
    [
        {"bearing_deg": lambda place: (place["bearing_deg"] + 180) % 360},
        {"bearing_deg": lambda place: round(place["bearing_deg"] / 45) * 45 % 360},
        {"bearing_deg": lambda place: np.radians(place["bearing_deg"])},
        {"bearing_deg": lambda place: float("nan")},
        {"km": lambda place: place["km"] / 1.609344},
        {"km": lambda place: place["km"] * 1000},
        {"km": lambda place: round(place["km"])},
        {"km": lambda place: -place["km"]},
        {"name": lambda place: "Nowhere"},
    ],
)
def test_samples_with_another_place_than_the_rest_of_their_cells_are_named(change: Row) -> None:
    rows, chosen = _changed(1 / 20, **change)
    subjects = named(rows)
    assert len(subjects & chosen) >= 0.9 * len(chosen)
    assert len(subjects - chosen) <= 0.2 * len(chosen)


@pytest.mark.parametrize(
    "change",
    [
        {"bearing_deg": lambda place: (place["bearing_deg"] + 180) % 360},
        {"km": lambda place: place["km"] / 1.609344},
    ],
)
def test_bearings_or_distances_that_are_wrong_everywhere_are_flagged(change: Row) -> None:
    rows, chosen = _changed(1, **change)
    assert len(named(rows) & chosen) > 0.2 * len(chosen)


def test_a_missing_place_is_named() -> None:
    assert named([{**row, "place": None} if row is PLACED[4] else row for row in ROWS]) == {PLACED[4]["id"]}


def test_a_corpus_without_places_has_nothing_to_compare() -> None:
    with pytest.raises(NotApplicable):
        named([{**row, "place": None} for row in ROWS])
