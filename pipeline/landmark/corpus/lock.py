"""The lock of a build, `lock.json`: every input it depends on."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pydantic import AfterValidator, Field, PlainSerializer, ValidationInfo, WrapSerializer

from landmark.config.recipe import SPLITS, Recipe
from landmark.core.errors import InputsChanged, invalid
from landmark.core.hashing import digest
from landmark.core.yaml_files import StrictModel
from landmark.corpus.manifest import SplitProof
from landmark.domain.acquisition import Acquisition
from landmark.domain.event import Event, EventPart, EventTypes
from landmark.domain.impact import EventCombination, EventIndex


def _canonical(recipe: Recipe) -> dict[str, Any]:
    return recipe.canonical()


def _omit_empty_bands(acquisition: Acquisition, serialize: Callable[[Acquisition], dict[str, Any]]) -> dict[str, Any]:
    """Items name band numbers only where files have several bands."""
    document = serialize(acquisition)
    items = [{key: value for key, value in item.items() if key != "bands" or value} for item in document["items"]]
    return {**document, "items": items}


def _check_names(recipe: Recipe, info: ValidationInfo) -> Recipe:
    """Require names without folders in a document: a path would be read where the corpus is recaptioned."""
    if info.mode == "json":
        names = {"provider": recipe.provider, "taxonomy": recipe.taxonomy}
        names |= {f"languages.{number}": name for number, name in enumerate(recipe.languages)}
        names |= {f"{key}.{entry.name}": entry.source for key in ("labels", "events") for entry in getattr(recipe, key)}
        names |= {"gazetteer": recipe.gazetteer.file} if recipe.gazetteer else {}
        for key, name in names.items():
            if Path(name).name != name or (key != "gazetteer" and name.endswith((".yaml", ".yml"))):
                raise invalid("must be a name, not a path", key=key, value=name)
    return recipe


def _check_id(acquisition: Acquisition) -> Acquisition:
    """Require an id that can be part of a file's name."""
    if not _ID.fullmatch(acquisition.id):
        raise invalid("not the id of an acquisition", key="id", value=acquisition.id)
    return acquisition


_ID = re.compile(r"[a-z0-9_-]{1,200}")
# In JSON without folders, catalogue and export formats, so that the digest does not depend on the machine.
LockedRecipe = Annotated[Recipe, AfterValidator(_check_names), PlainSerializer(_canonical, return_type=dict[str, Any])]


LockedAcquisition = Annotated[Acquisition, AfterValidator(_check_id), WrapSerializer(_omit_empty_bands)]


class LabelInput(StrictModel):
    """A label map whose pixels were counted."""

    source: str
    version: str
    item: str = Field(description="Id of the STAC item; of a local file its name without suffix")
    href: str = Field(description="Relative to the catalogue's root where possible; of a local file its name")
    start: dt.datetime = Field(description="First moment the labels describe, UTC")
    end: dt.datetime = Field(description="Last moment the labels describe, UTC")
    digest: str = Field(description="Digest of the item; of a local file, of its bytes")
    local: bool = Field(False, description="Whether it is a file of the recipe or of `--labels`")


class LabelEditionRecord(StrictModel):
    """A label edition that cells use: one edition, or a composite of the maps of an interval."""

    source: str
    version: str
    start: dt.datetime = Field(description="First moment the labels describe, UTC")
    end: dt.datetime = Field(description="Last moment the labels describe, UTC")


class SourceFile(StrictModel):
    """A file that events or named places were read from."""

    name: str
    sha256: str


class InputFile(StrictModel):
    """A file of an image or label map."""

    href: str = Field(description="Relative to the catalogue's root where possible")
    size_bytes: int | None = Field(description="None for a remote file")
    sha256: str | None = Field(description="None for a remote file: no checksum without a download")


