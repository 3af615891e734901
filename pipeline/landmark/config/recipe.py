"""The recipe: what a person asks for.

Resolved (region, sensors, limit) it has a digest, and the digest names the corpus.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from landmark.config.cell_sampling import Around, Meaningful
from landmark.config.gazetteer import Places
from landmark.config.label_entries import Labels, present, with_given
from landmark.config.profiles import Provider, SensorName
from landmark.config.region import Region, TimeRange, resolved
from landmark.core.errors import InputError
from landmark.core.hashing import digest
from landmark.core.yaml_files import Strict, find, load, parse, read
from landmark.domain.event import Events

SPLITS = ("train", "val", "test")


class Clouds(Strict):
    """Limits in percent."""

    max_item_pct: float = Field(70, ge=0, le=100, description="Of the whole item, from the catalogue")
    max_chip_pct: float = Field(25, ge=0, le=100, description="Cloud plus shadow of the chip, from its own mask")
    best_of: int = Field(3, ge=1, description="Masks looked at per cell and period, clearest items first; 1: none")


class Sampling(Strict):
    """Which cells. Whole clusters, aligned to the rasters' blocks, are taken in the order of their hash."""

    fraction: float = Field(1.0, gt=0, le=1, description="Share of the region's clusters")
    cells: int | None = Field(None, ge=1, description="Stop after the cluster that reaches this many cells")
    cluster_px: int = Field(512, ge=1, description="Edge of a cluster, a multiple of the rasters' block size")
    seed: int = Field(0, ge=0)
    by_meaning: Meaningful | None = Field(None, description="Choose among the clusters' cells by what lies in them")

    @property
    def candidates(self) -> int | None:
        """Cells to draw whole clusters for; None is all."""
        factor = 1 if self.by_meaning is None else self.by_meaning.candidates
        return None if self.cells is None else math.ceil(self.cells * factor)


class Thresholds(Strict):
    """A label needs this share of the pixels that have a class, in percent."""

    default: float = Field(5.0, gt=0, le=100)
    min_agreement_pct: float = Field(
        0.0, ge=0, le=100, description="A label also needs another source to agree on this share, where there is one"
    )
    classes: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(default_factory=dict, description="Per class key")


class Splits(Strict):
    """Shares in percent, and the geography that keeps them apart."""

    train: float = Field(80, ge=0)
    val: float = Field(10, ge=0)
    test: float = Field(10, ge=0)
    block_m: int = Field(24_000, gt=0, description="Edge of a block; a block goes whole to one split")
    buffer_m: float = Field(1_200, ge=0, description="Least gap between cells of two splits")

    @model_validator(mode="after")
    def _hundred(self) -> "Splits":
        if abs(self.train + self.val + self.test - 100) > 1e-9:
            raise ValueError("train + val + test must be 100")
        return self


