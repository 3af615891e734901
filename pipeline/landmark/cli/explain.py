"""`landmark explain`: the facts behind each phrase of a sample's captions."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from landmark.cli import options
from landmark.cli.echo import echo

_MIN_COLUMNS, _MAX_COLUMNS = 40, 110


def explain(
    corpus: Annotated[Path, typer.Argument(help="A sealed corpus.")],
    id: Annotated[str, typer.Argument(help="A sample's id.")],
    lang: Annotated[str | None, typer.Option(help="Only captions of this language.")] = None,
    style: Annotated[str | None, typer.Option(help="Only captions of this style.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a sample's captions with numbered phrases, and the facts and rules behind each phrase."""
    from dataclasses import asdict

    from landmark.core.errors import UnknownName
    from landmark.report.explain import explain as explain_sample

    explanation = explain_sample(corpus, id)
    for name, value in (("lang", lang), ("style", style)):
        available = dict.fromkeys(getattr(caption, name) for caption in explanation.captions)
        if value not in (None, *available):
            raise UnknownName(
                f"{id} has no such captions",
                file=f"--{name}",
                value=value,
                remedy=f"choose one of {', '.join(available) or 'none'}",
            )
    if as_json:
        echo(json.dumps(asdict(explanation), indent=1, ensure_ascii=False))
        return
    captions = [
        caption for caption in explanation.captions if lang in (None, caption.lang) and style in (None, caption.style)
    ]
    columns = min(max(shutil.get_terminal_size().columns, _MIN_COLUMNS), _MAX_COLUMNS)
    echo("\n".join(_page(explanation, captions, columns, lang)))


def _page(explanation: Any, captions: list[Any], columns: int, lang: str | None) -> Iterator[str]:
    yield explanation.id
    for caption in captions:
        yield ""
        rule = f": {caption.rule}" if caption.rule else ""
        yield f"{caption.style}, {caption.lang}, by {caption.template}{rule}"
        yield from _underlined(caption, columns)
    yield ""
    numbers = {phrase.number for caption in captions for phrase in caption.phrases}
    for number, (fact, lines) in enumerate(explanation.facts, start=1):
        if number in numbers:
            yield f"{number:>3}  {fact}"
            yield from _indented(lines, columns)
    if explanation.events:
        yield from ("", "events in this cell")
        yield from _indented(explanation.events, columns)
    for row in explanation.questions:
        if lang in (None, row["lang"]):
            yield from ("", f"{row['question']}  {row['answer']}", f"   {', '.join(row['evidence'])}")
    for row in explanation.hard_negatives:
        if lang in (None, row["lang"]):
            yield from ("", f"false: {row['text']}", f"   {row['replacement']} in place of {row['falsified']}")


def _indented(lines: tuple[str, ...], columns: int) -> Iterator[str]:
    for line in lines:
        yield from wrap(line, columns, initial_indent=" " * 5, subsequent_indent=" " * 7)


def _underlined(caption: Any, columns: int) -> Iterator[str]:
    """Yield the text line by line, each followed by a line that numbers its phrases."""
    for start, end in _lines(caption.text, columns - 2):
        yield f"  {caption.text[start:end]}"
        marks = [" "] * (end - start)
        for phrase in caption.phrases:
            first, last = max(phrase.start, start), min(phrase.end, end)
            if first < last:
                number = str(phrase.number) if len(str(phrase.number)) <= last - first else ""
                marks[first - start : last - start] = number.center(last - first, "─")
        yield f"  {''.join(marks)}".rstrip()


def _lines(text: str, columns: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of lines of at most `columns` characters, broken at spaces."""
    start = 0
    while len(text) - start > columns:
        end = text.rfind(" ", start, start + columns + 1)
        end = end if end > start else start + columns
        yield start, end
        start = end + (text[end : end + 1] == " ")
    yield start, len(text)
