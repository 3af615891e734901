"""Defects of pairs: partners that are none, and gaps that are not theirs."""

from functools import partial

from bench.draft import Draft, Planted, Row
from bench.facts import changed
from bench.registry import planting

_integrity = partial(planting, "integrity")


def _paired(row: Row) -> bool:
    return row["pair"] is not None


@_integrity("pairs", "pairs that are not in the corpus")
def pair_to_nowhere(draft: Draft) -> Planted:
    return changed(draft, "pair-to-nowhere", lambda row: {"pair": row["pair"][:-3] + "999"}, among=_paired)


@_integrity("pairs", "pairs of another cell")
def pair_of_another_cell(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        other = next(one for one in draft.rows() if one["sensor"] != row["sensor"] and one["cell"] != row["cell"])
        return {"pair": other["id"], "pair_gap_s": _gap_s(row, other)}

    return changed(draft, "pair-of-another-cell", change, among=_paired)


def _gap_s(row: Row, other: Row) -> int:
    return int((row["datetime"] - other["datetime"]).total_seconds())


def _farthest(draft: Draft, row: Row) -> Row:
    others = [one for one in draft.rows(cell=row["cell"]) if one["sensor"] != row["sensor"]]
    return max(others, key=lambda one: abs(_gap_s(row, one)), default=row)


@_integrity("pairs", "pairs half a year apart")
def pair_months_apart(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        other = _farthest(draft, row)
        return {"pair": other["id"], "pair_gap_s": _gap_s(row, other)}

    far = lambda row: abs(_gap_s(row, _farthest(draft, row))) > 60 * 86_400  # noqa: E731
    return changed(draft, "pair-months-apart", change, among=far)


@_integrity("pairs", "gaps with the sign exchanged")
def pair_gap_sign(draft: Draft) -> Planted:
    return changed(draft, "pair-gap-sign", lambda row: {"pair_gap_s": -row["pair_gap_s"]}, among=_paired)


@_integrity("pairs", "gaps in minutes")
def pair_gap_in_minutes(draft: Draft) -> Planted:
    return changed(draft, "pair-gap-in-minutes", lambda row: {"pair_gap_s": row["pair_gap_s"] // 60}, among=_paired)


@_integrity("pairs", "samples paired with their own sensor")
def pair_of_the_same_sensor(draft: Draft) -> Planted:
    def others(row: Row) -> list[Row]:
        return [one for one in draft.rows(cell=row["cell"], sensor=row["sensor"]) if one["id"] != row["id"]]

    def change(row: Row) -> Row:
        return {"pair": (other := others(row)[0])["id"], "pair_gap_s": _gap_s(row, other)}

    return changed(draft, "pair-of-the-same-sensor", change, among=lambda row: _paired(row) and bool(others(row)))


@_integrity("pairs", "a pair is known on one side only")
def pair_one_sided(draft: Draft) -> Planted:
    def mutual(row: Row) -> bool:
        return _paired(row) and draft.facts[row["pair"]]["pair"] == row["id"]

    planted = changed(draft, "pair-one-sided", lambda row: {"pair": None, "pair_gap_s": None}, among=mutual)
    # Either side may be named.
    names = tuple((id, draft.facts[id]["pair"]) for (id,) in planted.subjects)
    return Planted(names, planted.of, planted.edits)
