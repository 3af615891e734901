"""Facts → captions, questions, hard negatives, and back. Pure text: no pixels, no network, no clock."""

from landmark.narrate.captions import Wanted, captions
from landmark.narrate.language import Grammar, Language, load_grammar, shipped
from landmark.narrate.parse import Lexicon, lexicon
from landmark.narrate.scene import Nearby, Scene, season

__all__ = [
    "Grammar",
    "Language",
    "Lexicon",
    "Nearby",
    "Scene",
    "Wanted",
    "captions",
    "lexicon",
    "load_grammar",
    "season",
    "shipped",
]
