"""Facts → captions. Pure text: no pixels, no network, no clock."""

from landmark.narrate.captions import Grammar, Scene, captions, load_grammar, season

__all__ = ["Grammar", "Scene", "captions", "load_grammar", "season"]
