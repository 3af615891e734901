"""The two documents a corpus is known by: the lock (all inputs) and the manifest (all outputs)."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from landmark.core.errors import InvalidCorpus
from landmark.core.hashing import digest
from landmark.core.yaml_files import StrictModel
from landmark.domain.acquisition import Acquisition
from landmark.domain.event import Event, EventTypes
from landmark.domain.impact import EventCombination, EventIndex
from landmark.domain.taxonomy import Taxonomy


class LabelInput(StrictModel):
    """A label map the cover was measured from."""

    source: str
    version: str
    item: str
    href: str = Field(description="Relative to the catalogue's root where it lies under it; a local file's name alone")
    start: dt.datetime = Field(description="First moment the labels describe, UTC")
    end: dt.datetime
    digest: str = Field(description="Of the item; of a local file, of its bytes")
    local: bool = Field(False, description="True for a file the recipe or `--labels` named")


class LabelEditionRecord(StrictModel):
    """What some cells take a source's labels from: one edition, or the exports of a stretch of time put together."""

    source: str
    version: str
    start: dt.datetime = Field(description="First moment the labels describe, UTC")
    end: dt.datetime


class EventFile(StrictModel):
    """A file the events, or the named places, were read from."""

    name: str
    sha256: str


class InputFile(StrictModel):
    """A file whose bytes the plan relies on."""

    href: str
    size_bytes: int | None
    sha256: str | None = Field(description="Of local files; None where the archive gives no digest without a download")


class Lock(StrictModel):
    """Every input of a build. The same lock gives the same corpus."""

    format: int = 1
    recipe: dict[str, Any] = Field(description="The resolved recipe")
    recipe_digest: str
    plan_sha256: str
    cover_sha256: str
    clear_sha256: str
    catalog: str = Field(description="Id of the STAC document that was searched")
    acquisitions: list[dict[str, Any]] = Field(description="`Acquisition.to_json` of each planned one")
    labels: list[LabelInput]
    editions: list[LabelEditionRecord] = Field(description="What the numbers in the cover's column `editions` mean")
    events: list[dict[str, Any]] = Field([], description="`Event.to_json` of each that meets the recipe's ground")
    event_files: list[EventFile] = Field([], description="What they were read from")
    places: EventFile | None = Field(None, description="The gazetteer")
    marks: list[EventCombination] = Field([], description="What the last of the cover's `codes` means, where there are events")
    files: list[InputFile]
    rules: str = Field(description="Digest of profiles, taxonomy, crosswalks, thresholds and grammar")
    considered: dict[str, int] = Field(
        description="Cells of the region under an image, and how many of them are planned or left out, by reason"
    )
    proof: dict[str, Any] = Field(description="Why no split leaks into another")
    meaning: dict[str, Any] = Field({}, description="What choosing by meaning did to the classes, and its cost")
    findings: list[str] = Field(
        description="Items whose grid is not their file's, files and masks that could not be read"
    )
    libraries: dict[str, str] = Field(description="Versions of the libraries that touch pixels")

    @property
    def digest(self) -> str:
        """Names the build."""
        return digest(self.model_dump(mode="json"))

    def read_acquisitions(self) -> dict[str, Acquisition]:
        """The planned acquisitions by id."""
        from shapely import Polygon

        return {value["id"]: Acquisition.from_json(value, Polygon()) for value in self.acquisitions}

    def happenings(self, types: EventTypes | None) -> EventIndex | None:
        """The events with the marks of the cover, None where the recipe had none."""
        if types is None:
            return None
        events = {value["id"]: Event.from_json(value) for value in self.events}
        return EventIndex(events, types.types, tuple(self.marks))


class Shard(StrictModel):
    """One file of samples."""

    path: str = Field(description="Relative to the corpus folder")
    generation: int
    sensor: str
    split: str
    k: int = Field(description="The same k of another sensor holds the same cells")
    rows: int
    size_bytes: int
    sha256: str
    content_digest: str = Field(description="Digest of ids, decoded pixels and facts, in row order")


class Export(StrictModel):
    """A shard's samples once more, in the same order, in the format of other loaders."""

    path: str = Field(description="Relative to the corpus folder")
    shard: str = Field(description="Path of the shard it was made from, and with it its generation")
    rows: int
    size_bytes: int
    sha256: str


class QueryFile(StrictModel):
    """Retrieval queries, or which samples of a split are relevant to them."""

    path: str = Field(description="Relative to the corpus folder")
    size_bytes: int
    sha256: str


class Generation(StrictModel):
    """What the samples were said to show before they were captioned anew; its files need not be kept."""

    landmark_version: str
    recipe_digest: str
    lock_digest: str
    content_digest: str
    shards: list[Shard]
    exports: list[Export]

    @property
    def files(self) -> "list[Shard | Export]":
        """All of them."""
        return [*self.shards, *self.exports]


class Manifest(StrictModel):
    """`corpus.json`: written last, and the only mutable truth."""

    format: int = 1
    name: str
    title: str
    landmark_version: str = Field(description="Version that sealed the corpus")
    recipe_digest: str
    lock_digest: str
    content_digest: str = Field(description="Digest of all shards' content digests")
    ids_digest: str = Field(description="Digest of all sample ids, in the order of shards and rows")
    patch_px: int
    resolution_m: float
    sensors: list[str]
    taxonomy: Taxonomy = Field(description="What the labels mean")
    grammar: dict[str, Any] = Field(default_factory=dict, description="What the captions are made of: their languages")
    counts: dict[str, int] = Field(description="planned = written + dropped + failed")
    samples: dict[str, dict[str, int]] = Field(description="Written, per sensor and split")
    labels: dict[str, int] = Field(description="Samples that carry each label")
    dropped: dict[str, int] = Field(description="Per reason")
    considered: dict[str, int]
    split_proof: dict[str, Any]
    findings: list[str] = Field(description="What a person should know: items that are wrong, offsets that look wrong")
    statistics: dict[str, dict[str, list[float]]] = Field(
        description="Per sensor: mean and std of each band over valid pixels"
    )
    licences: list[str]
    attributions: list[str]
    shards: list[Shard]
    queries: list[QueryFile] = Field([], description="queries.jsonl and qrels/; none where no sample has a label")
    exports: list[Export] = Field([], description="In the order of their shards; a shard need not have one")
    superseded: list[Generation] = Field([], description="Generations before this one, the first one first")


def read_document(model: type[StrictModel], path: Path) -> Any:
    """A lock or manifest from disk.

    Raises:
        InvalidCorpus: absent or not such a document.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InvalidCorpus(
            f"{path} is missing: {path.parent} is not a sealed corpus; run `landmark build` to finish it"
        ) from error
    except ValidationError as error:
        where = error.errors()[0]
        raise InvalidCorpus(f"{path}: not a landmark {model.__name__.lower()}: {where['loc']}: {where['msg']}") from error


def is_sealed(corpus: str | os.PathLike[str]) -> bool:
    """True where the manifest stands."""
    return (Path(corpus) / "corpus.json").is_file()
