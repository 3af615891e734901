"""A gazetteer as a recipe names it."""

from pathlib import Path
from typing import Any

from pydantic import Field

from landmark.config.label_entries import WORLD
from landmark.core.yaml_files import Strict


class Places(Strict):
    """Named points, of which captions say the nearest."""

    file: str = Field(
        description="GeoJSON, GeoPackage or CSV (lon, lat) with `name`, and `name_fr`, `name_es` where they have such;"
        " from the recipe, or `world:` for the embedded world's folder"
    )
    within_km: float = Field(30, gt=0, le=1000, description="Farther places are not named")
    licence: str
    attribution: str

    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON, wherever it lies."""
        return {**self.model_dump(mode="json"), "file": Path(self.file.removeprefix(WORLD)).name}

    def beside(self, folder: Path) -> "Places":
        """The entry with a path that is relative to a folder made whole."""
        if self.file.startswith(WORLD):
            return self
        return self.model_copy(update={"file": str(folder / Path(self.file).expanduser())})
