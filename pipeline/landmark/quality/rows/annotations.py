"""Annotations of samples, derived again from label counts, plan and lock, and compared with their rows."""

from collections.abc import Iterator
from functools import cache, cached_property

from landmark.captions.annotate import CellFacts, annotate_sample, image_of
from landmark.quality.check_input import MAP_COLUMNS, Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.rows.captions import Row, RowProblem
from landmark.quality.rows.derivation import Derivation
from landmark.quality.rows.differences import describe_difference, is_close


class DerivedRows:
    """Annotations of a shard group's samples, derived when they are compared with a row."""

    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self._labels = cache(lambda cell, period: self._cells.get(cell, period))

    @cached_property
    def _cells(self) -> CellFacts:
        return self._derivation.annotator.fold_counts(self._derivation.label_counts)

    @cached_property
    def _plan(self) -> dict[str, Row]:
        return {row["id"]: row for row in self._derivation.plan.to_pylist()}

    def compare(self, row: Row) -> list[RowProblem] | None:
        """Columns of a row that do not follow from label counts, plan and lock; None where it is not planned.

        The nearest place is taken as given: the gazetteer is not part of a corpus.
        """
        if (planned := self._plan.get(row["id"])) is None:
            return None
        image = image_of({**planned, "place": row["place"]}, planned, keep_place=True)
        labels = self._labels(planned["cell"], planned["period"])
        derived = annotate_sample(image, labels, self._derivation.annotator)
        derived |= {"place": row["place"], "product": self._derivation.products[image.sensor]}
        stored = {name: row[name] for name in derived} | {name: [*row[name].items()] for name in MAP_COLUMNS}
        different = [name for name, value in derived.items() if not is_close(stored[name], value)]
        return [
            (
                f"{name}: not what follows from label counts, plan and lock",
                describe_difference(stored[name], derived[name]),
            )
            for name in different
        ]


def annotations(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Rows are compared in the pass."""
    if inputs.context.underivable:
        raise NotApplicable(inputs.context.underivable)
    return iter(())


CHECKS: dict[str, Check] = {"annotations": annotations}
