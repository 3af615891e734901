"""The recipe a corpus is built from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from landmark.config.cell_sampling import EventSampling, Sampling
from landmark.config.event_entries import EventEntry
from landmark.config.gazetteer import GazetteerEntry
from landmark.config.label_entries import LabelEntry, add_label_files, split_available
from landmark.config.paths import WORLDS, FileEntry, merge_entries
from landmark.config.profiles import Provider, SensorName
from landmark.config.region import Region, TimeRange, parse_region, resolve_region
from landmark.core.errors import invalid
from landmark.core.hashing import digest
from landmark.core.resources import find_resource
from landmark.core.yaml_files import StrictModel, load_model, parse_model, read_yaml
from landmark.domain.taxonomy import first_duplicate

SPLITS = ("train", "val", "test")
# Folders are named by it: it is no path.
CORPUS_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
# A Sentinel-2 tile is a little larger.
_MAX_CELL_M = 100_000


class Clouds(StrictModel):
    """Cloud limits, in percent."""

    max_item_pct: float = Field(70, ge=0, le=100, description="Cloud of the whole item, from the catalogue")
    max_chip_pct: float = Field(25, ge=0, le=100, description="Cloud plus shadow of the chip, from its quality mask")
    best_of: int = Field(
        3,
        ge=1,
        description="Quality masks to read per cell and period, of the items with least cloud, and of all items that"
        " state none; the clearest chip is taken; 1: none is read",
    )


class Thresholds(StrictModel):
    """Minimum fraction of a class among the pixels that have one, for it to be a label, in percent."""

    default: float = Field(5.0, gt=0, le=100, description="For all classes that have no threshold of their own")
    min_agreement_pct: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Minimum share of a label's pixels that another source confirms, if another source has the class",
    )
    classes: dict[str, Annotated[float, Field(gt=0, le=100)]] = Field(
        default_factory=dict, description="Class key → its own threshold"
    )


class Splits(StrictModel):
    """Shares of the splits in percent, and their geographic separation."""

    train: float = Field(80, ge=0, description="Share of the training split")
    val: float = Field(10, ge=0, description="Share of the validation split")
    test: float = Field(10, ge=0, description="Share of the test split")
    balance: Literal["hash", "classes"] = Field(
        "hash",
        description="`hash`: the hash of a block decides; `classes`: the label counts of all sampled cells are read"
        " first, and blocks are divided so that each split has each class",
    )
    block_m: int = Field(24_000, gt=0, description="Edge of a block; all cells of a block are in one split")
    buffer_m: float = Field(1_200, ge=0, description="Minimum gap between cells of two splits")

    @model_validator(mode="after")
    def _check_sum(self) -> "Splits":
        if abs(self.train + self.val + self.test - 100) > 1e-9:
            raise invalid("train + val + test must be 100", value=[self.train, self.val, self.test])
        return self


class Output(StrictModel):
    """File formats and sizes."""

    shard_mb: float = Field(256, gt=0, description="Target size of a shard in 10^6 bytes")
    formats: tuple[Literal["parquet", "webdataset"], ...] = Field(
        ("parquet",), description="`webdataset` adds a .tar with the same samples beside each Parquet shard"
    )

    @field_validator("formats")
    @classmethod
    def _sort_formats(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if "parquet" not in formats:
            raise invalid("Parquet is always written", value=list(formats), remedy="add parquet to the list")
        return tuple(sorted(set(formats)))


class CatalogErrors(StrictModel):
    """Tolerance for invalid items among those of a sensor or label source in region and time; the ledger lists them."""

    max_pct: float = Field(10, ge=0, le=100, description="Maximum share of invalid items in percent; above, refused")


class Recipe(StrictModel):
    """Specification of a corpus: region, time, sensors, labels, captions and splits."""

    name: str = Field(pattern=CORPUS_NAME, description="Name of the corpus: lower-case letters, digits and hyphens")
    title: str = Field("", description="Title for people")
    region: Region = Field(description="Area of the corpus")
    time: TimeRange = Field(description="Time of the images")
    sensors: tuple[SensorName, ...] = Field(("s1", "s2"), min_length=1, description="Sentinel-1 and/or Sentinel-2")
    provider: str = Field("planetary-computer", description="Name of a file in profiles/providers/, or a path")
    orbit_direction: Literal["any", "ascending", "descending"] = Field("any", description="Orbit of Sentinel-1")
    catalog: str | None = Field(
        None, description="`world`, `world-easy`, or path or URL of a STAC document; by default the provider's API"
    )
    catalog_errors: CatalogErrors = Field(CatalogErrors(), description="Tolerance for invalid items")
    grid: Literal["utm", "source"] = Field(
        "utm",
        description="`utm`: cells aligned in each UTM zone; `source`: cells aligned with the corner of each raster",
    )
    patch_px: int = Field(120, ge=6, le=1200, description="Edge of a chip; a multiple of 6")
    resolution_m: float = Field(10, gt=0, description="Pixel size of the finest bands, in metres")
    clouds: Clouds = Field(Clouds(), description="Cloud limits of Sentinel-2")
    min_valid_pct: float = Field(95, ge=0, le=100, description="Minimum share of valid pixels of a chip")
    sampling: Sampling = Field(Sampling(), description="Which cells of the region are sampled")
    labels: tuple[LabelEntry, ...] = Field(description="Label sources in order of precedence; [] for none")
    events: tuple[EventEntry, ...] = Field((), description="Event sources; event classes come from these alone")
    event_sampling: EventSampling | None = Field(
        None, description="Sample cells around the events that overlap region and time"
    )
    taxonomy: str = Field("landmark", description="Target classes: name of a file in taxonomies/, or a path")
    thresholds: Thresholds = Field(Thresholds(), description="Which classes of a cell become labels")
    captions: tuple[str, ...] = Field(("structured", "sentence"), min_length=1, description="Caption styles")
    languages: tuple[str, ...] = Field(("en",), min_length=1, description="Files in taxonomies/captions/, or paths")
    captions_per_style: int = Field(
        1, ge=1, le=20, description="Maximum number of differently worded captions; `structured` has one"
    )
    questions: int = Field(0, ge=0, le=50, description="Questions with answers, per language")
    hard_negatives: int = Field(0, ge=0, le=50, description="Captions with one wrong fact, per language")
    gazetteer: GazetteerEntry | None = Field(None, description="Named points; captions mention the nearest")
    max_pair_gap_days: float = Field(10, ge=0, description="Maximum gap between the images of a pair")
    splits: Splits = Field(Splits(), description="Train, validation and test")
    output: Output = Field(Output(), description="File formats and sizes")
    limit: int | None = Field(None, ge=1, description="Keep the first N cells in the order of their hash")

    _skipped_labels: tuple[tuple[str, str], ...] = PrivateAttr(())

    @field_validator("sensors")
    @classmethod
    def _sort_sensors(cls, sensors: tuple[SensorName, ...]) -> tuple[SensorName, ...]:
        return tuple(sorted(set(sensors)))

    @field_validator("labels", "events")
    @classmethod
    def _merge_sources(cls, entries: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
        return merge_entries(entries)

    @field_validator("captions", "languages")
    @classmethod
    def _check_unique(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if duplicate := first_duplicate(names):
            kind = "caption style" if info.field_name == "captions" else "language"
            raise invalid(f"duplicate {kind}", value=duplicate)
        return names

    @field_validator("patch_px")
    @classmethod
    def _check_patch(cls, value: int) -> int:
        if value % 6:
            smaller = max(value - value % 6, 6)
            remedy = f"choose {smaller} or {smaller + 6}, and resize to {value} when the images are loaded"
            raise invalid("must be a multiple of 6: coarse bands have pixels of 6 x 6", value=value, remedy=remedy)
        return value

    @model_validator(mode="after")
    def _check_metres(self) -> "Recipe":
        pixel_m, cell_m, splits = self.resolution_m, self.cell_m, self.splits
        checks = [
            ("resolution_m", pixel_m, 0.5 <= pixel_m <= 1000, "0.5 to 1000; 10 is Sentinel's"),
            ("patch_px", self.patch_px, cell_m <= _MAX_CELL_M, f"a chip of at most {_MAX_CELL_M}, not {cell_m:g}"),
            ("splits.block_m", splits.block_m, splits.block_m >= cell_m, f"at least a chip's {cell_m:g}"),
            ("splits.buffer_m", splits.buffer_m, not 0 < splits.buffer_m < pixel_m, f"0, or at least {pixel_m:g}"),
        ]
        for key, value, is_valid, valid in checks:
            if not is_valid:
                raise invalid(f"in metres, must be {valid}", key=key, value=value, remedy="give metres, not degrees")
        return self

    @model_validator(mode="after")
    def _check_sampling(self) -> "Recipe":
        sampling = self.sampling
        if self.event_sampling is not None and not self.events:
            raise invalid("needs `events`", key="event_sampling")
        if self.event_sampling is not None and (sampling.cells or sampling.fraction < 1 or sampling.class_balancing):
            raise invalid(
                "cells are selected by events",
                key="event_sampling",
                remedy="remove `cells`, `fraction` and `class_balancing` of `sampling`",
            )
        if sampling.class_balancing is not None and not self.labels:
            raise invalid("needs `labels`", key="sampling.class_balancing")
        return self

    @property
    def skipped_labels(self) -> tuple[tuple[str, str], ...]:
        """(source, how to add it) of optional label sources without files; no part of the digest."""
        return self._skipped_labels

    @property
    def cell_m(self) -> float:
        """Edge of a cell in metres."""
        return self.patch_px * self.resolution_m

    def canonical(self) -> dict[str, Any]:
        """The recipe as JSON, independent of folders, catalogue, its errors and export formats: what its digest covers.

        The lock records what was read, with digests of the files' contents.
        """
        value = self.model_dump(mode="json", exclude={"catalog": True, "catalog_errors": True, "output": {"formats"}})
        if self.splits.balance == "hash":
            # Corpora from before the option keep their digest.
            del value["splits"]["balance"]
        return {
            **value,
            "provider": Path(self.provider).stem,
            "taxonomy": Path(self.taxonomy).stem,
            "languages": [Path(name).stem for name in self.languages],
            "labels": [entry.canonical() for entry in self.labels],
            "events": [entry.canonical() for entry in self.events],
            "gazetteer": self.gazetteer.canonical() if self.gazetteer else None,
        }

    @property
    def digest(self) -> str:
        """Digest of the canonical recipe; a corpus is named by it."""
        return digest(self.canonical())


def load_recipe(
    name: str,
    *,
    region: str | None = None,
    sensors: str | None = None,
    limit: int | None = None,
    formats: str | None = None,
    labels: Sequence[str] = (),
) -> Recipe:
    """Load a recipe, with changes from the command line, absolute paths and its region as a geometry.

    Args:
        name: Name of a file in manifests/, or a path.
        region: `west,south,east,north`, a GeoJSON file, or a recipe whose region to take.
        sensors: Comma-separated.
        limit: As in the recipe.
        formats: Comma-separated.
        labels: Files as `SOURCE=PATH`. Optional label sources without files are skipped.

    Raises:
        InputError: with file, key, value and remedy.
    """
    path = find_resource("manifests", name)
    value = read_yaml(path)
    if region is not None:
        value["region"] = parse_region(region) or load_recipe(region).region.model_dump(mode="json")
    if sensors is not None:
        value["sensors"] = [part.strip() for part in sensors.split(",")]
    if limit is not None:
        value["limit"] = limit
    if formats is not None and isinstance(output := value.get("output", {}), dict):
        value["output"] = {**output, "formats": [part.strip() for part in formats.split(",")]}
    recipe = parse_model(Recipe, value, path)
    recipe = recipe.model_copy(update={"region": resolve_region(recipe.region, path), **_absolute_paths(recipe, path)})
    return _skip_labels(recipe.model_copy(update={"labels": add_label_files(recipe.labels, labels)}))


def _skip_labels(recipe: Recipe) -> Recipe:
    """The recipe without the optional label sources that have no map."""
    if not any(entry.optional for entry in recipe.labels):
        return recipe
    provider = load_model(Provider, "profiles/providers", recipe.provider)
    labels, skipped = split_available(recipe.labels, provider.labels)
    complete = recipe.model_copy(update={"labels": labels})
    complete._skipped_labels = skipped
    return complete


def _absolute_paths(recipe: Recipe, path: Path) -> dict[str, Any]:
    """The fields with paths relative to the recipe's file, as absolute paths."""
    folder, catalog = path.parent, recipe.catalog

    def resolve(name: str) -> str:
        return str(folder / name) if name.endswith((".yaml", ".yml")) else name

    is_path = catalog is not None and catalog not in WORLDS and "://" not in catalog
    return {
        "catalog": str(folder / str(catalog)) if is_path else catalog,
        "provider": resolve(recipe.provider),
        "taxonomy": resolve(recipe.taxonomy),
        "languages": tuple(resolve(name) for name in recipe.languages),
        "labels": tuple(entry.resolve_paths(folder) for entry in recipe.labels),
        "events": tuple(entry.resolve_paths(folder) for entry in recipe.events),
        "gazetteer": recipe.gazetteer.resolve_paths(folder) if recipe.gazetteer else None,
    }
