"""What annotations of samples follow from: plan, label counts and lock of a corpus, and files that its recipe names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from landmark.captions.annotate import Annotator
from landmark.captions.annotator import AnnotationInputs, load_annotation_inputs
from landmark.captions.grammar import KIND, Grammar, recorded_grammar
from landmark.core.errors import InputError, InvalidCorpus
from landmark.core.hashing import file_sha256
from landmark.core.yaml_files import Resources, StrictModel
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, Shard
from landmark.corpus.tables import read_table
from landmark.domain.schemas import INDEX, LABEL_COUNTS, PLAN, UTC
from landmark.labels.cell_rows import CellRows
from landmark.quality.findings import Flag, NotApplicable
from landmark.quality.rows.differences import describe_difference
from landmark.write.card import attribution

_PLAN_COLUMNS = ("id", "sensor", "cell", "period", "role", "event", "lon", "lat", "acquisition")
_SCHEMA = pa.schema([*(PLAN.field(name) for name in _PLAN_COLUMNS), INDEX.field("datetime")])


@dataclass(frozen=True, slots=True)
class Derivation:
    """What the annotations of a shard group's samples follow from.

    Attributes:
        products: Sensor → product of its collection.
        plan: Rows of the plan, with the time of each image as `datetime`.
        label_counts: Rows of the cells in the plan.
        has_recorded_words: Whether taxonomy and words are those of the manifest.
    """

    annotator: Annotator
    products: Mapping[str, str]
    plan: pa.Table
    label_counts: pa.Table
    has_recorded_words: bool


class CorpusDerivation:
    """Plan and label counts of a corpus, to be divided among its shard groups.

    Attributes:
        lock: The lock that the manifest names, if it is there.
        reason: Why annotations cannot be derived; "" where they can.
        flags: Contradictions between documents and tables that annotations follow from.
    """

    def __init__(self, root: Path, manifest: Manifest, lock: Lock | None) -> None:
        self.lock, self.reason, self.flags = lock, "", list[Flag]()
        try:
            self._load(root, manifest)
        except NotApplicable as reason:
            self.reason = str(reason)
        except (LookupError, TypeError, ValueError) as error:
            # Damaged tables can hold anything.
            self.reason = f"plan and label counts cannot be read: {type(error).__name__}: {error}"[:160]

    def of(self, shard: Shard) -> Derivation | None:
        """The part of the shards with this one's split and number."""
        if self.reason:
            return None
        rows = self._plan.get((shard.split, shard.k), _SCHEMA.empty_table())
        counts = self._counts.select(rows["cell"].to_pylist())
        return Derivation(self._annotator, self._products, rows, counts, self._has_recorded_words)

    def _load(self, root: Path, manifest: Manifest) -> None:
        if self.lock is None:
            raise NotApplicable("the corpus has no lock that its manifest names")
        self._plan, counts = _read_tables(root, self.lock)
        inputs = _load_inputs(root, manifest, self.lock)
        self._counts, self._annotator = CellRows(counts), inputs.annotator(self.lock)
        self._products = {str(sensor): inputs.imagery(sensor).product for sensor in self.lock.recipe.sensors}
        self.flags += _word_flags(manifest, inputs)
        self._has_recorded_words = not self.flags
        self.flags += [*_source_flags(root, manifest, inputs), *_count_flags(counts, manifest)]


def _read_tables(root: Path, lock: Lock) -> tuple[dict[tuple[str, int], pa.Table], pa.Table]:
    """The plan by split and shard number, and the label counts; both as the lock records them."""
    for name, sha256 in (("plan", lock.plan_sha256), ("label_counts", lock.label_counts_sha256)):
        path = root / f"{name}.parquet"
        if not path.is_file() or file_sha256(path) != sha256:
            raise NotApplicable(f"{path.name} is missing, or not the table that the lock names")
    try:
        plan = read_table(root / "plan.parquet", PLAN)
        counts = read_table(root / "label_counts.parquet", LABEL_COUNTS, all_columns=True)
    except InvalidCorpus as error:
        raise NotApplicable(f"a table of the plan is unreadable: {error.problem}") from error
    times = {acquisition.id: acquisition.datetime for acquisition in lock.acquisitions}
    datetimes = pa.array([times.get(id) for id in plan["acquisition"].to_pylist()], UTC)
    columns = plan.select(_PLAN_COLUMNS).append_column("datetime", datetimes)
    return _by_shard(columns, plan["split"].to_pylist(), plan["shard"].to_pylist()), counts


