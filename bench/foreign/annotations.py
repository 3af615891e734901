"""Labels, fractions, sources, licences and places as later steps change them; captions follow the changed labels."""

from collections.abc import Callable

import numpy as np

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import (
    annotated,
    annotator,
    cell_counts,
    cell_labels,
    edited,
    in_cells,
    independent,
    neighbour,
    scaled,
)
from bench.registry import Unsuited

_KM_PER_MILE = 1.609344


# Codes of WorldCover, the first source of the recipes.
_TREES, _SHRUBS, _WATER, _MARSH = 10, 20, 80, 90


def _recounted(
    draft: Draft, rows: list[Row], change: Callable[[Row], list[Row]], least: float | None = None
) -> Planted:
    """Annotate rows again from changed label counts: change(row) → counts; nothing where a cell has none."""
    tools = annotator(draft, threshold_pct=least)

    def recounted(row: Row) -> Row:
        try:
            return annotated(draft, row, cell_labels(draft, change(row), tools), tools)
        except Unsuited:
            return {}

    return edited(draft, rows, recounted)


def _with_neighbour(draft: Draft) -> list[Row]:
    names = {row["cell"] for row in draft.rows()}
    return [row for row in draft.rows() if neighbour(row["cell"]) in names]


@independent("words", "annotations", "labels and captions of some cells made with a threshold of 10 % instead of 5")
def other_threshold(draft: Draft) -> Planted:
    weak = [row for row in draft.rows() if any(0.05 <= row["fractions"].get(key, 1) < 0.1 for key in row["labels"])]
    return _recounted(draft, in_cells(draft, "threshold", weak), lambda row: cell_counts(draft, row), least=10)


@independent("words", "annotations", "all annotations of some cells are those of the next cell to the east")
def labels_of_the_next_cell(draft: Draft) -> Planted:
    rows = in_cells(draft, "next-cell", _with_neighbour(draft))
    return _recounted(draft, rows, lambda row: cell_counts(draft, row, cell=neighbour(row["cell"])))


@independent("words", "annotations", "labels of some cells exchanged after sorting one table and not the other")
def labels_exchanged(draft: Draft) -> Planted:
    rows = in_cells(draft, "exchange", draft.rows(split="train"), pct=4)
    cells = sorted({row["cell"] for row in rows})
    partner = dict(zip(cells, [*cells[1:], cells[0]], strict=True))
    return _recounted(draft, rows, lambda row: cell_counts(draft, row, cell=partner[row["cell"]]))


def _recoded(counts: list[Row], code: int, into: int) -> list[Row]:
    return [
        {**count, "codes": [into if count["codes"][0] == code else count["codes"][0], *count["codes"][1:]]}
        for count in counts
    ]


@independent("words", "annotations", "marsh counted as water in the label map of some cells")
def marsh_counted_as_water(draft: Draft) -> Planted:
    marshes = [row for row in draft.rows() if row["fractions"].get("flooded_vegetation", 0) > 0.03]
    rows = in_cells(draft, "marsh", marshes)
    return _recounted(draft, rows, lambda row: _recoded(cell_counts(draft, row), _MARSH, _WATER))


@independent("words", "annotations", "shrubs counted as trees in the label map of some cells")
def shrubs_counted_as_trees(draft: Draft) -> Planted:
    shrubs = [row for row in draft.rows() if row["fractions"].get("shrub_and_scrub", 0) > 0.05]
    rows = in_cells(draft, "shrubs", shrubs)
    return _recounted(draft, rows, lambda row: _recoded(cell_counts(draft, row), _SHRUBS, _TREES))


@independent("words", "annotations", "labels of a map displaced by ten pixels: a twelfth is that of the next cell")
def map_displaced_by_ten_pixels(draft: Draft) -> Planted:
    rows = in_cells(draft, "displaced", _with_neighbour(draft), pct=5)

    def mixed(row: Row) -> list[Row]:
        own, east = cell_counts(draft, row), cell_counts(draft, row, cell=neighbour(row["cell"]))
        return [{**count, "cell": row["cell"]} for count in [*scaled(own, 11 / 12), *scaled(east, 1 / 12)]]

    return _recounted(draft, rows, mixed)


@independent("words", "fractions", "fractions rounded to two decimals by an export as text")
def fractions_rounded(draft: Draft) -> Planted:
    def rounded(row: Row) -> Row:
        return {"fractions": {key: round(value, 2) for key, value in row["fractions"].items()}}

    return edited(draft, draft.pick("rounded", draft.rows(), pct=4), rounded)


@independent("words", "fractions", "small classes dropped and the other fractions scaled up to one")
def small_classes_dropped(draft: Draft) -> Planted:
    def rescaled(row: Row) -> Row:
        large = {key: value for key, value in row["fractions"].items() if value >= 0.05}
        total = sum(large.values())
        return {"fractions": {key: value / total for key, value in large.items()}}

    rows = [row for row in draft.rows() if min(row["fractions"].values(), default=1) < 0.05]
    return edited(draft, draft.pick("scaled", rows, pct=4), rescaled)


@independent("words", "annotations", "missing agreement filled with one")
def agreement_filled(draft: Draft) -> Planted:
    def filled(row: Row) -> Row:
        return {"agreement": dict.fromkeys(row["agreement"], 1.0)}

    return edited(draft, draft.pick("agreement", draft.rows(), pct=4), filled)


@independent("words", "annotations", "the year of a label map taken from the image instead of the map")
def map_year_of_the_image(draft: Draft) -> Planted:
    def dated(row: Row) -> Row:
        year = row["datetime"].year
        return {"sources": [{**source, "year": year, "gap_days": 0} for source in row["sources"]]}

    rows = [row for row in draft.rows() if any(source["year"] != row["datetime"].year for source in row["sources"])]
    return edited(draft, draft.pick("map-year", rows, pct=6), dated)


@independent("words", "annotations", "an older version of the first label source in the rows of another download")
def mixed_map_versions(draft: Draft) -> Planted:
    def older(row: Row) -> Row:
        first, *rest = row["sources"]
        return {"sources": [{**first, "version": "1.0.0", "year": first["year"] - 1}, *rest]}

    return edited(draft, draft.pick("versions", draft.rows(), pct=4), older)


@independent("words", "annotations", "licences of the labels dropped, those of the imagery kept")
def licences_of_imagery_alone(draft: Draft) -> Planted:
    def imagery(row: Row) -> Row:
        return {"licences": [name for name in row["licences"] if name == "Copernicus-Sentinel"]}

    return edited(draft, draft.pick("licences", draft.rows(), pct=4), imagery)


@independent("words", "", "bearings from the cell to the place instead of from the place", events=True)
def bearings_reversed(draft: Draft) -> Planted:
    def reversed_bearing(row: Row) -> Row:
        place = row["place"]
        return {"place": {**place, "bearing_deg": float(np.float32((place["bearing_deg"] + 180) % 360))}}

    rows = [row for row in draft.rows() if row["place"]]
    return edited(draft, draft.pick("bearings", rows, pct=5), reversed_bearing)


@independent("words", "", "distances to places in miles", events=True)
def miles_to_places(draft: Draft) -> Planted:
    def in_miles(row: Row) -> Row:
        return {"place": {**row["place"], "km": float(np.float32(row["place"]["km"] / _KM_PER_MILE))}}

    rows = [row for row in draft.rows() if row["place"]]
    return edited(draft, draft.pick("miles", rows, pct=5), in_miles)
