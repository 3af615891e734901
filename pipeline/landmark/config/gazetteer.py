"""A recipe's entry of a gazetteer."""

from pathlib import Path
from typing import Any

from pydantic import Field

from landmark.config.paths import absolute_path, file_name
from landmark.core.yaml_files import StrictModel


class GazetteerEntry(StrictModel):
    """Named points; captions mention the nearest."""

    file: str = Field(
        description="GeoJSON, GeoPackage or CSV (`lon`, `lat`) with a `name`, and optionally `name_fr`, `name_es`;"
        " relative to the recipe, or `world:` for the embedded world's folder"
    )
    within_km: float = Field(30, gt=0, le=1000, description="Farther places are not mentioned")
    licence: str = Field(description="Licence of the file, written to the corpus")
    attribution: str = Field(description="Attribution the licence requires")

    def canonical(self) -> dict[str, Any]:
        """The entry as JSON, independent of the file's folder."""
        return {**self.model_dump(mode="json"), "file": file_name(self.file)}

    def resolve_paths(self, folder: Path) -> "GazetteerEntry":
        """The entry with its path relative to a folder made absolute."""
        return self.model_copy(update={"file": absolute_path(self.file, folder)})
