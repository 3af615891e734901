"""Build and read image-text corpora of Sentinel-1 and Sentinel-2."""

from landmark.corpus.reader import Corpus, Sample
from landmark.corpus.reader import open_corpus as open

__version__ = "0.1.0"
__all__ = ["Corpus", "Sample", "open", "__version__"]
