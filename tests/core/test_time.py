"""Text to UTC datetimes."""

import datetime as dt

import pytest

from landmark.core.time import as_utc, parse_utc


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2018-10-29", "2018-10-29T00:00:00", "2018-10-29T23:59:59.999999"),
        ("20181029", "2018-10-29T00:00:00", "2018-10-29T23:59:59.999999"),
        ("2018-10-29T06:30:00Z", "2018-10-29T06:30:00", "2018-10-29T06:30:00"),
        ("2018-10-29 06:30+01:00", "2018-10-29T05:30:00", "2018-10-29T05:30:00"),
    ],
)
def test_a_day_is_the_first_or_last_microsecond(text: str, first: str, last: str) -> None:
    assert (parse_utc(text), parse_utc(text, last=True)) == (
        as_utc(dt.datetime.fromisoformat(first)),
        as_utc(dt.datetime.fromisoformat(last)),
    )
