"""Profiles of sensors (bands, storage, units) and providers (collections, assets, encodings): `profiles/*.yaml`."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from landmark.core.errors import invalid
from landmark.core.hosts import HostRules, host_of, is_url
from landmark.core.patterns import compile_pattern
from landmark.core.yaml_files import StrictModel, load_model
from landmark.domain.taxonomy import first_duplicate

SensorName = Literal["s1", "s2"]
Stored = Literal["reflectance_dn", "gamma0_power", "gamma0_db", "gamma0_dn"]
Signing = Literal["planetary-computer", "none"]
# A name or an IPv4 address, or an IPv6 address; no URL, no port, and no `*` elsewhere.
_HOST = re.compile(r"(\*\.)?[\w-]+(\.[\w-]+)*|[0-9a-fA-F:]*:[0-9a-fA-F:.]*", re.ASCII)


class Group(StrictModel):
    """Bands of one pixel size, stored together in one binary column."""

    column: str = Field(description="Name of the shard column")
    factor: int = Field(ge=1, description="Pixel size as a multiple of the recipe's resolution")
    bands: tuple[str, ...] = Field(min_length=1, description="Bands in stored order")

    def shape(self, patch_px: int) -> tuple[int, int, int]:
        """(band, y, x) of a patch of `patch_px` pixels at the recipe's resolution."""
        return len(self.bands), patch_px // self.factor, patch_px // self.factor


class Mask(StrictModel):
    """A classified quality band."""

    band: str = Field(description="Name of the mask band, e.g. SCL")
    factor: int = Field(ge=1, description="Pixel size as a multiple of the recipe's resolution")
    classes: dict[Literal["cloud", "shadow", "snow", "nodata"], tuple[int, ...]] = Field(
        description="Codes of each kind of pixel"
    )

    @property
    def fill(self) -> int:
        """Code of pixels without data."""
        return next(iter(self.classes.get("nodata", ())), 0)


class Sensor(StrictModel):
    """Bands, storage and units of a sensor."""

    name: SensorName
    dtype: Literal["<u2", "<i2"] = Field(description="Stored type, little-endian")
    nodata: int = Field(description="Stored value of a pixel without data")
    unit: str = Field(description="Unit of scale x stored value")
    scale: float = Field(description="Factor of the stored value")
    groups: tuple[Group, ...] = Field(min_length=1)
    order: tuple[str, ...] = Field(description="Band order of readers")
    mask: Mask | None = None
    warped: bool = Field(
        False, description="Whether images are resampled where their pixels are not on the cells' grid"
    )
    dark_bands: tuple[str, ...] = Field((), description="Bands whose darkest pixels reveal a radiometric offset")

    def sample_bytes(self, patch_px: int) -> int:
        """Bytes of one sample's pixels, uncompressed."""
        return sum(2 * bands * rows * cols for bands, rows, cols in (group.shape(patch_px) for group in self.groups))


