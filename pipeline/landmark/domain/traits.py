"""How land of a class looks in an image."""

from enum import StrEnum


class Trait(StrEnum):
    """How land of a class may look in an image; a class with several traits may look like any of them."""

    WATER = "water"
    GREEN = "green"
    BARE = "bare"
    SNOW = "snow"
    BUILT = "built"
