"""A contact sheet as one HTML file without scripts or external resources: a card per cell with its metadata."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from landmark.core.corpus_paths import readable
from landmark.core.plural import plural
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.corpus.tables import read_table
from landmark.domain.drops import Reason
from landmark.domain.schemas import LEDGER
from landmark.domain.taxonomy import TargetClass
from landmark.report.html import Html, document, element, join
from landmark.report.render import to_rgb
from landmark.report.sheet import pick_pairs

_UNKNOWN_COLOUR = "#777777"
_SHOWN = {"s1": "Sentinel-1: VV, VH, VV - VH", "s2": "Sentinel-2: true colour"}
_HOUR_S, _DAY_S = 3_600, 86_400

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 110rem; background: #fff; color: #1b1b1b;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.75rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.25rem; }
h3 { margin: 0; font-size: 1rem; } p { margin: .25rem 0; max-width: 75ch; } .quiet { color: #555; font-size: .875rem; }
.cards { display: grid; gap: 1.5rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.card { border: 1px solid #c8c8c8; border-radius: 6px; padding: 1rem; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; margin: .5rem 0; }
figure { margin: 0; } img { display: block; width: 100%; height: auto; image-rendering: pixelated; background: #000; }
figcaption { font-size: .8125rem; color: #444; }
.bar { display: flex; height: 1rem; margin: .75rem 0 .5rem; border: 1px solid #777; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .125rem 1rem; margin: 0; padding: 0;
  font-size: .875rem; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .35em; border: 1px solid #777; }
.captions { margin: .75rem 0; } .captions dt { font-size: .8125rem; color: #555; } .captions dd { margin: 0 0 .5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .875rem; width: 100%; }
th, td { text-align: left; vertical-align: top; overflow-wrap: break-word;
  padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ddd; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; margin-top: .75rem; } summary:focus-visible { outline: 2px solid #0b57d0; }
.ids { font-size: .8125rem; } .ids dt { color: #555; } .ids dd { margin: 0 0 .25rem; }
"""


def render_page(
    corpus: Corpus,
    *,
    pairs: int = 12,
    seed: int = 0,
    notes: Sequence[str] = (),
    skipped: Sequence[tuple[str, str]] = (),
) -> str:
    """Render the page: a card per cell, then the drops by reason and the skipped label sources.

    Args:
        corpus: The corpus.
        pairs: Number of cards.
        seed: Determines which cells are shown.
        notes: Paragraphs under the title.
        skipped: (label source, reason and remedy).
    """
    classes = corpus.manifest.taxonomy.classes
    cards = (_card(f"card-{k}", samples, classes) for k, samples in enumerate(pick_pairs(corpus, pairs, seed), start=1))
    title = corpus.manifest.title or corpus.manifest.name
    return document(
        title,
        STYLE,
        element("header", element("h1", title), *(element("p", line) for line in (*_counts(corpus), *notes))),
        element(
            "main",
            element("h2", "Samples, optical beside radar"),
            quiet("Bold classes reach their threshold and are labels."),
            element("div", join(cards, "\n"), class_="cards"),
            _dropped(corpus),
            _skipped(skipped),
        ),
        _footer(corpus),
    )


def quiet(*content: object) -> Html:
    """A paragraph in small, grey letters."""
    return element("p", *content, class_="quiet")


def _counts(corpus: Corpus) -> Iterable[str]:
    counts, considered = corpus.manifest.counts, corpus.manifest.considered
    yield (
        f"{plural(counts['planned'], 'sample')} planned, {counts['written']} written, {counts['dropped']} dropped, of"
        f" {plural(considered.get('planned', 0), 'cell')}; images cover {plural(considered.get('cells', 0), 'cell')}."
    )
    splits = {
        name: sum(samples[name] for samples in corpus.manifest.samples.values()) for name in ("train", "val", "test")
    }
    yield "Splits: " + ", ".join(f"{name} {count}" for name, count in splits.items()) + "."


