"""The manifest of a sealed corpus, `corpus.json`: every file of it, with digests, counts and statistics."""

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from landmark.config.profiles import SensorName
from landmark.config.recipe import CORPUS_NAME, SPLITS
from landmark.core.corpus_paths import RelativePath, inside, readable
from landmark.core.errors import InvalidCorpus, invalid
from landmark.core.hashing import digest
from landmark.core.yaml_files import StrictModel
from landmark.domain.taxonomy import Taxonomy

Model = TypeVar("Model", bound=StrictModel)

_SHARDS = "shards/g[0-9]{4,6}/[a-z0-9][a-z0-9_-]*"
# Only such files are ever deleted or written again because a manifest names them.
ShardPath = Annotated[RelativePath, Field(pattern=rf"^{_SHARDS}\.parquet$")]
ExportPath = Annotated[RelativePath, Field(pattern=rf"^{_SHARDS}\.tar$")]
QueryPath = Annotated[RelativePath, Field(pattern=r"^(queries\.jsonl|qrels/[a-z]+\.txt)$")]


class EventCells(StrictModel):
    """Cells of an event by role."""

    split: str | None = Field(description="None if the event has no cells")
    affected: int
    before: int
    unaffected: int
    distant: int


class SplitProof(StrictModel):
    """Separation of the splits, measured on the planned cells."""

    buffer_m: float = Field(description="Minimum gap between cells of two splits, as requested")
    closest_m: float | None = Field(description="Smallest gap between cells of two splits; None with one split")
    cells: dict[str, int] = Field(description="Planned cells per split")
    shared_blocks: int = Field(description="Blocks in more than one split")
    shared_acquisitions: int = Field(description="Acquisitions in more than one split")
    events: dict[str, EventCells] = Field({}, description="Event id → cells by role, in a recipe with events")


class Leakage(StrictModel):
    """Retrieval of a sensor's test samples by the labels of the five nearest train cells, without an image."""

    map: float = Field(description="Mean over single classes of the average precision; of equal scores the expectation")
    chance_map: float = Field(description="The same of a random order")
    above_chance: float = Field(description="(map - chance_map) / (1 - chance_map)")
    classes: int = Field(ge=1, description="Classes that some of the test samples have and others have not")


class Shard(StrictModel):
    """A Parquet file of samples."""

    path: ShardPath = Field(description="Relative to the corpus folder")
    generation: int = Field(ge=0, lt=100_000)
    sensor: SensorName
    split: str
    k: int = Field(description="Number within sensor and split; shards k of both sensors hold the same cells")
    rows: int = Field(ge=0)
    group_rows: int = Field(ge=1, description="Rows of each row group; the last may have fewer")
    size_bytes: int = Field(ge=0)
    sha256: str
    content_digest: str = Field(description="Digest of ids, decoded pixels and all other columns, in row order")

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        # The path of the next generation follows from the number: it must not be that of a file in use. The digest of
        # the corpus covers the path alone.
        if not self.path.startswith(f"shards/g{self.generation:04d}/{self.sensor}-{self.split}-{self.k:05d}-of-"):
            raise invalid("is not of its generation, sensor, split and number", key="path", value=self.path)
        return self


class Export(StrictModel):
    """The samples of a shard in another format, in the same order."""

    path: ExportPath = Field(description="Relative to the corpus folder")
    shard: ShardPath = Field(description="Path of the shard it was made from")
    rows: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    sha256: str

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.path.removesuffix(".tar") != self.shard.removesuffix(".parquet"):
            raise invalid("is not named after its shard", key="path", value=self.path)
        return self


class QueryFile(StrictModel):
    """Retrieval queries, or the relevance judgements of a split."""

    path: QueryPath = Field(description="Relative to the corpus folder")
    size_bytes: int
    sha256: str


class Generation(StrictModel):
    """A superseded generation of annotations; its files are deleted unless `retained`."""

    landmark_version: str
    recipe_digest: str
    lock_digest: str
    content_digest: str
    shards: list[Shard]
    exports: list[Export]
    retained: bool = Field(False, description="Its files were retained on request")

    @property
    def files(self) -> "list[Shard | Export]":
        """Shards and exports."""
        return [*self.shards, *self.exports]


