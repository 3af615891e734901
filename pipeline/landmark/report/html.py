"""Markup of HTML pages: every text is escaped as it is put into an element."""

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"meta", "img", "br"})


class Html(str):
    """Markup, as `element` and `join` make it; any other value is text and is escaped."""

    __slots__ = ()


def element(tag: str, /, *content: object, **attributes: object) -> Html:
    """An element with escaped attributes and content.

    Args:
        tag: Name, a literal of the code.
        content: Markup as it is, other values as text.
        attributes: `class_` is `class`, `aria_label` is `aria-label`; omitted where None.
    """
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    opening = "".join([tag, *(f' {key}="{escape(str(value))}"' for key, value in pairs)])
    return Html(f"<{opening}>" if tag in _VOID else f"<{opening}>{join(content)}</{tag}>")


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Markup of several parts, in order."""
    return Html(separator.join(part if isinstance(part, Html) else escape(str(part)) for part in parts))


def document(title: str, style: str, *body: object) -> Html:
    """A page that loads nothing: no script, and images and styles only of the page itself.

    Args:
        title: Title, as text.
        style: Style sheet of the code.
        body: Content.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    return Html(f"<!doctype html>\n{element('html', head, element('body', *body), lang='en')}\n")
