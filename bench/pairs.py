"""Defects of pairs: wrong partners and wrong time gaps."""

from functools import partial

from bench.draft import Draft, Planted, Row
from bench.facts import edit_rows
from bench.registry import planting

_integrity = partial(planting, "integrity")


def _paired(row: Row) -> bool:
    return row["pair"] is not None


@_integrity("pairs", "pairs refer to samples outside the corpus")
def pair_to_nowhere(draft: Draft) -> Planted:
    return edit_rows(draft, "pair-to-nowhere", lambda row: {"pair": row["pair"][:-3] + "999"}, where=_paired)


@_integrity("pairs", "pairs of another cell")
def pair_of_another_cell(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        partner = next(item for item in draft.rows() if item["sensor"] != row["sensor"] and item["cell"] != row["cell"])
        return {"pair": partner["id"], "pair_gap_s": _gap_s(row, partner)}

    return edit_rows(draft, "pair-of-another-cell", change, where=_paired)


def _gap_s(row: Row, partner: Row) -> int:
    return int((row["datetime"] - partner["datetime"]).total_seconds())


def _farthest(draft: Draft, row: Row) -> Row:
    partners = [item for item in draft.rows(cell=row["cell"]) if item["sensor"] != row["sensor"]]
    return max(partners, key=lambda item: abs(_gap_s(row, item)), default=row)


@_integrity("pairs", "pairs half a year apart")
def pair_months_apart(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        partner = _farthest(draft, row)
        return {"pair": partner["id"], "pair_gap_s": _gap_s(row, partner)}

    distant = lambda row: abs(_gap_s(row, _farthest(draft, row))) > 60 * 86_400  # noqa: E731
    return edit_rows(draft, "pair-months-apart", change, where=distant)


@_integrity("pairs", "gaps with the opposite sign")
def pair_gap_sign(draft: Draft) -> Planted:
    return edit_rows(draft, "pair-gap-sign", lambda row: {"pair_gap_s": -row["pair_gap_s"]}, where=_paired)


@_integrity("pairs", "gaps in minutes")
def pair_gap_in_minutes(draft: Draft) -> Planted:
    return edit_rows(draft, "pair-gap-in-minutes", lambda row: {"pair_gap_s": row["pair_gap_s"] // 60}, where=_paired)


@_integrity("pairs", "samples paired with their own sensor")
def pair_of_the_same_sensor(draft: Draft) -> Planted:
    def same_sensor(row: Row) -> list[Row]:
        return [item for item in draft.rows(cell=row["cell"], sensor=row["sensor"]) if item["id"] != row["id"]]

    def change(row: Row) -> Row:
        return {"pair": (partner := same_sensor(row)[0])["id"], "pair_gap_s": _gap_s(row, partner)}

    return edit_rows(
        draft, "pair-of-the-same-sensor", change, where=lambda row: _paired(row) and bool(same_sensor(row))
    )


@_integrity("pairs", "a pair is recorded for one of its samples only")
def unilateral_pair(draft: Draft) -> Planted:
    def mutual(row: Row) -> bool:
        return _paired(row) and draft.facts[row["pair"]]["pair"] == row["id"]

    planted = edit_rows(draft, "pair-one-sided", lambda row: {"pair": None, "pair_gap_s": None}, where=mutual)
    # A finding may name either sample.
    names = tuple((id, draft.facts[id]["pair"]) for (id,) in planted.subjects)
    return Planted(names, planted.of, planted.edits)
