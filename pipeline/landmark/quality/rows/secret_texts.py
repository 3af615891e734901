"""Checks for tokens, signed URLs and local paths in the rows and documents of a corpus."""

import re
from collections.abc import Iterable, Iterator, Sequence

from landmark.core.errors import InvalidCorpus
from landmark.corpus.tables import INPUTS_FILE, read_table
from landmark.domain.schemas import INPUTS, LEDGER
from landmark.quality.check_input import Check, CheckInput, CorpusContext
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag
from landmark.quality.rows.captions import Row, RowProblem

_DOCUMENTS = ("corpus.json", "lock.json", "README.md", "ATTRIBUTION.md", "queries.jsonl")
_ROWS_AT_ONCE = 500
_SECRET = re.compile(
    r"[?&](sig|sv|se|token|key|X-Amz-\w+|AWSAccessKeyId|Signature)=|\bBearer [\w.~+/-]{8}|\beyJ[\w-]{8,}\.[\w-]+",
    re.IGNORECASE,
)
_FOLDERS = ("home", "users", "root", "tmp", "var", "mnt", "data", "media", "opt", "srv", "scratch")
_LOCAL_PATH = re.compile(rf"(^|[\s'\"])(file:|/({'|'.join(_FOLDERS)})/|[a-z]:\\)", re.IGNORECASE)

# In lower case, texts of which every match has one: these are found far faster.
_PARTS_OF_SECRETS = ("sig=", "sv=", "se=", "token=", "key=", "x-amz-", "keyid=", "signature=", "bearer ", "eyj")
_PARTS_OF_PATHS = ("file:", ":\\", *(f"/{folder}/" for folder in _FOLDERS))


def secrets_in_row(row: Row, context: CorpusContext, limits: Limits) -> Iterator[RowProblem]:
    """No column holds a token, a signed URL or a local path."""
    texts = list(_texts(row))
    # One search of all texts finds nothing in nearly all rows.
    joined = "\n".join(text for _, text in texts)
    if not find_secret(joined) and not find_local_path(joined):
        return
    for name, text in texts:
        if find_secret(text):
            yield f"{name} holds a token or a signed URL", re.sub(r"(=|Bearer )[^&\s]+", r"\1…", text)[:120]
        elif find_local_path(text):
            yield f"{name} holds a local path", text[:120]


def find_secret(text: str) -> re.Match[str] | None:
    """The first token or signed URL."""
    return _SECRET.search(text) if _has_any(_PARTS_OF_SECRETS, text) else None


def find_local_path(text: str) -> re.Match[str] | None:
    """The first path of a file or folder of a computer."""
    return _LOCAL_PATH.search(text) if _has_any(_PARTS_OF_PATHS, text) else None


def _has_any(parts: Iterable[str], text: str) -> bool:
    folded = text.casefold()
    return any(part in folded for part in parts)


def _texts(row: Row) -> Iterator[tuple[str, str]]:
    for name in ("product", "platform", "baseline", "offset_rule"):
        yield name, row[name] or ""
    for name in ("items", "licences"):
        for text in row[name]:
            yield name, text
    for caption in row["captions"]:
        yield "captions", f"{caption['text']} {caption['template']}"
    for source in row["sources"]:
        yield "sources", f"{source['name']} {source['version']}"
    for event in row["events"]:
        yield "events", f"{event['id']} {event['product']}"


def secrets_in_documents(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No document, no ledger row and no recorded input holds a token, a signed URL or a local path."""
    root = inputs.context.root
    for path in (root / name for name in _DOCUMENTS):
        if path.is_file():
            yield from _find_secrets(path.name, [path.read_text(encoding="utf-8", errors="replace")])
    for name, schema in (("ledger.parquet", LEDGER), (INPUTS_FILE, INPUTS)):
        try:
            table = read_table(root / name, schema)
        except InvalidCorpus:
            continue  # other checks report it
        for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
            yield from _find_secrets(name, [" ".join(map(str, row.values())) for row in batch.to_pylist()])


def _find_secrets(name: str, texts: Sequence[str]) -> Iterator[Flag]:
    joined = "\n".join(texts)  # in nearly all corpora one search finds nothing
    for text in texts if find_secret(joined) or find_local_path(joined) else ():
        if match := find_secret(text):
            yield Flag("token or signed URL", name, re.sub(r"(=|Bearer |eyJ).*", r"\1…", match[0]))
        elif match := find_local_path(text):
            yield Flag("local path", name, match[0].strip())


CHECKS: dict[str, Check] = {"secrets": secrets_in_documents}
