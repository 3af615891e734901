"""Plain words and decimal numbers of YAML are what the file says; other numbers and duplicate keys are refused."""

import math

import pytest

from landmark.core.errors import InputError
from landmark.core.yaml_files import read_yaml
from landmark.core.yaml_text import parse_json, parse_yaml
from tests.parts import raises, text


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("no: [yes, on, off, y, No]", {"no": ["yes", "on", "off", "y", "No"]}),
        ("[true, FALSE]", [True, False]),
        ("[0, 10, -3, +5, 0.10, .5, 05.00, 1.5e+3, -.INF]", [0, 10, -3, 5, 0.1, 0.5, 5.0, 1500.0, -math.inf]),
        ("[1_000, 1_0.5, 1.1.2]", ["1_000", "1_0.5", "1.1.2"]),
        ("[2021-06-01, 2021-06-01T10:30:00Z, =]", ["2021-06-01", "2021-06-01T10:30:00Z", "="]),
        ("['010', \"1:30\"]", ["010", "1:30"]),
        ("{a: &a {x: 1, y: 2}, b: {<<: *a, y: 3}}", {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}),
    ],
)
def test_words_stay_words_and_numbers_are_decimal(content, value):
    parsed = parse_yaml(content, "own.yaml")
    assert (parsed, repr(parsed)) == (value, repr(value))


@pytest.mark.parametrize(
    ("content", "key", "value"),
    [
        ("a: 010", "a", "010"),
        ("a: {b: [1, 008]}", "a.b.1", "008"),
        ("classes:\n  001: {key: a}", "classes.001", "001"),
        ("a: [{b: 1:30}]", "a.0.b", "1:30"),
        ("a: 12:30:45.5", "a", "12:30:45.5"),
        ("a: 0b11", "a", "0b11"),
        ("a: 0o17", "a", "0o17"),
        ("a: 0x1F", "a", "0x1F"),
        ("a: -0_10", "a", "-0_10"),
        ("a: !!int '010'", "a", "010"),
        ("- 1\n- 007", "1", "007"),
    ],
)
def test_a_number_that_is_not_decimal_is_refused_with_line_and_key(tmp_path, content, key, value):
    with raises(InputError, file="own.yaml", key=key, value=value):
        parse_yaml(content, "own.yaml")
    path = text(tmp_path / "own.yaml", content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert f"line {1 + content[: content.index(value)].count(chr(10))}" in caught.value.problem


@pytest.mark.parametrize("content", ["{a: 1, a: 2}", "{1: a, 1.0: b}", "{true: a, 1: b}", "a: !!bool maybe"])
def test_duplicate_keys_and_wrong_tags_are_refused(content):
    with raises(InputError, file="own.yaml"):
        parse_yaml(content, "own.yaml")


@pytest.mark.parametrize("content", ['{"a": 1, "a": 2}', '{"a": [NaN]}', '{"a": -Infinity}', "{a: 1}", ""])
def test_ambiguous_json_is_refused(content):
    assert parse_json('{"a": [1.5, {"a": null}]}') == {"a": [1.5, {"a": None}]}
    with pytest.raises(ValueError):
        parse_json(content)