def _by_shard(plan: pa.Table, splits: Sequence[str], shards: Sequence[int]) -> dict[tuple[str, int], pa.Table]:
    rows: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(splits, shards, strict=True)):
        rows.setdefault(key, []).append(row)
    return {key: plan.take(pa.array(numbers)) for key, numbers in rows.items()}


def _load_inputs(root: Path, manifest: Manifest, lock: Lock) -> AnnotationInputs:
    """The files that the lock's recipe names, if they are those of the build.

    Shipped taxonomies and languages may have changed since; then those of the manifest are tried.
    """
    embedded: dict[tuple[str, str], StrictModel] = {("taxonomies", lock.recipe.taxonomy): manifest.taxonomy}
    grammar = recorded_grammar(manifest, root).languages.values()
    embedded |= {(KIND, name): language for name, language in zip(lock.recipe.languages, grammar, strict=False)}
    problem = f"taxonomies, profiles or words of landmark {lock.libraries.get('landmark', '')} differ from those here"
    for prefer_embedded in (False, True):
        try:
            inputs = load_annotation_inputs(lock.recipe, Resources(embedded, prefer_embedded))
        except InputError as error:
            problem = f"a file of the recipe is not here: {error.problem}"
            continue
        if inputs.inputs_digest == lock.inputs_digest:
            return inputs
    raise NotApplicable(problem)


def _word_flags(manifest: Manifest, inputs: AnnotationInputs) -> Iterator[Flag]:
    pairs: dict[str, tuple[StrictModel, StrictModel]] = {"taxonomy": (manifest.taxonomy, inputs.label_rules.taxonomy)}
    if manifest.grammar:
        pairs["grammar"] = Grammar.model_validate(manifest.grammar), inputs.grammar
    for key, (recorded, expected) in pairs.items():
        documents = (model.model_dump(mode="json") for model in (recorded, expected))
        if difference := describe_difference(*documents):
            yield Flag(f"{key} is not that of the lock", "corpus.json", difference)


def _source_flags(root: Path, manifest: Manifest, inputs: AnnotationInputs) -> Iterator[Flag]:
    """Licences and attributions of the manifest that are not those of imagery and sources."""
    sensors = [sensor for sensor in inputs.sensors if any(manifest.samples.get(sensor, {}).values())]
    licences = {licence for sensor in sensors for licence in inputs.licences(sensor)}
    expected = {"licences": sorted(licences), "attributions": sorted(inputs.attributions), "title": inputs.recipe.title}
    for key, value in expected.items():
        if difference := describe_difference(getattr(manifest, key), value):
            yield Flag(f"{key} of the manifest are not those of the recipe", "corpus.json", difference)
    path = root / "ATTRIBUTION.md"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in sorted(set(attribution(manifest).splitlines()) - set(text.splitlines())):
        yield Flag("attribution is missing", path.name, line)


def _count_flags(counts: pa.Table, manifest: Manifest) -> Iterator[Flag]:
    """Cells whose label counts are not of all their pixels."""
    totals = counts.group_by(["cell", "period"]).aggregate([("pixels", "sum")])
    wrong = totals.filter(pc.not_equal(totals["pixels_sum"], manifest.patch_px**2))
    for row in wrong.sort_by([("cell", "ascending"), ("period", "ascending")]).to_pylist():
        detail = f"{row['pixels_sum']} pixels in {row['period']}, not {manifest.patch_px**2}"
        yield Flag("label counts are not of all pixels of the cell", row["cell"], detail)
