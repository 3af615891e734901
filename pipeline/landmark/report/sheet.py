"""A contact sheet: samples of a corpus with their captions, optical beside radar."""

import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from landmark.core.hashing import rank
from landmark.core.salts import CONTACT_SHEET
from landmark.corpus.reader import Corpus, Sample
from landmark.report.render import to_rgb

_TILE_PX = 240
_GAP_PX = 12
_TEXT_LINES = 3
_TEXT_PX = 14 * (_TEXT_LINES + 2) + 6
_COLUMNS = 3
_LINE_CHARS = 76
_SHOWN_SHARE = 0.005
_SHOWN_STYLES = ("structured", "sentence")
# What does not decompose.
_ASCII = {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ß": "ss", "\u2019": "'", "«": '"', "»": '"'}


def draw_contact_sheet(corpus: Corpus, *, pairs: int = 12, seed: int = 0) -> Image.Image:
    """Cells as cards in a grid, as different in their labels as the corpus allows.

    A cell's sample is shown beside its pair.
    """
    cards = pick_pairs(corpus, pairs, seed)
    width, height = 2 * _TILE_PX + 2, _TILE_PX + _TEXT_PX
    columns = min(_COLUMNS, len(cards))
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP_PX) + _GAP_PX, rows * (height + _GAP_PX) + _GAP_PX), "white")
    for place, samples in enumerate(cards):
        left = _GAP_PX + (place % columns) * (width + _GAP_PX)
        top = _GAP_PX + (place // columns) * (height + _GAP_PX)
        sheet.paste(_card(samples, width, height), (left, top))
    return sheet


def pick_pairs(corpus: Corpus, pairs: int, seed: int) -> list[list[Sample]]:
    """Samples in hash order, rarest label sets first served, each with its pair.

    A lone sensor's samples stand alone, and last.
    """
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
    for place, sample in enumerate(samples):
        picture = Image.fromarray(to_rgb(sample)).resize((_TILE_PX, _TILE_PX), Image.Resampling.NEAREST)
        card.paste(picture, (place * (_TILE_PX + 2), 0))
    draw, font = ImageDraw.Draw(card), ImageFont.load_default(size=12)
    for line, (text, colour) in enumerate(_lines(samples)):
        draw.text((2, _TILE_PX + 4 + 14 * line), drawable(text, font), fill=colour, font=font)
    return card


def drawable(text: str, font: Any) -> str:
    """The text in glyphs the font has: what it lacks is written without its accents, or as `?`."""
    lacking = _glyph("\uffff", font)
    return "".join(one if _glyph(one, font) != lacking else _plain(one) for one in unicodedata.normalize("NFC", text))


def _glyph(character: str, font: Any) -> bytes:
    mask = font.getmask(character)
    return bytes(mask) + repr(mask.size).encode()


def _plain(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _ASCII.get(character, character))
    return decomposed.encode("ascii", "ignore").decode() or "?"


def _told(captions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The structured caption and the first sentence of a sample's first language."""
    mine = [one for one in captions if one["lang"] == captions[0]["lang"]]
    first = {one["style"]: one["text"] for one in reversed(mine)}
    chosen = [first[style] for style in _SHOWN_STYLES if style in first]
    return chosen or [one["text"] for one in mine[:2]]


def _lines(samples: list[Sample]) -> list[tuple[str, str]]:
    first = samples[0]
    texts = [line for text in _told(first.captions) for line in textwrap.wrap(text, _LINE_CHARS)]
    shares = ", ".join(f"{key} {share:.0%}" for key, share in first.fractions.items() if share >= _SHOWN_SHARE)
    dates = "  |  ".join(f"{sample.sensor} {sample.datetime:%Y-%m-%d}" for sample in samples)
    notes = [textwrap.shorten(shares, _LINE_CHARS, placeholder=" …"), f"{first.cell}  |  {dates}"]
    return [(text, "black") for text in texts[:_TEXT_LINES]] + [(note, "#666666") for note in notes]
