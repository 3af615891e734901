"""Text to UTC datetimes. Times without a zone are taken as UTC."""

import datetime as dt
import re

_DAY = re.compile(r"\d{4}-?\d\d-?\d\d")


def as_utc(time: dt.datetime) -> dt.datetime:
    """The same time in UTC; one without a zone is taken as UTC."""
    return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)


def parse_utc(text: str, pattern: str | None = None, *, last: bool = False) -> dt.datetime:
    """Parse ISO 8601, or a `strptime` pattern, as UTC.

    Args:
        text: The time, or a day alone.
        pattern: Pattern of `strptime`; None for ISO 8601.
        last: Return the last microsecond of an ISO day in place of its first.

    Raises:
        ValueError: the text does not match.
    """
    text = text.strip()
    if pattern is not None:
        return as_utc(dt.datetime.strptime(text, pattern))
    time = as_utc(dt.datetime.fromisoformat(text))
    return time + dt.timedelta(days=1, microseconds=-1) if last and _DAY.fullmatch(text) else time
