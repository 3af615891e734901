"""Text for terminals, logs and XML."""

import json
from xml.etree import ElementTree

import pytest

from landmark.core.errors import InputError
from landmark.core.printable import printable


@pytest.mark.parametrize("control", ["\0", "\a", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ufffe"])
def test_control_characters_are_escaped_as_in_json(control: str) -> None:
    shown = printable(f"é{control}b")
    assert control not in shown and shown.startswith("é\\u")
    assert json.loads(printable(json.dumps(f'"{control}"', ensure_ascii=False))) == f'"{control}"'
    assert ElementTree.fromstring(printable(f"<a>{control}</a>")).text
    assert control not in str(InputError(f"a{control}", file=f"b{control}", key=f"c{control}", value=f"d{control}"))


def test_text_is_unchanged() -> None:
    text = "Đà Nẵng · 10 °C\n\t緑 🌲 \u200d"
    assert printable(text) == text
