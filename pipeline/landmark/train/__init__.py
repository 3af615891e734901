"""Train CLOSP on a corpus and evaluate its retrieval."""

from importlib import import_module

from landmark.core.errors import InputError


def require_libraries() -> None:
    """Check that the optional dependencies of training are installed.

    Raises:
        InputError: a library is missing.
    """
    for name in ("torch", "tokenizers", "safetensors", "sklearn"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(
                "not installed", value=name, remedy="run pip install '.[train]' in landmark's folder"
            ) from error
