"""What a recipe wants the ground of its cells to be: round events, or chosen by what lies there."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from landmark.core.yaml_files import Strict

Percent = Annotated[float, Field(gt=0, le=100)]
Number = Annotated[int, Field(ge=0)]
_DEFAULT = "default"


class Around(Strict):
    """Chips round events, in place of chips over the region; numbers are cells per event, as far as there are."""

    affected: int = Field(12, ge=0, description="Cells the event's class is said of (or that lie near an epicentre)")
    before: bool = Field(
        True, description="With each of these the nearest image before it, of the same sensor and orbit direction"
    )
    spared: int = Field(4, ge=0, description="Cells that were looked at whole and show nothing of the event")
    far: int = Field(4, ge=0, description="Cells of the same acquisitions on the ground of no event")
    far_km: float = Field(15, gt=0, description="How far from the event's ground they may lie")
    apart_km: float = Field(1.2, ge=0, description="How far, at least, they stand from the ground of all events")
    before_days: int = Field(90, ge=1, description="How long before the event an image may be taken")
    after_days: int = Field(60, ge=0, description="How long after its end")


class Meaningful(Strict):
    """Cells chosen by their labels, before any pixel is fetched."""

    candidates: float = Field(
        4, ge=1, description="Cells looked at, as a multiple of `cells`: whole clusters in the order of their hash"
    )
    balance: bool = Field(True, description="Fill up by the class that is rarest so far; false: by hash")
    guarantee: Number | dict[str, Number] = Field(
        0, description="Cells of each class that come first, as far as there are: one number, or one a class"
    )
    cap: Percent | dict[str, Percent] = Field(
        100, description="Most cells a class may be on, in percent of the chosen; per class, the others `default`"
    )
    repeats: int | None = Field(
        None, ge=1, description="Cells of the same labels in the same tenths that may come before others are used up"
    )

    @model_validator(mode="after")
    def _wants_something(self) -> "Meaningful":
        if not self.balance and not self.guarantee and self.cap == 100 and self.repeats is None:
            raise ValueError("asks for nothing: give balance, guarantee, cap or repeats, or leave it out")
        return self

    def guaranteed(self, key: str) -> int:
        """Cells of a class that come first."""
        return (
            self.guarantee.get(key, self.guarantee.get(_DEFAULT, 0))
            if isinstance(self.guarantee, dict)
            else self.guarantee
        )

    def cap_pct(self, key: str) -> float:
        """Most cells a class may be on, in percent of the chosen."""
        return self.cap.get(key, self.cap.get(_DEFAULT, 100)) if isinstance(self.cap, dict) else self.cap

    def unknown(self, classes: Iterable[str]) -> list[str]:
        """Keys, as they stand in the recipe, that name none of the classes."""
        known = {_DEFAULT, *classes}
        tables = {"guarantee": self.guarantee, "cap": self.cap}
        return [
            f"{name}.{key}"
            for name, table in tables.items()
            if isinstance(table, dict)
            for key in sorted(table.keys() - known)
        ]
