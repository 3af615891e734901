"""Parse and validate the STAC properties that are read, under the names of all supported providers."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any

import pystac
from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from landmark.core.yaml_files import parse_model


def _utc(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def _number(value: Any) -> Any:
    """A number that a provider writes as text, such as `022`."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _both(name: str) -> list[str]:
    """A property under the prefixes of both sensors."""
    return [f"s2:{name}", f"s1:{name}"]


UtcTime = Annotated[dt.datetime, AfterValidator(_utc)]


class StacProperties(BaseModel):
    """Properties of an item and one of its assets; times without a zone are UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    datetime: UtcTime | None = None
    start_datetime: UtcTime | None = None
    end_datetime: UtcTime | None = None
    platform: str | None = None
    relative_orbit: Annotated[int, BeforeValidator(_number)] | None = Field(
        None,
        validation_alias=AliasChoices("sat:relative_orbit", *_both("relative_orbit_number"), "relativeOrbitNumber"),
    )
    orbit_state: Annotated[str, AfterValidator(str.lower)] | None = Field(
        None, validation_alias=AliasChoices("sat:orbit_state", *_both("orbit_direction"), "orbitDirection")
    )
    cloud_cover: float | None = Field(None, alias="eo:cloud_cover")
    baseline: str | None = Field(None, alias="s2:processing_baseline", pattern=r"^\d+\.\d+$")
    datatake: str | None = Field(None, validation_alias=AliasChoices("s2:datatake_id", "eopf:datatake_id"))
    product: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "s2:product_uri", "s2:product_title", "s2:product_name", "s2:product_id", "sentinel:product_id", "title"
        ),
    )
    offset_applied: bool | None = Field(None, alias="earthsearch:boa_offset_applied")
    polarizations: tuple[str, ...] = Field((), alias="sar:polarizations")
    tile: str | None = Field(None, validation_alias=AliasChoices("s2:mgrs_tile", "tileId"))
    grid_code: str | None = Field(None, alias="grid:code", pattern=r"^\w+-\w+$")
    epsg: int | None = Field(None, alias="proj:epsg")
    code: str | None = Field(None, alias="proj:code")
    transform: tuple[float, ...] | None = Field(None, alias="proj:transform", min_length=6)
    shape: tuple[int, int] | None = Field(None, alias="proj:shape")


def json_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-safe properties: datetimes as ISO strings, NaN as null."""
    return dict(json.loads(json.dumps(dict(properties), default=str), parse_constant=lambda _: None))


def parse_properties(item: pystac.Item, asset: str | None = None) -> StacProperties:
    """Parse the properties of an item; those of the asset override them.

    Raises:
        InputError: a value has the wrong type.
    """
    of_asset = item.assets[asset].extra_fields if asset is not None else {}
    of_item = item.to_dict(include_self_link=False, transform_hrefs=False)["properties"]
    # GeoParquet has a column for every key of any item, null where the item lacks it.
    values = {
        key: value
        for fields in (of_item, of_asset)
        for key, value in json_properties(fields).items()
        if value is not None
    }
    return parse_model(StacProperties, values, f"item {item.id}", strict=True)
