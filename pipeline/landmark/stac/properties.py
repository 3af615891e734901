"""The STAC keys landmark reads, checked at the door: what an item says, whatever the provider calls it."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any

import pystac
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from landmark.core.yaml_files import parse_model


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


Moment = Annotated[dt.datetime, AfterValidator(_utc)]


class StacProperties(BaseModel):
    """Properties of an item, with those of one of its assets before them; a moment without a zone is UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    datetime: Moment | None = None
    start_datetime: Moment | None = None
    end_datetime: Moment | None = None
    platform: str | None = None
    relative_orbit: int | None = Field(None, alias="sat:relative_orbit")
    orbit_state: Annotated[str, AfterValidator(str.lower)] | None = Field(None, alias="sat:orbit_state")
    cloud_cover: float | None = Field(None, alias="eo:cloud_cover")
    baseline: str | None = Field(None, alias="s2:processing_baseline", pattern=r"^\d+\.\d+$")
    datatake: str | None = Field(None, alias="s2:datatake_id")
    product: str | None = Field(None, validation_alias=AliasChoices("s2:product_uri", "sentinel:product_id"))
    offset_applied: bool | None = Field(None, alias="earthsearch:boa_offset_applied")
    polarizations: tuple[str, ...] = Field((), alias="sar:polarizations")
    tile: str | None = Field(None, alias="s2:mgrs_tile")
    grid_code: str | None = Field(None, alias="grid:code", pattern=r"^\w+-\w+$")
    epsg: int | None = Field(None, alias="proj:epsg")
    code: str | None = Field(None, alias="proj:code")
    transform: tuple[float, ...] | None = Field(None, alias="proj:transform", min_length=6)
    shape: tuple[int, int] | None = Field(None, alias="proj:shape")


def plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties as JSON has them: times are text, and what is no number is silence."""
    return dict(json.loads(json.dumps(dict(properties), default=str), parse_constant=lambda _: None))


def said(item: pystac.Item, asset: str | None = None) -> StacProperties:
    """What an item says of itself and of an asset.

    Raises:
        InputError: a value is not of its key's kind.
    """
    of_asset = item.assets[asset].extra_fields if asset is not None else {}
    properties = item.to_dict(include_self_link=False, transform_hrefs=False)["properties"]
    # A table of items has a column for every key that any of them says.
    told = {
        key: value for fields in (properties, of_asset) for key, value in plain(fields).items() if value is not None
    }
    return parse_model(StacProperties, told, f"item {item.id}", strict=True)
