"""Profiles of label maps that are ordered from a service, and the user's service key."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from landmark.core.errors import InputError
from landmark.core.yaml_files import StrictModel
from landmark.core.yaml_text import parse_json


class MapEdition(StrictModel):
    """One year of a map at the service."""

    dataset: str = Field(description="UID of the dataset")
    file: str = Field(description="Id of the pre-packaged file in the dataset's `downloadable_files`")


class DownloadProfile(StrictModel):
    """Profile of an orderable label map, a file in profiles/downloads/."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    api: str = Field(pattern=r"^https?://.*[^/]$", description="Root of the service's API, without a final slash")
    get_key: str = Field(description="How to get a service key")
    suffix: Literal[".tif", ".gpkg"] = Field(description="The largest file with this suffix is unpacked")
    poll_s: float = Field(30, gt=0, description="Seconds between two requests for an order's status")
    editions: dict[int, MapEdition] = Field(min_length=1, description="Year → edition")

    def edition(self, year: int) -> MapEdition:
        """The edition of a year.

        Raises:
            InputError: there is none.
        """
        if year not in self.editions:
            years = ", ".join(str(year) for year in sorted(self.editions))
            raise InputError(
                f"{self.title} has no such edition", file="--year", value=year, remedy=f"give one of {years}"
            )
        return self.editions[year]


class ServiceKey(BaseModel):
    """A service key as issued, without the fields that are not needed. Never written or printed."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    client_id: str
    user_id: str
    token_uri: str = Field(pattern=r"^https?://")
    private_key: str = Field(repr=False)


def read_key(path: Path | None, profile: DownloadProfile) -> ServiceKey:
    """Read the user's service key.

    Raises:
        InputError: no path, unreadable, or not a service key.
    """
    remedy = f"to get a key, {profile.get_key}"
    if path is None:
        problem = f"{profile.title} needs your own key, --key service-key.json"
        raise InputError(problem, file="--key", remedy=remedy)
    try:
        return ServiceKey.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file="--key", value=path, remedy=remedy) from error
    except (ValueError, ValidationError) as error:
        problem = f"not a service key, a JSON object with {', '.join(ServiceKey.model_fields)}"
        raise InputError(problem, file="--key", value=path, remedy=remedy) from error
