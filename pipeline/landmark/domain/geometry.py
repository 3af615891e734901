"""A shapely geometry as a field type of pydantic models and of dataclasses in them."""

from typing import Annotated, Any

import shapely
from pydantic import PlainSerializer, PlainValidator
from shapely.geometry.base import BaseGeometry


def _parse(value: Any) -> BaseGeometry:
    try:
        return value if isinstance(value, BaseGeometry) else shapely.from_wkb(value)
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise ValueError(f"not a geometry as WKB in hex: {error}") from error


# Hex WKB in JSON: coordinates are read back exactly, which decimal text of them need not be.
Geometry = Annotated[
    BaseGeometry,
    PlainValidator(_parse, json_schema_input_type=str),
    PlainSerializer(lambda geometry: shapely.to_wkb(geometry, hex=True), return_type=str),
]
