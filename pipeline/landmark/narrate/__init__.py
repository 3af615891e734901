"""Facts → captions, questions, hard negatives, and back. Pure text: no pixels, no network, no clock."""

from landmark.narrate.captions import Wanted, captions
from landmark.narrate.grammar import Grammar, load_grammar, shipped
from landmark.narrate.language import Language
from landmark.narrate.negatives import hard_negatives
from landmark.narrate.parse import Lexicon, lexicon, said_twice
from landmark.narrate.places import Gazetteer, read_gazetteer
from landmark.narrate.questions import Asked, put, questions
from landmark.narrate.scene import Nearby, Scene, season

__all__ = [
    "Asked",
    "Gazetteer",
    "Grammar",
    "Language",
    "Lexicon",
    "Nearby",
    "Scene",
    "Wanted",
    "captions",
    "hard_negatives",
    "lexicon",
    "load_grammar",
    "put",
    "questions",
    "read_gazetteer",
    "said_twice",
    "season",
    "shipped",
]
