"""Parse STAC items, and keep what can still be read of those that are invalid."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pystac
from pydantic import BaseModel, ConfigDict, Field
from shapely.errors import ShapelyError

from landmark.core.errors import InputError
from landmark.core.yaml_files import parse_model

# Paths and URLs, which no corpus file may hold.
_LOCATION = re.compile(r"\S*[/\\]\S*")
_MAX_CHARS = 160
# Errors of code that meets a value of a type that no item should have.
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, ShapelyError, TypeError, ValueError)


class _Asset(BaseModel):
    model_config = ConfigDict(extra="ignore")

    href: str = Field(min_length=1)


class _Document(BaseModel):
    """What every item must have; its properties are validated where they are read."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["Feature"]
    id: str = Field(min_length=1)
    collection: str | None = None
    properties: dict[str, Any]
    assets: dict[str, _Asset]


@dataclass(frozen=True, slots=True)
class InvalidItem:
    """A document of a catalogue that is no valid item.

    Attributes:
        id: Its id, or its position where it has none.
        collection_id: None if it names none.
        geometry: As in the document, of any type; like `bbox` and `properties`.
        error: What is wrong.
    """

    id: str
    collection_id: str | None
    geometry: Any
    bbox: Any
    properties: Any
    error: InputError

    @classmethod
    def from_item(cls, item: pystac.Item, error: InputError) -> "InvalidItem":
        """An item that was parsed, but has an invalid value."""
        properties = {**item.properties, "datetime": item.datetime and item.datetime.isoformat()}
        return cls(item.id, item.collection_id, item.geometry, item.bbox, properties, error)

    @classmethod
    def unreadable(cls, name: str, collection_id: str | None, error: Exception) -> "InvalidItem":
        """A document that cannot be read."""
        problem = f"cannot be read: {describe(error)}"
        return cls(name, collection_id, None, None, None, InputError(problem, file=f"item {name}"))


def parse_item(document: Any, name: str, *, collection_id: str | None = None) -> pystac.Item | InvalidItem:
    """Parse the JSON of an item.

    Args:
        document: Any JSON value.
        name: Names the item in errors if it has no id.
        collection_id: Collection of an item that names none.
    """
    fields: Mapping[str, Any] = document if isinstance(document, dict) else {}
    id, collection = fields.get("id"), fields.get("collection")
    id = id if isinstance(id, str) and id else name
    collection_id = collection if isinstance(collection, str) else collection_id
    # Parsing changes the document.
    geometry, bbox, properties = (fields.get(key) for key in ("geometry", "bbox", "properties"))
    try:
        parse_model(_Document, dict(fields), f"item {id}")
        item = pystac.Item.from_dict(dict(fields), preserve_dict=False)
    except InputError as error:
        return InvalidItem(id, collection_id, geometry, bbox, properties, error)
    except Exception as error:  # pystac has no common error class for invalid items
        key = "datetime" if isinstance(error, ValueError) or "datetime" in str(error) else None
        problem = InputError(f"not a STAC item: {describe(error)}", file=f"item {id}", key=key)
        return InvalidItem(id, collection_id, geometry, bbox, properties, problem)
    item.collection_id = collection_id
    return item


def describe(error: Exception) -> str:
    """Type and text of an error on one line, without paths and URLs."""
    text = _LOCATION.sub("…", " ".join(str(error).split()))[:_MAX_CHARS]
    return f"{type(error).__name__}: {text}"