class EventRecord(StrictModel):
    """An event without its geometries, which are in `events.parquet`; the fields are those of `Event`."""

    id: str
    group: str
    type: str
    source: str
    product: str
    start: dt.datetime
    end: dt.datetime
    observed: dt.datetime | None = None
    parts: tuple[str, ...] = Field((), description="Names of the parts")
    epicentre: tuple[float, float] | None = None
    magnitude: float | None = None

    @classmethod
    def from_event(cls, event: Event) -> "EventRecord":
        """Record an event."""
        fields = {name: getattr(event, name) for name in cls.model_fields if name != "parts"}
        return cls(**fields, parts=tuple(part.name for part in event.parts))

    def to_event(self) -> Event:
        """Return the event with empty geometries."""
        parts = tuple(EventPart(name, shapely.Polygon()) for name in self.parts)
        return Event(**{**{name: getattr(self, name) for name in type(self).model_fields}, "parts": parts})


class ClassBalancingSummary(StrictModel):
    """Effect of class balancing on the candidate cells."""

    candidates: int = Field(description="Cells to choose from")
    chosen: int
    before: dict[str, int] = Field(description="Class → candidate cells that have it")
    after: dict[str, int] = Field(description="Class → chosen cells that have it")
    skipped: dict[str, int] = Field(description="Reason → cells that were not chosen")
    amplification_of_all: float = Field(description="Bytes fetched per byte stored if all candidates were extracted")


class Lock(StrictModel):
    """Every input of a build. Equal locks give equal corpora."""

    format: int = 1
    recipe: LockedRecipe
    recipe_digest: str
    plan_sha256: str = Field(description="Of plan.parquet")
    label_counts_sha256: str = Field(description="Of label_counts.parquet")
    cloud_stats_sha256: str = Field(description="Of cloud_stats.parquet")
    catalog: str = Field(description="Id of the STAC catalogue that was searched")
    acquisitions: list[LockedAcquisition] = Field(description="The planned acquisitions, sorted by id")
    labels: list[LabelInput]
    editions: list[LabelEditionRecord] = Field(
        description="Label editions by their number in column `editions` of the label counts"
    )
    events: list[EventRecord] = Field([], description="Events that overlap the recipe's region and time")
    event_files: list[SourceFile] = Field([], description="Files the events were read from")
    gazetteer: SourceFile | None = Field(None, description="File the named places were read from")
    event_combinations: list[EventCombination] = Field(
        [], description="Event combinations by their number, the last of `codes` in the label counts"
    )
    files: list[InputFile]
    inputs_digest: str = Field(description="Digest of profiles, taxonomy, crosswalks, thresholds and grammar")
    considered: dict[str, int] = Field(
        description="Candidate cells (`cells`), those left out by reason, and those planned (`planned`)"
    )
    split_proof: SplitProof
    class_balancing: ClassBalancingSummary | None = Field(None, description="None without class balancing")
    findings: list[str] = Field(
        description="Items whose grid contradicts their file; files and masks that are unreadable"
    )
    libraries: dict[str, str] = Field(description="Versions of the libraries that process pixels")

    def check_samples(self, samples: pa.Table, file: Path) -> None:
        """Require sensors, splits and acquisitions of the lock in the rows of a plan: files are named by them.

        Raises:
            InputsChanged: a row has another.
        """
        valid = {"sensor": self.recipe.sensors, "split": SPLITS, "acquisition": self.acquisitions_by_id}
        for column, values in valid.items():
            for value in set(pc.unique(samples[column]).to_pylist()) - set(values):
                remedy = "delete the folder's contents and plan again"
                raise InputsChanged("is not in the lock", file=file, key=column, value=value, remedy=remedy)

    @property
    def digest(self) -> str:
        """Digest of all inputs; identifies the build."""
        return digest(self.model_dump(mode="json"))

    @property
    def acquisitions_by_id(self) -> dict[str, Acquisition]:
        """The planned acquisitions by id."""
        return {acquisition.id: acquisition for acquisition in self.acquisitions}

    def event_index(self, types: EventTypes | None) -> EventIndex | None:
        """The events with the combinations of the label counts, None without `types` (a recipe without events)."""
        if types is None:
            return None
        events = {record.id: record.to_event() for record in self.events}
        return EventIndex(events, types.types, tuple(self.event_combinations))
