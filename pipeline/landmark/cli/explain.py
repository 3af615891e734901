"""`landmark explain`: what each phrase of a sample's captions rests on."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from landmark.cli import options

_LEAST_COLUMNS, _MOST_COLUMNS = 40, 110


def explain(
    corpus: Annotated[Path, typer.Argument(help="A sealed corpus.")],
    id: Annotated[str, typer.Argument(help="A sample's id.")],
    lang: Annotated[str | None, typer.Option(help="Only captions of this language.")] = None,
    style: Annotated[str | None, typer.Option(help="Only captions of this style.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a sample's captions with each phrase numbered, and beneath them what each phrase rests on."""
    from dataclasses import asdict

    from landmark.core.errors import UnknownName
    from landmark.report.explain import explain as work

    found = work(corpus, id)
    for name, value in (("lang", lang), ("style", style)):
        if value not in (None, *(spoken := dict.fromkeys(getattr(one, name) for one in found.captions))):
            raise UnknownName(f"--{name} {value}: {id} has no such captions; there are {', '.join(spoken) or 'none'}")
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, ensure_ascii=False))
        return
    chosen = [one for one in found.captions if lang in (None, one.lang) and style in (None, one.style)]
    columns = min(max(shutil.get_terminal_size().columns, _LEAST_COLUMNS), _MOST_COLUMNS)
    typer.echo("\n".join(_page(found, chosen, columns, lang)))


def _page(found: Any, captions: list[Any], columns: int, lang: str | None) -> Iterator[str]:
    yield found.id
    for one in captions:
        yield ""
        yield f"{one.style}, {one.lang}, by {one.template}" + (f": {one.rule}" if one.rule else "")
        yield from _underlined(one, columns)
    yield ""
    said = {phrase.number for one in captions for phrase in one.phrases}
    for number, (fact, lines) in enumerate(found.facts, start=1):
        if number in said:
            yield f"{number:>3}  {fact}"
            yield from _indented(lines, columns)
    if found.events:
        yield from ("", "events of this ground")
        yield from _indented(found.events, columns)
    for one in (one for one in found.questions if lang in (None, one["lang"])):
        yield from ("", f"{one['question']}  {one['answer']}", f"   {', '.join(one['evidence'])}")
    for one in (one for one in found.hard_negatives if lang in (None, one["lang"])):
        yield from ("", f"false: {one['text']}", f"   {one['instead']} in place of {one['falsified']}")


def _indented(lines: tuple[str, ...], columns: int) -> Iterator[str]:
    for line in lines:
        yield from wrap(line, columns, initial_indent=" " * 5, subsequent_indent=" " * 7)


def _underlined(caption: Any, columns: int) -> Iterator[str]:
    """The text in lines, each with a line that numbers its phrases."""
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
    """[start, end) of lines no longer than `columns`, broken at spaces."""
    start = 0
    while len(text) - start > columns:
        end = text.rfind(" ", start, start + columns + 1)
        end = end if end > start else start + columns
        yield start, end
        start = end + (text[end : end + 1] == " ")
    yield start, len(text)