class SensorCollection(StrictModel):
    """A provider's collection of a sensor."""

    collection: str
    product: str = Field(description="Value of the column `product`")
    assets: dict[str, tuple[str, ...]] = Field(
        description="Band → asset key, or several, of which the first that an item has is used"
    )
    bands: dict[str, tuple[str | None, ...]] = Field(
        default_factory=dict,
        description="Asset key → names of the bands of its files, in their order, where these have several; `null` for"
        " bands that are not used",
    )
    stored: Stored = Field(
        description="Unit of the pixels: reflectance x 10000, or gamma0 as linear power, as dB, or as digital numbers,"
        " of which 20 log10 plus `calibration_db` is dB"
    )
    calibration_db: float | None = Field(None, description="With `stored: gamma0_dn`: added to 20 log10 of the number")
    nodata: float | None = Field(None, description="Nodata value, beside that of the files' headers")
    offset: Literal["baseline", "declared", "none"] = Field(
        "none", description="Sentinel-2's radiometric offset: by processing baseline, as items declare it, or none"
    )
    header: Literal["trust", "probe"] = Field(
        "trust",
        description="Grid used for planning: the item's, unless implausible (`trust`), or each file's (`probe`);"
        " extraction uses the files'",
    )
    block_px: int = Field(512, ge=1, description="Block size assumed for estimates")
    bytes_per_px: float = Field(1.5, gt=0, description="Compressed size assumed for estimates")
    licence: str
    attribution: str

    @model_validator(mode="before")
    @classmethod
    def _add_assets_of_bands(cls, value: Any) -> Any:
        """Let bands of files of several bands need no entry in `assets`."""
        if not isinstance(value, dict) or not isinstance(value.get("bands"), dict):
            return value
        assets = dict(value.get("assets") or {})
        for key, names in value["bands"].items():
            for name in names if isinstance(names, list | tuple) else ():
                keys = assets.get(name, [])
                keys = [keys] if isinstance(keys, str) else keys
                assets[name] = [key, *(alternative for alternative in keys if alternative != key)]
        assets.pop(None, None)
        return {**value, "assets": assets}

    @field_validator("assets", mode="before")
    @classmethod
    def _wrap_single_keys(cls, value: Any) -> Any:
        items = value.items() if isinstance(value, dict) else ()
        return {band: [keys] if isinstance(keys, str) else keys for band, keys in items} or value

    @field_validator("bands")
    @classmethod
    def _check_bands(cls, bands: dict[str, tuple[str | None, ...]]) -> dict[str, tuple[str | None, ...]]:
        for key, names in bands.items():
            if duplicate := first_duplicate(name for name in names if name is not None):
                raise invalid("a band is one of a file's bands", key=key, value=duplicate)
        return bands

    @model_serializer(mode="wrap")
    def _omit_empty_bands(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = serialize(self)
        return {key: value for key, value in document.items() if key != "bands" or value}

    def band_number(self, asset: str, band: str) -> int | None:
        """Number of a band, from 1, in the files of an asset; None where the profile does not list them."""
        names = self.bands.get(asset, ())
        return names.index(band) + 1 if band in names else None

    @model_validator(mode="after")
    def _check_calibration(self) -> "SensorCollection":
        if (self.stored == "gamma0_dn") != (self.calibration_db is not None):
            raise invalid(
                "needed with `stored: gamma0_dn`, and only with it", key="calibration_db", value=self.calibration_db
            )
        return self


class Mirror(StrictModel):
    """Rewrites hrefs of items, for copies of a provider's files."""

    pattern: str = Field(min_length=1, description="Regular expression, matched at the start of an href")
    to: str = Field(description="Replacement of the match; a relative result is relative to the item's folder")

    @model_validator(mode="after")
    def _check_pattern(self) -> "Mirror":
        try:
            compile_pattern(self.pattern).sub(self.to, "")
        except (re.error, IndexError) as error:
            raise invalid(f"not a regular expression with its replacement: {error}", value=self.pattern) from error
        return self


class RequestBudget(StrictModel):
    """Limits of the requests to one host, for all processes of a run together."""

    in_flight: int = Field(32, ge=1, description="Simultaneous requests")
    per_second: float | None = Field(None, gt=0, description="Requests started per second; by default unlimited")

    def share(self, processes: int) -> "RequestBudget":
        """The share of one of several processes: part of the rate, and at least one simultaneous request."""
        rate = None if self.per_second is None else self.per_second / processes
        return RequestBudget(in_flight=max(1, self.in_flight // processes), per_second=rate)


class Provider(StrictModel):
    """A provider of STAC items: its API, collections and encodings."""

    name: str
    title: str
    api: str | None = Field(None, description="Root of the STAC API")
    hosts: tuple[str, ...] = Field(
        (),
        description="Hosts of its files, as `example.org` or `*.example.org`; of `s3`, `gs` and `az` hrefs the buckets."
        " A catalogue that is opened by URL may lead to these, to the host of `api` and to its own",
    )
    signing: Signing = Field("none", description="How hrefs are signed")
    sensors: dict[SensorName, SensorCollection]
    labels: dict[str, str] = Field(default_factory=dict, description="Label source → collection")
    mirror: Mirror | None = Field(None, description="Rewrites hrefs of items")
    budget: RequestBudget = Field(
        default_factory=RequestBudget, description="Limits of the requests to each host of its files"
    )

    @property
    def host_rules(self) -> HostRules:
        """Where the documents of a catalogue on this machine may lead, and their links to remote documents."""
        to = self.mirror.to if self.mirror else ""
        hosts = (*self.hosts, *(host_of(url) for url in (self.api, to) if url and is_url(url)))
        return HostRules(hosts=hosts, local_mirror=to.startswith(("/", "file:///")))

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for number, host in enumerate(hosts):
            if _HOST.fullmatch(host) is None:
                raise invalid("must be a host, as example.org or *.example.org", key=str(number), value=host)
        return tuple(host.lower() for host in hosts)

    @model_validator(mode="after")
    def _check_collections(self) -> "Provider":
        names = [*(sensor.collection for sensor in self.sensors.values()), *self.labels.values()]
        if duplicate := first_duplicate(names):
            raise invalid("a collection is of one sensor or one label source", value=duplicate)
        return self

    @model_validator(mode="after")
    def _check_bands(self) -> "Provider":
        for name, collection in self.sensors.items():
            sensor = load_sensor(name)
            bands = {*sensor.order, *([sensor.mask.band] if sensor.mask else [])}
            if missing := sorted(bands - collection.assets.keys()):
                raise invalid("missing bands", key=f"sensors.{name}.assets", value=missing)
        return self


@cache
def load_sensor(name: str) -> Sensor:
    """The profile of a sensor."""
    return load_model(Sensor, "profiles/sensors", name)


def load_sensors(names: tuple[SensorName, ...]) -> Mapping[str, Sensor]:
    """The profiles of several sensors, by name."""
    return {name: load_sensor(name) for name in names}