class Manifest(StrictModel):
    """`corpus.json`. Written last: a folder with a manifest is a sealed corpus."""

    format: Literal[1] = 1
    name: str
    title: str
    landmark_version: str = Field(description="Version that sealed the corpus")
    recipe_digest: str
    lock_digest: str
    content_digest: str = Field(description="Digest of the content digests of all shards")
    ids_digest: str = Field(description="Digest of all sample ids, in the order of shards and rows")
    patch_px: int
    resolution_m: float
    sensors: list[SensorName]
    taxonomy: Taxonomy = Field(description="Target classes of the labels")
    grammar: dict[str, Any] = Field(default_factory=dict, description="Languages the captions are rendered from")
    counts: dict[str, int] = Field(description="planned = written + dropped + failed")
    samples: dict[str, dict[str, int]] = Field(description="Written samples per sensor and split")
    labels: dict[str, int] = Field(description="Samples per label")
    dropped: dict[str, int] = Field(description="Dropped samples per reason")
    considered: dict[str, int] = Field(
        description="Candidate cells (`cells`), those left out by reason, and those planned (`planned`)"
    )
    split_proof: SplitProof
    leakage: dict[str, Leakage] = Field({}, description="By sensor; without those that have no train or test labels")
    findings: list[str] = Field(description="Warnings: items that contradict their files, implausible offsets")
    statistics: dict[str, dict[str, list[float]]] = Field(
        description="Sensor → band → mean and standard deviation over valid pixels, in the sensor's unit; empty without"
    )
    licences: list[str]
    attributions: list[str]
    shards: list[Shard]
    queries: list[QueryFile] = Field([], description="queries.jsonl and qrels/; empty if no sample has a label")
    exports: list[Export] = Field([], description="In the order of their shards; not every shard has one")
    superseded: list[Generation] = Field([], description="Earlier generations, oldest first")

    @field_validator("statistics")
    @classmethod
    def _check_statistics(cls, statistics: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, list[float]]]:
        for sensor, bands in statistics.items():
            for band, values in bands.items():
                if len(values) not in (0, 2) or min(values[1:], default=0) < 0:
                    raise invalid("must be a mean and a standard deviation", key=f"{sensor}.{band}", value=values)
        return statistics

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        _require_keys("counts", self.counts, ("planned", "written", "dropped", "failed"))
        for sensor, counts in self.samples.items():
            _require_keys(f"samples.{sensor}", counts, SPLITS)
        return self

    @model_validator(mode="after")
    def _check_generation(self) -> Self:
        # The next generation would otherwise have the paths of files in use.
        if len(generations := {shard.generation for shard in self.shards}) > 1:
            raise invalid("shards of several generations", key="shards", value=sorted(generations))
        return self

    @property
    def files(self) -> "list[Shard | Export]":
        """Shards and exports."""
        return [*self.shards, *self.exports]


def _require_keys(key: str, counts: Mapping[str, int], names: Iterable[str]) -> None:
    if missing := [name for name in names if name not in counts]:
        raise invalid("is missing", key=f"{key}.{missing[0]}")


def read_document(model: type[Model], path: Path) -> Model:
    """Read a lock or manifest.

    Raises:
        InvalidCorpus: the file is missing, unreadable, not such a document, or names a path outside or behind a link to
            a folder.
    """
    remedy = "check the path, or finish the corpus with `landmark build`"
    try:
        document = model.model_validate_json(readable(path.parent, path.name).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.parent.is_dir():
            raise InvalidCorpus("no such folder", file=path.parent, remedy="check the path") from error
        problem = "is missing, so that its folder is not a sealed corpus"
        raise InvalidCorpus(problem, file=path, remedy=remedy) from error
    except OSError as error:
        raise InvalidCorpus(f"cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    except ValidationError as error:
        raise invalid_document(error, path, f"a landmark {model.__name__.lower()}") from error
    if isinstance(document, Manifest):
        # Trainings are written to a folder of this name.
        if not re.fullmatch(CORPUS_NAME, document.name):
            problem = "must be lower-case letters, digits and hyphens"
            raise InvalidCorpus(problem, file=path, key="name", value=document.name, remedy=remedy)
        for folder in {posixpath.dirname(file.path) for file in [*document.files, *document.queries]}:
            inside(path.parent, posixpath.join(folder, "_"))
    return document


def invalid_document(error: ValidationError, path: Path, kind: str, *outer_keys: str) -> InvalidCorpus:
    """The error of a document that is not of its kind, below some keys: its first problem."""
    remedy = "get the corpus again from where it was sealed, or delete the file and build again"
    first = error.errors()[0]
    # Of errors that validators of landmark raise.
    own = first["ctx"] if first["type"] == "invalid" else {"key": None, "value": None}
    key = ".".join(str(part) for part in (*outer_keys, *first["loc"], *filter(None, [own["key"]]))) or None
    value = first["input"] if own["value"] is None and isinstance(first["input"], str) else own["value"]
    return InvalidCorpus(f"not {kind}: {first['msg']}", file=path, key=key, value=value, remedy=remedy)


def read_manifest(corpus: Path) -> Manifest:
    """Read the manifest of a corpus folder, and check its shards against its digest and counts.

    Raises:
        InvalidCorpus: the folder has no manifest, or it is damaged.
    """
    path = corpus / "corpus.json"
    manifest: Manifest = read_document(Manifest, path)
    rows = sum(shard.rows for shard in manifest.shards)
    remedy = "copy it from where the corpus was sealed, or delete it and build again"
    if manifest.content_digest != shards_digest(manifest.shards):
        problem = "is damaged: the shards it lists are not those of this digest"
        raise InvalidCorpus(problem, file=path, key="content_digest", value=manifest.content_digest, remedy=remedy)
    if manifest.counts.get("written") != rows:
        problem = f"is damaged: its shards have {rows} rows"
        raise InvalidCorpus(
            problem, file=path, key="counts.written", value=manifest.counts.get("written"), remedy=remedy
        )
    return manifest


def shards_digest(shards: Iterable[Shard]) -> str:
    """Digest of the contents of shards: the `content_digest` of their manifest."""
    return digest([[shard.path, shard.content_digest] for shard in shards])


def is_sealed(corpus: str | os.PathLike[str]) -> bool:
    """Whether the folder has a manifest."""
    return (Path(corpus) / "corpus.json").is_file()
