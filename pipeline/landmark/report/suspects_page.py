"""Suspects of `landmark check --suspects` as one HTML file without scripts or external resources."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from landmark.core.errors import InvalidCorpus
from landmark.core.plural import plural
from landmark.corpus.open_corpus import open_corpus
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.domain.taxonomy import TargetClass
from landmark.quality.suspects.suspect_report import ClassRanking, EventSuspect, LabelSuspect, Suspects
from landmark.report.html import Html, document, element, join
from landmark.report.page import STYLE, name_of, picture, place_of, quiet, table_of

_SHOWN = 100
_UNSEEN = (
    "Classes that are exchanged on all samples: the model learns the exchanged names.",
    "Labels that are shifted by some pixels: the fractions of the cell stay nearly the same.",
    "Classes that the table below ranks under an AUROC of 0.8.",
    "Two classes that are exchanged in some cells: the estimated share does not count them.",
    "Damage of earthquakes, and events in cells without a second image of the sensor.",
)
Classes = Mapping[str, TargetClass]


def render_suspects(root: Path, suspects: Suspects) -> str:
    """Render the page: the estimated share of mistakes, classes, the worst 100 samples, and events.

    Args:
        root: The corpus folder.
        suspects: Of the corpus.
    """
    try:
        corpus = open_corpus(root)
        classes = corpus.manifest.taxonomy.classes
        title = f"Suspects of {corpus.manifest.title or corpus.manifest.name}"
        main = (*_classes(suspects, classes), *_labels(corpus, suspects), *_events(corpus, suspects))
    except InvalidCorpus as error:
        title, main = "Suspects", (element("p", f"The corpus cannot be read: {error.problem}"),)
    return document(
        title,
        STYLE,
        element("header", element("h1", title), *(element("p", line) for line in _summary(suspects))),
        element("main", *_limits(), *main),
    )


def _summary(suspects: Suspects) -> Iterable[str]:
    if (noise := suspects.noise) is None:
        yield f"Cannot tell which labels are wrong: {suspects.cannot_tell or 'the checks are off'}."
    else:
        yield (
            f"About {noise.rate_pct:.1f} % of {plural(noise.samples, 'labelled sample')} have labels of another place"
            f" (95 % interval {noise.low_pct:.1f} to {noise.high_pct:.1f} %)."
        )
        yield (
            f"Models that have not seen a place tell its labels from those of other places with an AUROC of"
            f" {noise.auroc:.2f}."
        )
        if not suspects.named:
            yield "No sample is named as wrong. Those below are the least likely ones, which a clean corpus has too."
    if suspects.events_cannot_tell is None:
        yield f"Pixels of {plural(suspects.events_compared, 'sample')} were compared for floods and fires."


def _limits() -> tuple[Html, ...]:
    items = (element("li", text) for text in _UNSEEN)
    return element("h2", "What this page cannot see"), element("ul", *items)


def _classes(suspects: Suspects, classes: Classes) -> tuple[Html, ...]:
    if not suspects.classes:
        return ()
    head = ("class", "samples", "AUROC", "labelled, not expected", "expected, not labelled")
    rows = [_class_row(ranking, classes) for ranking in suspects.classes]
    note = "The least predictable class first. AUROC: how well pixels tell samples with the label from those without."
    return element("h2", "Classes"), quiet(note), table_of(head, rows, numbers=(1, 2, 3, 4))


def _class_row(ranking: ClassRanking, classes: Classes) -> tuple[object, ...]:
    area = "too few samples" if ranking.auroc is None else f"{ranking.auroc:.2f}"
    counts = (ranking.unexpected, ranking.missing)
    cells = ("cannot tell" if count is None else count for count in counts)
    return name_of(ranking.key, dict(classes)), ranking.samples, area, *cells


def _labels(corpus: Corpus, suspects: Suspects) -> tuple[Html, ...]:
    if not suspects.labels:
        return ()
    classes, shown = corpus.manifest.taxonomy.classes, suspects.labels[:_SHOWN]
    named = {suspect.id for suspect in suspects.labels[: suspects.named]}
    groups: dict[tuple[str, ...], list[LabelSuspect]] = {}
    for suspect in shown:
        groups.setdefault((corpus[suspect.id].cell, *suspect.labels), []).append(suspect)
    cards = (
        _label_card(f"label-{k}", corpus, group, classes, named=group[0].id in named)
        for k, group in enumerate(groups.values(), start=1)
    )
    heading = f"Labels, the least likely {plural(len(shown), 'sample')}"
    return element("h2", heading), element("div", join(cards, "\n"), class_="cards")


def _label_card(
    id: str, corpus: Corpus, group: list[LabelSuspect], classes: dict[str, TargetClass], *, named: bool
) -> Html:
    """The card of samples of one cell with the same labels."""
    worst = group[0]
    sample = corpus[worst.id]
    pair = corpus[sample.pair] if sample.pair is not None and sample.pair in corpus else None
    expected = ", ".join(f"{name_of(key, classes)} {value:.0%}" for key, value in worst.expected.items())
    return _card(
        id,
        f"{sample.cell}{': named as wrong' if named else ''}",
        (sample, *([pair] if pair is not None else [])),
        (
            ("labels", ", ".join(name_of(key, classes) for key in worst.labels) or "none"),
            ("expected", expected or "none"),
            ("log odds of a mistake", f"{worst.log_odds:+.1f}"),
            ("samples", ", ".join(suspect.id for suspect in group)),
        ),
        classes,
    )


def _card(
    id: str,
    heading: str,
    samples: tuple[Sample, ...],
    facts: Iterable[tuple[str, str]],
    classes: dict[str, TargetClass],
) -> Html:
    return element(
        "article",
        element("h3", heading, id=id),
        quiet(place_of(samples[0])),
        element("div", *(picture(sample, classes) for sample in samples), class_="pictures"),
        element("dl", *(join((element("dt", key), element("dd", value))) for key, value in facts), class_="captions"),
        class_="card",
        aria_labelledby=id,
    )


def _events(corpus: Corpus, suspects: Suspects) -> tuple[Html, ...]:
    heading = element("h2", "Floods and fires")
    if suspects.events_cannot_tell is not None:
        return heading, element("p", f"Not compared: {suspects.events_cannot_tell}.")
    if not suspects.events:
        return heading, element("p", "Pixels and labels agree.")
    cards = (_event_card(f"event-{k}", corpus, suspect) for k, suspect in enumerate(suspects.events[:_SHOWN], start=1))
    return heading, quiet("Reference and sample."), element("div", join(cards, "\n"), class_="cards")


def _event_card(id: str, corpus: Corpus, suspect: EventSuspect) -> Html:
    sample, reference = corpus[suspect.id], corpus[suspect.reference]
    facts = (
        ("event", f"{suspect.type} {suspect.event}"),
        ("label covers", f"{suspect.fraction:.0%}"),
        ("pixels changed", f"{suspect.changed:.0%}"),
        ("sample", suspect.id),
    )
    heading = f"{sample.cell}: {suspect.problem}"
    return _card(id, heading, (reference, sample), facts, corpus.manifest.taxonomy.classes)
