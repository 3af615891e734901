"""Defects of texts: what translators, web pages, encodings and language models leave in captions."""

from collections.abc import Callable
from functools import partial

from bench.draft import Draft, Planted, Row
from bench.facts import edit_rows
from bench.registry import planting
from bench.relabel import recipe, taxonomy
from landmark.captions.grammar import load_grammar
from landmark.captions.render import CaptionConfig, render_captions
from landmark.captions.sample_facts import SampleFacts

_texts = partial(planting, "words", "texts")


def _change_sentences(draft: Draft, salt: str, change: Callable[[str], str]) -> Planted:
    """Change the text of the last style's captions of a few samples, and keep their evidence."""

    def edit(row: Row) -> Row:
        *first, last = row["captions"]
        return {"captions": [*first, {**last, "text": change(last["text"])}]}

    return edit_rows(draft, salt, edit, where=lambda row: bool(row["labels"]))


def _translated(draft: Draft, salt: str, lang: str) -> Planted:
    """Give a few samples captions of another language, which the column still calls English."""
    styles = recipe(draft.corpus).captions
    grammar = load_grammar(styles, (lang,), taxonomy=taxonomy(draft.corpus))

    def edit(row: Row) -> Row:
        facts = SampleFacts(row["id"], row["sensor"], row["datetime"], row["lat"], tuple(row["labels"]))
        captions = render_captions(facts, grammar, taxonomy(draft.corpus), CaptionConfig(styles, seed=0))
        return {"captions": [*row["captions"][:1], *({**caption, "lang": "en"} for caption in captions[1:])]}

    return edit_rows(draft, salt, edit, where=lambda row: bool(row["labels"]))


@_texts("captions are French, their language says English")
def caption_in_french(draft: Draft) -> Planted:
    return _translated(draft, "caption-in-french", "fr")


@_texts("captions are Spanish, their language says English")
def caption_in_spanish(draft: Draft) -> Planted:
    return _translated(draft, "caption-in-spanish", "es")


@_texts("captions are German")
def caption_in_german(draft: Draft) -> Planted:
    text = "Ein optisches Bild von Wald und Wiesen am Rand einer Stadt."
    return _change_sentences(draft, "caption-in-german", lambda _: text)


@_texts("captions hold tags of HTML")
def html_tags(draft: Draft) -> Planted:
    return _change_sentences(draft, "html-tags", lambda text: f"<p>{text}</p>")


@_texts("captions hold entities of HTML")
def html_entities(draft: Draft) -> Planted:
    return _change_sentences(draft, "html-entities", lambda text: text.replace(" ", "&nbsp;", 1))


@_texts("captions begin with the answer of a language model")
def model_answer(draft: Draft) -> Planted:
    return _change_sentences(draft, "model-answer", lambda text: f"Sure! Here is a caption: {text}")


@_texts("captions are what a language model says instead")
def model_refusal(draft: Draft) -> Planted:
    refusal = "I'm sorry, but as an AI language model I cannot see this image."
    return _change_sentences(draft, "model-refusal", lambda _: refusal)


@_texts("captions end with an address")
def address_appended(draft: Draft) -> Planted:
    return _change_sentences(draft, "address-appended", lambda text: f"{text} Source: www.example.org/tiles")


@_texts("captions hold Cyrillic letters that look Latin")
def homoglyphs(draft: Draft) -> Planted:
    return _change_sentences(draft, "homoglyphs", lambda text: text.replace("e", "\N{CYRILLIC SMALL LETTER IE}"))


@_texts("captions hold invisible characters")
def zero_width(draft: Draft) -> Planted:
    return _change_sentences(draft, "zero-width", lambda text: text.replace(" ", " \N{ZERO WIDTH SPACE}", 1))


@_texts("captions end in the middle of a sentence")
def caption_cut(draft: Draft) -> Planted:
    return _change_sentences(draft, "caption-cut", lambda text: f"{text.removesuffix('.')} in the")


@_texts("captions say everything twice")
def caption_doubled(draft: Draft) -> Planted:
    return _change_sentences(draft, "caption-doubled", lambda text: f"{text} {text}")


@_texts("captions are in capitals")
def caption_capitals(draft: Draft) -> Planted:
    return _change_sentences(draft, "caption-capitals", str.upper)


@_texts("captions name what no template can give")
def fact_invented(draft: Draft) -> Planted:
    return _change_sentences(draft, "fact-invented", lambda text: f"{text.removesuffix('.')} with a castle.")
