"""Build and read image-text corpora of Sentinel-1 and Sentinel-2."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Corpus", "Sample", "open", "__version__"]

if TYPE_CHECKING:
    from landmark.corpus.reader import Corpus
    from landmark.corpus.reader import open_corpus as open
    from landmark.corpus.sample import Sample
else:
    _NAMES = {"Corpus": "Corpus", "Sample": "Sample", "open": "open_corpus"}

    def __getattr__(name: str) -> object:
        """Import the reader on first use: the command line handles signals before that takes its time."""
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from landmark.corpus import reader

        return getattr(reader, _NAMES[name])
