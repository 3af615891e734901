"""What a recipe wants the ground of its cells to be, beyond their being there."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from landmark.base.files import Strict

Percent = Annotated[float, Field(gt=0, le=100)]
Number = Annotated[int, Field(ge=0)]
_DEFAULT = "default"


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
