"""Pages of a corpus whose every text is hostile have the elements of an ordinary page, and load nothing."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.hashing import names_digest
from landmark.corpus.reader import Corpus
from landmark.report.html import Html, document, element, join
from landmark.report.page import render_page
from landmark.write.documents import write_manifest

HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(1)>'&amp;]]>--></style></title>`![a](javascript:x)|"""
# Texts that code and not only people read.
_CODE_KEYS = {"sensor", "split", "epsg", "product", "phase", "datetime", "sha256"}


class Structure(HTMLParser):
    """Elements with the names of their attributes, in order, and their texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(value: Any) -> Any:
    """A value with every text replaced, but for the keys that select code."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {key: entry if key in _CODE_KEYS else hostile(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [hostile(entry) for entry in value]
    if isinstance(value, tuple):
        return tuple(hostile(entry) for entry in value)
    return value


def rename(row: dict[str, Any]) -> dict[str, Any]:
    """A hostile row; ids stay unique, and pairs name them."""
    ids = {name: row[name] and f"{HOSTILE} {row[name]}" for name in ("id", "pair")}
    return {**hostile(row), **ids}


def rewrite(path: Path, row_of: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([row_of(row) for row in table.to_pylist()], schema=table.schema), path)


@pytest.fixture
def foreign(small: Corpus, tmp_path: Path) -> Corpus:
    """The same corpus with hostile texts in manifest, index and ledger; of a shard, pages take the pixels only."""
    root = Path(shutil.copytree(small.root, tmp_path / "corpus"))
    manifest = small.manifest
    rewrite(root / "index.parquet", rename)
    rewrite(root / "ledger.parquet", hostile)
    table = pq.read_table(root / "index.parquet")
    classes = {
        key: entry.model_copy(update={"name": {"en": HOSTILE}}) for key, entry in manifest.taxonomy.classes.items()
    }
    write_manifest(
        root,
        manifest.model_copy(
            update={
                "ids_digest": names_digest(table["id"].to_pylist()),
                "title": HOSTILE,
                "landmark_version": HOSTILE,
                "lock_digest": HOSTILE,
                "licences": [HOSTILE],
                "attributions": [HOSTILE],
                "findings": [HOSTILE],
                "labels": {HOSTILE: 1},
                "taxonomy": manifest.taxonomy.model_copy(
                    update={"classes": {HOSTILE: classes.popitem()[1], **classes}}
                ),
            }
        ),
    )
    return landmark.open(root)


def test_a_hostile_corpus_adds_no_element_attribute_or_link(small: Corpus, foreign: Corpus) -> None:
    ordinary = Structure(render_page(small, pairs=99, notes=["a"], skipped=[("a", "b")]))
    page = Structure(render_page(foreign, pairs=99, notes=[HOSTILE], skipped=[(HOSTILE, HOSTILE)]))
    # Lists of hostile texts may be longer or shorter: the kinds of elements are compared, not their number.
    assert set(page.tags) <= set(ordinary.tags)
    assert page.text.count(HOSTILE) > 50
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_the_policy_of_a_page_comes_first_and_allows_nothing_outside(small: Corpus) -> None:
    page = render_page(small, pairs=1)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src &#x27;none&#x27;; img-src data:; style-src &#x27;unsafe-inline&#x27;" in policy
    assert page.index("Content-Security-Policy") < min(page.index("<title"), page.index("<style"))


def test_every_text_is_escaped() -> None:
    title = element("b", "<i>", Html("<u></u>"), 1, title='"<')
    assert title == '<b title="&quot;&lt;">&lt;i&gt;<u></u>1</b>'
    assert join(("<", title), "\n") == f"&lt;\n{title}"
    assert "<title>&lt;/title&gt;</title>" in document("</title>", "", "&")
    # Text made of markup is text again.
    assert "<b" not in element("p", f"{title}")
