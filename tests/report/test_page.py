"""The HTML page is well-formed, self-contained and shows the corpus completely."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from landmark.corpus.reader import Corpus
from landmark.report.page import render_page
from landmark.report.render import to_rgb

_VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Tags, attributes and text of a page; a tag closed out of turn is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_page_has_all_samples_and_captions(small: Corpus) -> None:
    read = Reader(render_page(small, pairs=len(small)))
    for sample in small:
        assert sample.id in read.text
        for caption in sample.captions:
            assert caption["text"] in read.text
        for source in sample.sources:
            assert source["name"] in read.text


def test_pictures_match_the_samples_and_have_alt_texts(small: Corpus) -> None:
    pictures = Reader(render_page(small, pairs=len(small))).all("img")
    shown = []
    for picture in pictures:
        assert picture["alt"]
        data = (picture["src"] or "").removeprefix("data:image/png;base64,")
        shown.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).tobytes())
    assert set(shown) == {to_rgb(sample).tobytes() for sample in small}


def test_the_page_has_no_scripts_or_external_resources(small: Corpus) -> None:
    text = render_page(small)
    assert "http://" not in text
    assert "https://" not in text
    assert not {tag for tag, _ in Reader(text).tags} & {"script", "link", "iframe", "object"}


def test_bar_widths_match_the_fractions(small: Corpus) -> None:
    styles = [span["style"] or "" for span in Reader(render_page(small, pairs=1)).all("span") if "style" in span]
    bars = [style for style in styles if "width" in style]
    widths = [float(style.split("width:")[1].split("%")[0]) for style in bars]
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert all("background:#" in style for style in bars)


def test_all_ledger_rows_are_counted(small: Corpus) -> None:
    read = Reader(render_page(small))
    ledger = pq.read_table(small.root / "ledger.parquet")["reason"].to_pylist()
    assert ledger
    for reason in set(ledger):
        assert reason in read.text
        assert f" {ledger.count(reason)} " in read.text


def test_text_is_escaped(small: Corpus) -> None:
    notes = ["<script>alert(1)</script> & so on"]
    read = Reader(render_page(small, notes=notes, skipped=[("corine", 'no file: --labels corine="a<b>"')]))
    assert notes[0] in read.text
    assert 'no file: --labels corine="a<b>"' in read.text
    assert not read.all("script")


def test_a_corpus_of_a_single_sensor_has_a_page(small: Corpus) -> None:
    read = Reader(render_page(small.select(sensor="s1"), pairs=100))
    assert len(read.all("img")) == len(small.select(sensor="s1"))
