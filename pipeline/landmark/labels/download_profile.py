"""What is ordered, where, and with whose key."""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from landmark.core.errors import InputError
from landmark.core.yaml_files import Strict


class Edition(Strict):
    """One year of a map, as the service knows it."""

    dataset: str = Field(description="UID of the dataset")
    file: str = Field(description="Id of the pre-packaged file in the dataset's `downloadable_files`")


class Download(Strict):
    """How a label map is ordered. A file in profiles/downloads/."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    api: str = Field(pattern=r"^https?://.*[^/]$", description="Root of the service's API, without a slash at its end")
    get_key: str = Field(description="Where a person gets a key")
    suffix: Literal[".tif", ".gpkg"] = Field(description="What is kept of the package: its largest file of this kind")
    poll_s: float = Field(30, gt=0, description="Seconds between two looks at the order")
    editions: dict[int, Edition] = Field(min_length=1, description="Year → edition")

    def edition(self, year: int) -> Edition:
        """The edition of a year.

        Raises:
            InputError: there is none; the message lists the known ones.
        """
        if year not in self.editions:
            known = ", ".join(str(one) for one in sorted(self.editions))
            raise InputError(f"--year {year}: {self.title} has no such edition; it has {known}")
        return self.editions[year]


class Key(BaseModel):
    """A service key, as the service shows it once; it holds more than is needed here. Never written or printed."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    client_id: str
    user_id: str
    token_uri: str = Field(pattern=r"^https?://")
    private_key: str = Field(repr=False)


def read_key(path: Path | None, download: Download) -> Key:
    """The person's service key.

    Raises:
        InputError: none given, or not one; the message says where to get one.
    """
    if path is None:
        raise InputError(f"{download.title} needs your own key, --key service-key.json; to get one, {download.get_key}")
    try:
        return Key.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"--key {path}: cannot be read: {error.strerror}; to get one, {download.get_key}") from error
    except (ValueError, ValidationError) as error:
        wanted = ", ".join(Key.model_fields)
        raise InputError(f"--key {path}: not a service key, a JSON object with {wanted}; {download.get_key}") from error