class Output(Strict):
    """How the corpus is written."""

    shard_mb: float = Field(256, gt=0, description="Size of a shard to aim at, in 10^6 bytes")
    formats: tuple[Literal["parquet", "webdataset"], ...] = Field(
        ("parquet",), description="webdataset: a .tar of the same samples beside each Parquet shard"
    )

    @field_validator("formats")
    @classmethod
    def _parquet_and_more(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if "parquet" not in formats:
            raise ValueError("Parquet is the corpus and always written: add parquet to the list")
        return tuple(sorted(set(formats)))


class Recipe(Strict):
    """Everything a corpus follows from, but for the archives."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    title: str = ""
    region: Region
    time: TimeRange
    sensors: tuple[SensorName, ...] = Field(("s1", "s2"), min_length=1)
    provider: str = Field("planetary-computer", description="Name of a file in profiles/providers/")
    orbit_direction: Literal["any", "ascending", "descending"] = Field("any", description="Of Sentinel-1")
    catalog: str | None = Field(None, description="`world`, or path or URL of a STAC document; else the provider's API")
    grid: Literal["utm", "source"] = Field("utm", description="source: cells anchored at each raster's own corner")
    patch_px: int = Field(120, ge=6, le=1200)
    resolution_m: float = Field(10, gt=0)
    clouds: Clouds = Clouds()
    min_valid_pct: float = Field(95, ge=0, le=100, description="Least share of valid pixels of a chip")
    sampling: Sampling = Sampling()
    labels: tuple[Labels, ...] = Field(description="In order of precedence; [] builds without")
    events: tuple[Events, ...] = Field((), description="What happened: its words come from here alone")
    around_events: Around | None = Field(None, description="Take chips round the events that meet region and time")
    taxonomy: str = Field("landmark", description="Name of a file in taxonomies/: the target classes")
    thresholds: Thresholds = Thresholds()
    captions: tuple[str, ...] = Field(("structured", "sentence"), min_length=1, description="Styles")
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="Files of taxonomies/captions/, or paths")
    captions_per_style: int = Field(1, ge=1, le=20, description="At most, each worded otherwise; structured has one")
    questions: int = Field(0, ge=0, le=50, description="Per language, with answers")
    hard_negatives: int = Field(0, ge=0, le=50, description="Per language: captions with one fact falsified")
    places: Places | None = Field(None, description="Named points, of which captions say the nearest")
    max_pair_gap_days: float = Field(10, ge=0)
    splits: Splits = Splits()
    output: Output = Output()
    limit: int | None = Field(None, ge=1, description="Keep the first N cells of the hash ranking: a true subset")

    @field_validator("sensors")
    @classmethod
    def _sorted_once(cls, sensors: tuple[SensorName, ...]) -> tuple[SensorName, ...]:
        return tuple(sorted(set(sensors)))

    @field_validator("labels")
    @classmethod
    def _once(cls, labels: tuple[Labels, ...]) -> tuple[Labels, ...]:
        names = [entry.name for entry in labels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"source {twice[0]} stands twice")
        return labels

    @field_validator("events")
    @classmethod
    def _one_entry_a_source(cls, events: tuple[Events, ...]) -> tuple[Events, ...]:
        names = [entry.name for entry in events]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"source {twice[0]} stands twice; name all its files in one entry")
        return events

    @model_validator(mode="after")
    def _events_to_go_round(self) -> "Recipe":
        if self.around_events is not None and not self.events:
            raise ValueError("`around_events` needs `events`")
        wished = self.sampling.cells or self.sampling.fraction < 1 or self.sampling.by_meaning
        if self.around_events is not None and wished:
            raise ValueError(
                "`around_events` chooses the cells: leave out `cells`, `fraction`, `by_meaning` of `sampling`"
            )
        return self

    @model_validator(mode="after")
    def _labels_to_choose_by(self) -> "Recipe":
        if self.sampling.by_meaning is not None and not self.labels:
            raise ValueError("`sampling.by_meaning` needs `labels`")
        return self

    @field_validator("captions", "languages")
    @classmethod
    def _each_once(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"a {'style' if info.field_name == 'captions' else 'language'} stands twice")
        return names

    @field_validator("patch_px")
    @classmethod
    def _native_groups(cls, value: int) -> int:
        if value % 6:
            raise ValueError("must be a multiple of 6, so that a 60 m pixel is whole")
        return value

    _left_out: tuple[tuple[str, str], ...] = PrivateAttr(())

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Optional label sources no file was found for, each with how to add it; no part of the digest."""
        return self._left_out

    @property
    def cell_m(self) -> float:
        """Edge of a cell in metres."""
        return self.patch_px * self.resolution_m

    def asked(self) -> dict[str, Any]:
        """What is asked for, as JSON, wherever it lies: no catalogue, files by their names, no formats.

        The lock names what was read, and digests what the files say. A format more changes no sample.
        """
        asked = self.model_dump(mode="json", exclude={"catalog": True, "output": {"formats"}})
        labels, events = ([entry.asked() for entry in entries] for entries in (self.labels, self.events))
        names = {key: Path(asked[key]).stem for key in ("provider", "taxonomy")}
        languages = [Path(name).stem for name in self.languages]
        places = self.places.asked() if self.places else None
        return {**asked, **names, "labels": labels, "events": events, "languages": languages, "places": places}

    @property
    def digest(self) -> str:
        """Names the corpus: the same digest is the same request."""
        return digest(self.asked())


def load_recipe(
    name: str,
    *,
    region: str | None = None,
    sensors: str | None = None,
    limit: int | None = None,
    formats: str | None = None,
    labels: Sequence[str] = (),
) -> Recipe:
    """A recipe by name or path, with the command line's changes, its region resolved to a geometry.

    `labels` are files as `SOURCE=PATH`. Optional label sources no file is found for are left out.

    Raises:
        InputError: naming file, key, value and remedy.
    """
    path = find("manifests", name)
    value = read(path)
    if region is not None:
        value["region"] = _region(region)
    if sensors is not None:
        value["sensors"] = [part.strip() for part in sensors.split(",")]
    if limit is not None:
        value["limit"] = limit
    if formats is not None and isinstance(output := value.get("output", {}), dict):
        value["output"] = {**output, "formats": [part.strip() for part in formats.split(",")]}
    recipe = parse(Recipe, value, path)
    recipe = recipe.model_copy(update={"region": resolved(recipe.region, path), **_beside(recipe, path)})
    return _complete(recipe.model_copy(update={"labels": with_given(recipe.labels, labels)}))


def _complete(recipe: Recipe) -> Recipe:
    """The recipe without the optional label sources it has no map for."""
    if not any(entry.optional for entry in recipe.labels):
        return recipe
    kept, left_out = present(recipe.labels, load(Provider, "profiles/providers", recipe.provider).labels)
    complete = recipe.model_copy(update={"labels": kept})
    complete._left_out = left_out
    return complete


def _beside(recipe: Recipe, path: Path) -> dict[str, Any]:
    """The paths a recipe names, which are relative to it."""

    def file(name: str) -> str:
        return str(path.parent / name) if name.endswith((".yaml", ".yml")) else name

    place = recipe.catalog
    local = place is not None and place != "world" and "://" not in place
    return {
        "catalog": str(path.parent / str(place)) if local else place,
        "provider": file(recipe.provider),
        "taxonomy": file(recipe.taxonomy),
        "languages": tuple(file(name) for name in recipe.languages),
        "labels": tuple(entry.beside(path.parent) for entry in recipe.labels),
        "events": tuple(entry.beside(path.parent) for entry in recipe.events),
        "places": recipe.places.beside(path.parent) if recipe.places else None,
    }


def _region(text: str) -> dict[str, Any]:
    if re.fullmatch(r"[-+\d.eE,\s]+", text) and "," in text:
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError as error:
            raise InputError(f"--region {text}: a box is west,south,east,north in degrees") from error
        return {"bbox": [west, south, east, north]}
    if text.endswith((".geojson", ".json")):
        return {"geojson": str(Path(text).resolve())}
    return load_recipe(text).region.model_dump(mode="json")