def _card(id: str, samples: list[Sample], classes: dict[str, TargetClass]) -> Html:
    first = samples[0]
    return element(
        "article",
        element("h3", first.cell, id=id),
        quiet(place_of(first)),
        element("div", *(picture(sample, classes) for sample in samples), class_="pictures"),
        element("p", _gap(samples)),
        _shares(first, classes),
        _captions(samples),
        _sources(samples),
        _details(samples),
        class_="card",
        aria_labelledby=id,
    )


def place_of(sample: Sample) -> str:
    """Centre, Major-TOM cell and split of a sample."""
    north = "N" if sample.lat >= 0 else "S"
    east = "E" if sample.lon >= 0 else "W"
    return (
        f"{abs(sample.lat):.4f}° {north}, {abs(sample.lon):.4f}° {east} · Major-TOM {sample.majortom} · {sample.split}"
    )


def picture(sample: Sample, classes: dict[str, TargetClass]) -> Html:
    """A figure of a sample, embedded, with sensor and time."""
    shown = _SHOWN.get(sample.sensor, sample.sensor)
    seen = ", ".join(f"{name_of(key, classes)} {share:.0%}" for key, share in _large(sample))
    alt = f"{shown}, cell {sample.cell}, {sample.datetime:%Y-%m-%d}" + (f". {seen}." if seen else ".")
    held = io.BytesIO()
    Image.fromarray(to_rgb(sample)).save(held, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
    time = f"{sample.datetime:%Y-%m-%d %H:%M} UTC"
    return element(
        "figure",
        element("img", src=source, width=120, height=120, alt=alt),
        element("figcaption", shown, element("br"), time),
    )


def _gap(samples: list[Sample]) -> str:
    if len(samples) == 1:
        pair_sensor = "radar" if samples[0].sensor == "s2" else "optical"
        return f"No paired {pair_sensor} image: none within the recipe's limit, or it was dropped (see the end)."
    gap_s = samples[0].pair_gap_s
    size = f"{abs(gap_s) / _DAY_S:.1f} days" if abs(gap_s) >= _DAY_S else f"{abs(gap_s) / _HOUR_S:.1f} hours"
    return f"The radar image was taken {size} {'earlier' if gap_s > 0 else 'later'}."


def _shares(sample: Sample, classes: dict[str, TargetClass]) -> Html:
    if not sample.fractions:
        return quiet("No labels.")
    shares = [(key, share, _colour(key, classes)) for key, share in sample.fractions.items()]
    parts = (element("span", style=f"width:{100 * share:.2f}%;background:{colour}") for _, share, colour in shares)
    swatches = (element("span", class_="swatch", style=f"background:{colour}") for *_, colour in shares)
    entries = (
        element("li", swatch, _entry(key, share, sample, classes))
        for swatch, (key, share, _) in zip(swatches, shares, strict=True)
    )
    return join((element("div", *parts, class_="bar", aria_hidden="true"), element("ul", *entries, class_="legend")))


def _colour(key: str, classes: dict[str, TargetClass]) -> str:
    return classes[key].colour if key in classes else _UNKNOWN_COLOUR


def _entry(key: str, share: float, sample: Sample, classes: dict[str, TargetClass]) -> str:
    text = f"{name_of(key, classes)} {share:.1%}"
    return element("b", text) if key in sample.labels else text


def _captions(samples: list[Sample]) -> Html:
    """Distinct captions, with the sensors that have them."""
    sensors_by_caption: dict[tuple[str, str, str], list[str]] = {}
    for sample in samples:
        for caption in sample.captions:
            sensors_by_caption.setdefault((caption["style"], caption["lang"], caption["text"]), []).append(
                sample.sensor
            )
    entries = (
        join((element("dt", f"{style} ({lang}), {' and '.join(sensors)}"), element("dd", text)))
        for (style, lang, text), sensors in sensors_by_caption.items()
    )
    return element("dl", *entries, class_="captions")


def _sources(samples: list[Sample]) -> Html:
    """Label sources, with their gaps to the images in the order of the pictures."""
    rows = [
        (
            source["name"],
            source["version"],
            source["year"],
            " / ".join(_label_gap(sample, source["name"]) for sample in samples),
            "none" if source["agreement"] is None else f"{source['agreement']:.0%}",
        )
        for source in samples[0].sources
    ]
    return table_of(("labels from", "version", "year", "gap", "agrees"), rows, numbers=(2, 3, 4)) if rows else Html()


def _label_gap(sample: Sample, name: str) -> str:
    """Days from a source's labels to an image; images of two periods may have other sources."""
    return next((f"{source['gap_days']} d" for source in sample.sources if source["name"] == name), "none")


def _details(samples: list[Sample]) -> Html:
    facts = element("dl", *(_facts(sample) for sample in samples), class_="ids")
    return element("details", element("summary", "Ids and facts"), facts)


def _facts(sample: Sample) -> Html:
    facts = {
        f"{sample.sensor} id": sample.id,
        "product": f"{sample.product}, {sample.platform or 'platform unknown'}",
        "orbit": f"{sample.relative_orbit} {sample.orbit_direction or ''}".strip(),
        "valid": _share(sample.valid_pct),
        "cloud, shadow, snow": ", ".join(_share(sample.fields[f"{name}_pct"]) for name in ("cloud", "shadow", "snow")),
        "offset": sample.offset_rule or "none",
        "items": ", ".join(sample.items),
        "subclasses": ", ".join(f"{key} {share:.1%}" for key, share in sample.subclasses.items()) or "none",
    }
    return join(join((element("dt", key), element("dd", value))) for key, value in facts.items())


def _dropped(corpus: Corpus) -> Html:
    """Rows of the ledger counted by stage and reason."""
    counts: dict[tuple[str, str], list[str]] = {}
    for row in read_table(readable(corpus.root, "ledger.parquet"), LEDGER).to_pylist():
        counts.setdefault((row["stage"], row["reason"]), []).append(row["id"])
    rows = [
        (reason, _text_of(reason), stage, len(ids), ", ".join(sorted(ids)[:3]) + (" …" if len(ids) > 3 else ""))
        for (stage, reason), ids in sorted(counts.items())
    ]
    table = table_of(("reason", "meaning", "stage", "count", "for instance"), rows, numbers=(3,))
    return join((element("h2", "Dropped samples"), table if rows else element("p", "None.")))


def _text_of(reason: str) -> str:
    return Reason[reason].text if reason in Reason.__members__ else "unknown to this version"


def _skipped(skipped: Sequence[tuple[str, str]]) -> Html:
    if not skipped:
        return Html()
    return join((element("h2", "Skipped label sources"), table_of(("source", "reason and remedy"), skipped)))


def _footer(corpus: Corpus) -> Html:
    manifest = corpus.manifest
    return element(
        "footer",
        element("h2", "Attributions"),
        element("ul", *(element("li", line) for line in manifest.attributions)),
        quiet(
            f"Licences: {', '.join(manifest.licences)}. Content {manifest.content_digest}, lock"
            f" {manifest.lock_digest}, landmark {manifest.landmark_version}."
        ),
    )


def table_of(head: Sequence[str], rows: Iterable[Sequence[Any]], numbers: tuple[int, ...] = ()) -> Html:
    """A table; columns with one of the `numbers` are aligned right."""
    kinds = ["number" if column in numbers else None for column in range(len(head))]
    top = (element("th", text, scope="col", class_=kind) for kind, text in zip(kinds, head, strict=True))
    lines = (
        element("tr", *(element("td", value, class_=kind) for kind, value in zip(kinds, row, strict=True)))
        for row in rows
    )
    table = element("table", element("thead", element("tr", *top)), element("tbody", join(lines, "\n")))
    return element("div", table, class_="scroll")


def name_of(key: str, classes: dict[str, TargetClass]) -> str:
    """English name of a class, its key without one."""
    return classes[key].name["en"] if key in classes else key


def _large(sample: Sample) -> list[tuple[str, float]]:
    return [(key, share) for key, share in sample.fractions.items() if key in sample.labels]


def _share(pct: float | None) -> str:
    return "unknown" if pct is None else f"{pct:.1f} %"
