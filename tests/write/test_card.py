"""Texts of the card and the attributions stay text where Markdown is rendered."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from landmark.core.yaml_files import load_model
from landmark.corpus.manifest import Leakage, Manifest, SplitProof
from landmark.domain.taxonomy import Taxonomy
from landmark.write.card import attribution, card


def manifest_of(text: str) -> Manifest:
    """A manifest without shards whose free texts are all this one."""
    return Manifest(
        name=text,
        title=text,
        landmark_version=text,
        recipe_digest=text,
        lock_digest=text,
        content_digest=text,
        ids_digest=text,
        patch_px=120,
        resolution_m=10,
        sensors=["s2"],
        taxonomy=load_model(Taxonomy, "taxonomies", "landmark"),
        counts=dict.fromkeys(("planned", "written", "dropped", "failed"), 1),
        samples={"s2": dict.fromkeys(("train", "val", "test"), 1)},
        labels={text: 1},
        dropped={text: 1},
        considered={},
        split_proof=SplitProof(buffer_m=0, closest_m=None, cells={}, shared_blocks=0, shared_acquisitions=0),
        findings=[text],
        statistics={},
        licences=[text, text],
        attributions=[text, text],
        shards=[],
    )


class Tags(HTMLParser):
    """Tags with their attributes, as a page shows the Markdown."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<javascript:alert(1)>",
        "</table><b>",
        "a <!-- b",
        "<?php b",
        "[a](javascript:alert(1))",
        r"[a\](javascript:alert(1))",
        r"\[a\\](javascript:alert(1))",
        "![a](https://example.org/a.png)",
        "[a][b]\n\n[b]: javascript:alert(1)",
        "a\n\n# b\n\n```\n<b>\n",
        "a | b | c",
        "`` <b> ``",
        "[`](javascript:a)`",
    ],
)
def test_texts_add_no_element(text: str) -> None:
    for render in (card, attribution):
        body = render(manifest_of(text)).rpartition("---\n")[2]
        assert Tags(body).tags == Tags(render(manifest_of("a")).rpartition("---\n")[2]).tags


def test_ordinary_texts_keep_their_characters() -> None:
    text = "© ESA WorldCover (2021) [v200] / flooded_vegetation, cloud < 20 % & R&D: https://example.org/a_b?c=d#e *"
    assert f"- {text}\n" in attribution(manifest_of(text))
    assert f"# {text}\n" in card(manifest_of(text))


def test_leakage_is_a_line_of_the_card() -> None:
    plain = manifest_of("a")
    leakage = {"s2": Leakage(map=0.4612, chance_map=0.2, above_chance=0.2612, classes=9)}
    measured = set(card(plain.model_copy(update={"leakage": leakage})).splitlines())
    (line,) = measured.difference(card(plain).splitlines())
    assert "0.46" in line and "0.20" in line
