"""Text for terminals and logs."""

import re

# Control characters but tab and line feed, and those that turn the direction of text.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    r"""A text with its control characters as `\u001b`, as in JSON, so that a name cannot steer a terminal.

    The result is valid in XML, too.
    """
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
