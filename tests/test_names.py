"""Identifiers use the field's terms: a list of banned words, and every exception by file and name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Participles and verbs of speech for data, pronouns, and the names of a private dialect.
# fmt: off
BANNED = frozenset({
    "said", "says", "told", "tells", "telling", "spoken", "heard", "hears", "asked",
    "asks", "wanted", "wished", "wish", "found", "given", "taken", "kept", "met",
    "felt", "dealt", "happening", "happenings", "wording", "rewording", "retold", "meaning", "meanings",
    "setting", "notation", "notations", "outcome", "outcomes", "one", "ones", "some", "it",
    "its", "theirs", "mine", "ours", "yours", "there", "here", "thing", "things",
    "whole", "twice", "lie", "lies", "beside", "among", "lone", "spared", "veiled",
    "cast", "standing", "gathered", "anew",
})
# fmt: on
# As an identifier of its own `other` is a pronoun; as part of a name it is an adjective.
BANNED_ALONE = frozenset({"other", "others", "this", "that", "these", "those", "them"})

# `file:identifier`, with the reason where it is not obvious.
EXCEPTIONS: frozenset[str] = frozenset()


def definitions(tree: ast.AST) -> Iterator[str]:
    """Names that a module defines: functions, classes, parameters, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not re.fullmatch(r"__\w+__", node.name):
            parameters = node.args
            every = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
            yield from (parameter.arg for parameter in every)
            yield from (star.arg for star in (parameters.vararg, parameters.kwarg) if star)
        elif isinstance(node, ast.Lambda):
            yield from (parameter.arg for parameter in node.args.args)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.name


def banned(identifier: str) -> bool:
    """Whether one of the words of an identifier is banned."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return identifier.strip("_") in BANNED_ALONE or any(word.lower() in BANNED for word in words)


def violations(folder: str) -> set[str]:
    return {
        f"{path.relative_to(ROOT).as_posix()}:{name}"
        for path in (ROOT / folder).rglob("*.py")
        for name in definitions(ast.parse(path.read_text(encoding="utf-8")))
        if banned(name)
    }


@pytest.mark.parametrize("folder", ["pipeline", "tests", "bench"])
def test_identifiers_avoid_banned_words(folder: str) -> None:
    assert sorted(violations(folder) - EXCEPTIONS) == []


def test_every_exception_is_used() -> None:
    assert sorted(EXCEPTIONS - violations("pipeline") - violations("tests") - violations("bench")) == []
