"""Build and read image-text corpora of Sentinel-1 and Sentinel-2."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Corpus", "Sample", "open", "__version__"]

if TYPE_CHECKING:
    from landmark.corpus.open_corpus import open_corpus as open
    from landmark.corpus.reader import Corpus
    from landmark.corpus.sample import Sample
else:
    _NAMES = {"Corpus": ("reader", "Corpus"), "Sample": ("sample", "Sample"), "open": ("open_corpus", "open_corpus")}

    def __getattr__(name: str) -> object:
        """Import the reader on first use: the command line handles signals before that takes its time."""
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        module, attribute = _NAMES[name]
        return getattr(import_module(f"landmark.corpus.{module}"), attribute)
