"""Train CLOSP on a corpus and evaluate its retrieval."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from landmark.core.errors import InputError

# OpenMP reads these when PyTorch loads it. Its threads would else wait in busy loops, on cores that others need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

if TYPE_CHECKING:
    from landmark.train.encoder import Encoder as Encoder
else:

    def __getattr__(name: str) -> object:
        """Import `Encoder` on first use, as it needs PyTorch."""
        if name != "Encoder":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from landmark.train.encoder import Encoder

        return Encoder


def require_libraries() -> None:
    """Check that the optional dependencies of training are installed.

    Raises:
        InputError: a library is missing.
    """
    for name in ("torch", "tokenizers", "safetensors", "sklearn", "matplotlib"):
        if find_spec(name) is None:
            raise InputError("not installed", value=name, remedy="run pip install '.[train]' in landmark's folder")
