"""Registry of defects, filled by the modules that plant them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench.draft import Draft, Planted

Group = Literal["integrity", "pixels", "words", "splits", "bias"]
Origin = Literal["own", "independent"]
Plant = Callable[[Draft], Planted]


class Unsuited(Exception):
    """The corpus has no sample that can have the defect; the message names the missing part."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect.

    Attributes:
        check: The check that must find it; "" where the author of the defect names none: then any check.
        about: Short description.
        plant: Pure function of the draft.
        wide: Detectable among hundreds of samples only.
        events: Needs a corpus with events.
        origin: Own defects were written together with the checks, independent ones by an author who had not seen them.
    """

    kind: str
    group: Group
    check: str
    about: str
    plant: Plant
    wide: bool = False
    events: bool = False
    origin: Origin = "own"

    def describe(self) -> dict[str, str]:
        """The facts of a kind that tables show."""
        return {"group": self.group, "check": self.check, "about": self.about, "origin": self.origin}


DEFECTS: dict[str, Defect] = {}


def planting(
    group: Group, check: str, about: str, *, wide: bool = False, events: bool = False, origin: Origin = "own"
) -> Callable[[Plant], Plant]:
    """Register a function; its name with hyphens, after the origin if it is not `own`, is the defect's kind."""

    def register(plant: Plant) -> Plant:
        prefix = "" if origin == "own" else f"{origin}-"
        kind = prefix + plant.__name__.strip("_").replace("_", "-")
        if kind in DEFECTS:
            raise ValueError(f"duplicate defect {kind}")
        DEFECTS[kind] = Defect(kind, group, check, about, plant, wide, events, origin)
        return plant

    return register
