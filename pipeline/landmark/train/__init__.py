"""Train CLOSP on a corpus and evaluate its retrieval."""

from importlib.util import find_spec

from landmark.core.errors import InputError


def require_libraries() -> None:
    """Check that the optional dependencies of training are installed.

    Raises:
        InputError: a library is missing.
    """
    for name in ("torch", "tokenizers", "safetensors", "sklearn", "matplotlib"):
        if find_spec(name) is None:
            raise InputError("not installed", value=name, remedy="run pip install '.[train]' in landmark's folder")
