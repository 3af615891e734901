"""What a sensor is and how a provider speaks of it. Parsed from `profiles/*.yaml` at the door, shipped as values."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from landmark.core.yaml_files import Strict, load

SensorName = Literal["s1", "s2"]
Stored = Literal["reflectance_dn", "gamma0_power", "gamma0_db", "gamma0_dn"]
Signing = Literal["planetary-computer", "none"]


class Group(Strict):
    """Bands of one pixel size, stored together in one binary column."""

    column: str = Field(description="Name of the shard column")
    factor: int = Field(ge=1, description="Pixel size as a multiple of the recipe's resolution")
    bands: tuple[str, ...] = Field(min_length=1, description="Bands in stored order")

    def shape(self, patch_px: int) -> tuple[int, int, int]:
        """(band, y, x) of a patch of `patch_px` pixels at the recipe's resolution."""
        return len(self.bands), patch_px // self.factor, patch_px // self.factor


class Mask(Strict):
    """A classified quality band."""

    band: str = Field(description="Name of the mask band, e.g. SCL")
    factor: int = Field(ge=1, description="Pixel size as a multiple of the recipe's resolution")
    classes: dict[Literal["cloud", "shadow", "snow", "nodata"], tuple[int, ...]] = Field(
        description="The codes that mean it"
    )


class Sensor(Strict):
    """Bands, storage and units of one sensor."""

    name: SensorName
    dtype: Literal["<u2", "<i2"] = Field(description="Stored little-endian type")
    nodata: int = Field(description="Stored value of a pixel without data")
    unit: str = Field(description="What scale x stored value is")
    scale: float = Field(description="Multiplies the stored value")
    groups: tuple[Group, ...] = Field(min_length=1)
    order: tuple[str, ...] = Field(description="Band order readers hand back")
    mask: Mask | None = None
    warped: bool = Field(False, description="True where images lie on no fixed lattice and are interpolated onto it")
    dark_bands: tuple[str, ...] = Field((), description="Bands whose darkest pixels betray a radiometric offset")

    def sample_bytes(self, patch_px: int) -> int:
        """Bytes of one sample's pixels, uncompressed."""
        return sum(2 * bands * rows * cols for bands, rows, cols in (group.shape(patch_px) for group in self.groups))


class Imagery(Strict):
    """One sensor at one provider."""

    collection: str
    product: str = Field(description="Written to the `product` column")
    assets: dict[str, tuple[str, ...]] = Field(description="Band → asset key, or the keys it goes by, the first known")
    stored: Stored = Field(
        description="What the pixels hold: reflectance x 10000, or gamma0 as linear power, as dB, or as digital numbers"
        " of which 20 log10 plus `calibration_db` is dB"
    )
    calibration_db: float | None = Field(None, description="With `stored: gamma0_dn`: added to 20 log10 of the number")
    nodata: float | None = Field(None, description="Value without data where files declare none")
    offset: Literal["baseline", "declared", "none"] = Field(
        "none", description="Sentinel-2's radiometric offset where an item declares none: catalog/offset.py"
    )
    header: Literal["trust", "ask"] = Field(
        "trust", description="When planning: trust the item's grid, or ask each file's header, which is always right"
    )
    block_px: int = Field(512, ge=1, description="Block size to expect when planning; the header decides when reading")
    bytes_per_px: float = Field(1.5, gt=0, description="Compressed size to expect when planning")
    licence: str
    attribution: str

    @field_validator("assets", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        known = value.items() if isinstance(value, dict) else ()
        return {band: [keys] if isinstance(keys, str) else keys for band, keys in known} or value

    @model_validator(mode="after")
    def _calibrated(self) -> "Imagery":
        if (self.stored == "gamma0_dn") != (self.calibration_db is not None):
            raise ValueError("`calibration_db` goes with `stored: gamma0_dn`, and only with it")
        return self


class Mirror(Strict):
    """Where the files of an archive lie, if not where its items say."""

    pattern: str = Field(min_length=1, description="Regular expression, matched at the start of an href")
    to: str = Field(description="What replaces the match; a relative result starts at the item's own folder")

    @model_validator(mode="after")
    def _compiles(self) -> "Mirror":
        try:
            re.compile(self.pattern).sub(self.to, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"not a regular expression and its replacement: {error}") from error
        return self


class Budget(Strict):
    """What one host may be asked, by all processes of a run together."""

    in_flight: int = Field(32, ge=1, description="Requests at once")
    per_second: float | None = Field(None, gt=0, description="Requests begun in a second; unsaid is no limit")

    def share(self, processes: int) -> "Budget":
        """What one of several processes may ask: its part of the rate, and at least one request at a time."""
        rate = None if self.per_second is None else self.per_second / processes
        return Budget(in_flight=max(1, self.in_flight // processes), per_second=rate)


class Provider(Strict):
    """A catalogue's dialect."""

    name: str
    title: str
    api: str | None = Field(None, description="STAC API root")
    signing: Signing = Field("none", description="How hrefs are signed when they are read")
    sensors: dict[SensorName, Imagery]
    labels: dict[str, str] = Field(default_factory=dict, description="Label source → collection")
    mirror: Mirror | None = Field(None, description="Rewrites the hrefs of its items")
    budget: Budget = Field(default_factory=Budget, description="What each host its files lie at may be asked")

    @model_validator(mode="after")
    def _one_thing_a_collection(self) -> "Provider":
        names = [*(imagery.collection for imagery in self.sensors.values()), *self.labels.values()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"collection {twice[0]} serves two sensors or label sources; it can serve one")
        return self

    @model_validator(mode="after")
    def _assets_cover_bands(self) -> "Provider":
        for name, imagery in self.sensors.items():
            sensor = load_sensor(name)
            needed = {*sensor.order, *([sensor.mask.band] if sensor.mask else [])}
            if missing := sorted(needed - imagery.assets.keys()):
                raise ValueError(f"sensors.{name}.assets lacks {', '.join(missing)}")
        return self


@cache
def load_sensor(name: str) -> Sensor:
    """The shipped profile of a sensor."""
    return load(Sensor, "profiles/sensors", name)


def load_sensors(names: tuple[SensorName, ...]) -> Mapping[str, Sensor]:
    """The shipped profiles of several sensors, by name."""
    return {name: load_sensor(name) for name in names}
