"""Corpus → CLOSP, and how well it retrieves."""

from importlib import import_module

from landmark.core.errors import InputError


def require_libraries() -> None:
    """See that what trains is installed: it is no part of what builds a corpus.

    Raises:
        InputError: a library is missing.
    """
    for name in ("torch", "transformers", "safetensors"):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise InputError(f"{name} is not installed; `pip install 'landmark[train]'` adds what trains") from error
