"""Tables of an evaluation, as text for a console and as Markdown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from landmark.core.plural import plural
from landmark.corpus.metrics import MeanMetrics
from landmark.train.retrieval.classification import ClassificationMetrics
from landmark.train.retrieval.evaluate import EvaluationReport
from landmark.train.retrieval.events import EventReport

_NONE = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of numbers.

    Attributes:
        title: What it shows.
        columns: Group and name of each column but the first, that of the rows' names.
        rows: Name and values.
    """

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, ...]]

    def to_text(self) -> Iterator[str]:
        """Lines for a console: title, two lines of column names, rows."""
        first = max(len(row[0]) for row in self.rows)
        widths = [
            max(5, len(name), *map(len, cells)) for (_, name), *cells in zip(self.columns, *self._cells, strict=True)
        ]
        yield self.title
        groups = groupby(zip(self.columns, widths, strict=True), lambda column: column[0][0])
        spans = [(group, sum(width + 1 for _, width in columns)) for group, columns in groups]
        yield f"  {'':{first}}  {' '.join(f'{group:{span}}' for group, span in spans)}".rstrip()
        for name, *cells in [("", *(name for _, name in self.columns)), *self.rows]:
            yield f"  {name:{first}} {''.join(self._align(cells, widths))}"

    @property
    def _cells(self) -> list[tuple[str, ...]]:
        return [row[1:] for row in self.rows]

    def _align(self, cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        """Right-aligned cells; a space more between groups."""
        previous = None
        for (group, _), cell, width in zip(self.columns, cells, widths, strict=True):
            yield f"{'' if group == previous or previous is None else ' '} {cell:>{width}}"
            previous = group

    def to_markdown(self) -> Iterator[str]:
        """Lines of a Markdown table below its title."""
        names = [f"{group} {name}".strip() for group, name in self.columns]
        yield from (f"**{self.title}**", "")
        yield from (f"| {' | '.join(['', *names])} |", f"|{'---|' + '--:|' * len(names)}")
        yield from (f"| {' | '.join(row)} |" for row in self.rows)


def make_tables(report: EvaluationReport) -> list[Table]:
    """All tables of a report but that of single events."""
    tables = [_means(report), _classes(report)]
    if report.classification:
        tables.append(_classification(report.classification))
    if report.events:
        tables += [_event_types(report.events), _phases(report.events)]
    return tables


def _means(report: EvaluationReport) -> Table:
    overall, sets = report.overall, report.label_sets["overall"]
    n_images, n_classes = plural(overall.documents, "image"), plural(overall.queries, "class", "classes")
    rows = {"overall": overall, **report.sensors}
    rows |= {f"label sets, {name}": metrics for name, metrics in report.label_sets.items()}
    names = {"mAP": 3, "R-precision": 2, "nDCG@10": 2, "nDCG@1000": 2, "MRR": 1, "Hit@10": 1}
    columns = [(group, name) for group, count in names.items() for name in ("model", "chance", "above")[:count]]
    counts = f"{n_images}, {n_classes}, {plural(sets.queries, 'label set')}"
    title = f"{report.split}: {counts}; above: (mAP - chance) / (1 - chance)"
    return Table(title, columns, [(name, *_mean_cells(metrics)) for name, metrics in rows.items()])


def _mean_cells(metrics: MeanMetrics) -> list[str]:
    above = None if metrics.map is None else metrics.above_chance
    values = (metrics.map, metrics.chance_map, above, metrics.r_precision, metrics.chance_r_precision)
    ndcg = (metrics.ndcg_10, metrics.chance_ndcg_10, metrics.ndcg_1000, metrics.chance_ndcg_1000)
    return [_number(value) for value in (*values, *ndcg, metrics.mrr, metrics.hit_10)]


def _classes(report: EvaluationReport) -> Table:
    groups = ("overall", *report.sensors)
    return Table(
        "mAP of each class",
        [(group, name) for group in groups for name in ("images", "model", "chance")],
        [
            (key, *(cell for group in groups for cell in _class_cells(metrics[group])))
            for key, metrics in report.classes.items()
        ],
    )


def _class_cells(metrics: MeanMetrics) -> tuple[str, ...]:
    return f"{metrics.relevant or 0:.0f}", _number(metrics.map), _number(metrics.chance_map)


def _classification(classification: dict[str, ClassificationMetrics]) -> Table:
    names = {
        "mAP": ("zero-shot", "probe", "prior"),
        "label ranking AP": ("zero-shot", "prior"),
        "F1": ("zero-shot", "prior"),
    }
    rows = [
        (
            sensor,
            *map(_number, (own.zero_shot_map, own.probe_map, own.chance_map)),
            *map(_number, (own.label_ranking_ap, own.prior_label_ranking_ap, own.f1, own.prior_f1)),
        )
        for sensor, own in classification.items()
    ]
    title = "Classification: zero-shot, by a linear probe on the embeddings, and by the label prior"
    return Table(title, [(group, name) for group, columns in names.items() for name in columns], rows)


def _event_types(events: dict[str, EventReport]) -> Table:
    title = "mAP of single events: an event's images among all images without the class"

    def cells(report: EventReport) -> dict[str, tuple[str, ...]]:
        return {
            f"{own.type}: {own.label}": (str(own.events), _number(own.map), _number(own.chance_map))
            for own in report.types
        }

    return _event_table(title, ("events", "model", "chance"), events, cells)


def _phases(events: dict[str, EventReport]) -> Table:
    title = (
        "Images of events in the ranking of their class (0 last, 0.5 by chance, 1 first): mean rank, that of labelled\n"
        "images, and how often a labelled image is above one of its place from before the event"
    )

    def cells(report: EventReport) -> dict[str, tuple[str, ...]]:
        return {
            f"{own.type}, {phase.phase}": (
                str(phase.images),
                *map(_number, (phase.percentile, phase.labelled_percentile, phase.place_auroc)),
            )
            for own in report.types
            for phase in own.phases
        }

    return _event_table(title, ("images", "rank", "labelled", "place"), events, cells)


def single_events(events: dict[str, EventReport]) -> Table:
    """Table of each event."""

    def cells(report: EventReport) -> dict[str, tuple[str, ...]]:
        return {
            f"{own.id}: {own.label}": (str(own.relevant), _number(own.ap), _number(own.chance_ap))
            for own in report.events
        }

    return _event_table("AP of each event", ("images", "model", "chance"), events, cells)


def _event_table(
    title: str,
    names: Sequence[str],
    events: dict[str, EventReport],
    cells: Callable[[EventReport], dict[str, tuple[str, ...]]],
) -> Table:
    """A table with the same columns overall and of each sensor; `cells` returns those of each row by its name."""
    groups, nothing = [cells(report) for report in events.values()], (_NONE,) * len(names)
    rows = [(name, *chain.from_iterable(group.get(name, nothing) for group in groups)) for name in groups[0]]
    return Table(title, [(group, name) for group in events for name in names], rows)


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:z.3f}"
