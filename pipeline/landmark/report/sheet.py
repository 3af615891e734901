"""Draw a contact sheet: optical and radar samples of cells with their captions."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from landmark.core.hashing import rank
from landmark.core.salts import CONTACT_SHEET
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.report.render import to_rgb

_TILE_PX = 240
_GAP_PX = 12
_TEXT_LINES = 3
_TEXT_PX = 14 * (_TEXT_LINES + 2) + 6
_COLUMNS = 3
_LINE_CHARS = 76
_SHOWN_SHARE = 0.005
_SHOWN_STYLES = ("structured", "sentence")
# Characters that Unicode does not decompose.
_ASCII = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ß": "ss", "\u2019": "'", "«": '"', "»": '"'}


def draw_contact_sheet(corpus: Corpus, *, pairs: int = 12, seed: int = 0) -> Image.Image:
    """Draw a grid of cards, one per cell: pictures of a sample and its pair, with captions and fractions."""
    cards = pick_pairs(corpus, pairs, seed)
    width, height = 2 * _TILE_PX + 2, _TILE_PX + _TEXT_PX
    columns = min(_COLUMNS, len(cards))
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX), "white")
    for index, samples in enumerate(cards):
        left = _GAP_PX + (index % columns) * (width + _GAP_PX)
        top = _GAP_PX + (index // columns) * (height + _GAP_PX)
        sheet.paste(_card(samples, width, height), (left, top))
    return sheet


def pick_pairs(corpus: Corpus, pairs: int, seed: int) -> list[list[Sample]]:
    """Samples with their pairs, in hash order, alternating between label sets; samples without a pair come last."""
    table = corpus.table.select(["id", "sensor", "pair", "labels"]).to_pylist()
    lead = "s2" if any(row["sensor"] == "s2" for row in table) else "s1"
    leading = [row for row in table if row["sensor"] == lead or row["pair"] is None]
    rows = sorted(leading, key=lambda row: rank(seed, CONTACT_SHEET, row["id"]))
    seen: dict[tuple[str, ...], int] = {}
    ordered = []
    for row in rows:
        kind = tuple(sorted(row["labels"]))
        seen[kind] = seen.get(kind, 0) + 1
        ordered.append((row["sensor"] != lead, seen[kind], row["pair"] is None, row))
    ordered.sort(key=lambda entry: entry[:3])
    chosen = [row for *_, row in ordered[:pairs]]
    return [[corpus[id] for id in (row["id"], row["pair"]) if id is not None and id in corpus] for row in chosen]


def _card(samples: list[Sample], width: int, height: int) -> Image.Image:
    card = Image.new("RGB", (width, height), "white")
    for index, sample in enumerate(samples):
        picture = Image.fromarray(to_rgb(sample)).resize((_TILE_PX, _TILE_PX), Image.Resampling.NEAREST)
        card.paste(picture, (index * (_TILE_PX + 2), 0))
    draw, font = ImageDraw.Draw(card), ImageFont.load_default(size=12)
    for line, (text, colour) in enumerate(_lines(samples)):
        draw.text((2, _TILE_PX + 4 + 14 * line), to_drawable(text, font), fill=colour, font=font)
    return card


def to_drawable(text: str, font: Any) -> str:
    """Replace characters that the font lacks by ones without accents, or by `?`."""
    missing = _glyph("\uffff", font)
    return "".join(
        char if _glyph(char, font) != missing else _to_ascii(char) for char in unicodedata.normalize("NFC", text)
    )


def _glyph(character: str, font: Any) -> bytes:
    mask = font.getmask(character)
    return bytes(mask) + repr(mask.size).encode()


def _to_ascii(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _ASCII.get(character, character))
    return decomposed.encode("ascii", "ignore").decode() or "?"


def _shown_texts(captions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The structured caption and the first sentence in the first language."""
    in_first = [caption for caption in captions if caption["lang"] == captions[0]["lang"]]
    first = {caption["style"]: caption["text"] for caption in reversed(in_first)}
    chosen = [first[style] for style in _SHOWN_STYLES if style in first]
    return chosen or [caption["text"] for caption in in_first[:2]]


def _lines(samples: list[Sample]) -> list[tuple[str, str]]:
    first = samples[0]
    texts = [line for text in _shown_texts(first.captions) for line in textwrap.wrap(text, _LINE_CHARS)]
    shares = ", ".join(f"{key} {share:.0%}" for key, share in first.fractions.items() if share >= _SHOWN_SHARE)
    dates = "  |  ".join(f"{sample.sensor} {sample.datetime:%Y-%m-%d}" for sample in samples)
    notes = [textwrap.shorten(shares, _LINE_CHARS, placeholder=" …"), f"{first.cell}  |  {dates}"]
    return [(text, "black") for text in texts[:_TEXT_LINES]] + [(note, "#666666") for note in notes]
