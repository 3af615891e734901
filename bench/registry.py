"""The list of defects, filled by the modules that plant them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.draft import Draft, Planted

Group = Literal["integrity", "pixels", "words", "splits", "bias"]
Plant = Callable[[Draft], Planted]


class Unsuited(Exception):
    """The corpus has nothing the defect could fall upon; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect.

    Attributes:
        check: The check that must find it.
        about: What is wrong, in a few words.
        plant: A pure function of the draft: the same draft, the same defect.
        wide: True where it can only be seen among hundreds of samples.
    """

    kind: str
    group: Group
    check: str
    about: str
    plant: Plant
    wide: bool = False


DEFECTS: dict[str, Defect] = {}


def planting(group: Group, check: str, about: str, *, wide: bool = False) -> Callable[[Plant], Plant]:
    """Enter a function into the list; its name, with hyphens, is the defect's kind."""

    def enter(plant: Plant) -> Plant:
        kind = plant.__name__.strip("_").replace("_", "-")
        if kind in DEFECTS:
            raise ValueError(f"two defects are called {kind}")
        DEFECTS[kind] = Defect(kind, group, check, about, plant, wide)
        return plant

    return enter
