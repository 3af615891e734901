"""Hrefs as they may be recorded: without signatures, but with queries that select a file."""

import re
from pathlib import Path
from urllib.parse import parse_qsl

# Parameters of signatures and credentials: Azure's, AWS's, Google's and CDNs', and generic names.
_CREDENTIAL = re.compile(
    r"s[eprvst]|spr|sip|srt|sdd|ses|sig|sk(oid|tid|t|e|s|v)|saoid|suoid|scid|x-(amz|goog|oss|ms)-.*|signature|expires|"
    r"policy|key(-pair-id)?|code|sas|jwt|hmac|hdn(ts|ea)|pass|pwd|ticket|.*(token|secret|password|credential|session).*|"
    r".*(api.?key|access.?key|access.?id|auth).*",
    re.IGNORECASE,
)
# Names of a version of a file, whose values may be as long as a token.
_VERSION = re.compile(r"version(-?id)?|generation|snapshot", re.IGNORECASE)
# Values that look random: JSON Web Tokens, hexadecimal digests, base64.
_RANDOM = re.compile(r"eyJ.*|[0-9a-fA-F]{20,}|(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[\w+/=~-]{20,}")


def unsigned_href(href: str) -> str:
    """The href without the parameters of its query that are, or may be, credentials."""
    address, mark, query = href.partition("?")
    if not mark:
        return href
    retained = [part for part in query.split("&") if part and not _is_credential(part)]
    return f"{address}?{'&'.join(retained)}" if retained else address


def local_path(path: str) -> str:
    """A path without the query of the href that it was; as it is if a file has this name."""
    return path if "?" not in path or Path(path.removeprefix("file://")).exists() else path.partition("?")[0]


def _is_credential(parameter: str) -> bool:
    name, value = next(iter(parse_qsl(parameter, keep_blank_values=True)), (parameter, ""))
    if _CREDENTIAL.fullmatch(name):
        return True
    return _VERSION.fullmatch(name) is None and _RANDOM.fullmatch(value) is not None
