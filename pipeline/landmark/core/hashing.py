"""Digests, and pseudo-random ranks derived from them: the only source of randomness in a build."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest(value: Any) -> str:
    """Hex digest (32 characters) of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def names_digest(names: Iterable[str]) -> str:
    """Hex digest (32 characters) of a sequence of names."""
    return hashlib.blake2b("\n".join(names).encode(), digest_size=16).hexdigest()


def rank(seed: int, *names: str) -> int:
    """A pseudo-random integer in [0, 2**64) for these names, uniform and independent between names."""
    key = "\x1f".join((str(seed), *names)).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")


def ranks(seed: int, salt: str, names: Iterable[str]) -> NDArray[np.uint64]:
    """`rank(seed, salt, name)` of every name."""
    return np.fromiter((rank(seed, salt, name) for name in names), dtype=np.uint64)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def path_sha256(path: Path) -> str:
    """SHA-256 of a file; of a folder, a digest of the names and contents of its files, without programs' locks."""
    if path.is_file():
        return file_sha256(path)
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".lock")
    return digest([[file.relative_to(path).as_posix(), file_sha256(file)] for file in files])
