"""The images that retrieval is evaluated on: which classes they show, and which of them depend on each other."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.recipe import Splits
from landmark.core.errors import InsufficientData
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import label_mask
from landmark.grid.cells import cell_blocks
from landmark.plan.splits import union_groups
from landmark.train.retrieval.evaluate import select_split
from landmark.train.retrieval.trec import read_queries


@dataclass(frozen=True, slots=True)
class EvaluatedSet:
    """Images of one sensor in the evaluated split, and the classes that are queries.

    Attributes:
        sensor: Name of the sensor.
        ids: Sample ids, in the corpus's order.
        classes: Keys of the classes that some of the images have, and some have not, in the order of the queries.
        names: Text of the query of each class.
        relevant: (class, image), true where the image has the class.
        block: (image,) number of the image's block from 0 on. Blocks that one event touches are one.
    """

    sensor: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    relevant: NDArray[np.bool_]
    block: NDArray[np.int64]

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max()) + 1


def load_evaluated(corpus: Corpus, split: str) -> dict[str, EvaluatedSet]:
    """Load the evaluated images of each sensor that has any in the split.

    Raises:
        InputError: no such split.
        InsufficientData: the split is empty, or no class is a query that some images answer and others do not.
        InvalidCorpus: query files, index or lock are damaged.
    """
    names = {query.labels[0]: query.text for query in read_queries(corpus) if query.is_class}
    selection = select_split(corpus, split)
    blocks = np.array(find_blocks(selection), dtype=np.str_)
    sensors = selection.columns("sensor")["sensor"].to_numpy()
    return {
        sensor: _load_sensor(selection.select(sensor=sensor), sensor, names, blocks[sensors == sensor])
        for sensor in corpus.manifest.sensors
        if (sensors == sensor).any()
    }


def _load_sensor(images: Corpus, sensor: str, names: dict[str, str], blocks: NDArray[np.str_]) -> EvaluatedSet:
    relevant = label_mask(images.columns("labels")["labels"], list(names))
    rows = np.flatnonzero(relevant.any(axis=1) & ~relevant.all(axis=1))
    if not len(rows):
        problem = "no class is present in some images and absent in others"
        raise InsufficientData(problem, file=images.root, key=sensor, remedy="choose another split with --split")
    classes = tuple(list(names)[row] for row in rows)
    return EvaluatedSet(
        sensor,
        tuple(images.ids),
        classes,
        tuple(names[key] for key in classes),
        relevant[rows],
        np.unique(blocks, return_inverse=True)[1].astype(np.int64),
    )


def find_blocks(selection: Corpus) -> list[str]:
    """Block of each image, by which splits were assigned: its group of events where an event touches the block.

    Without a lock, as in a remote corpus, blocks have the default size, and each event is a group of its own.

    Raises:
        InvalidCorpus: the lock is damaged, or a sample is of no cell.
    """
    lock: Lock | None = None
    if (selection.root / "lock.json").exists():
        lock = read_document(Lock, selection.root / "lock.json")
    manifest, block_m = selection.manifest, (lock.recipe.splits if lock else Splits()).block_m
    cells = selection.columns("cell")["cell"].combine_chunks().dictionary_encode()
    names = cell_blocks(cells.dictionary.to_pylist(), cell_m=manifest.patch_px * manifest.resolution_m, block_m=block_m)
    blocks = [names[index] for index in cells.indices.to_pylist()]
    groups = {event.id: event.group for event in lock.events} if lock else {}
    group_of = union_groups(blocks, [(groups.get(id, id), row) for id, row in _touched(selection)])
    return [group_of.get(block, block) for block in blocks]


def _touched(selection: Corpus) -> list[tuple[str, int]]:
    """(Event, row) of the images of cells that events touch; `unrelated` ones elsewhere are listed for contrast."""
    events = selection.columns("events")["events"].combine_chunks()
    facts, rows = pc.list_flatten(events), pc.list_parent_indices(events)
    phase, fraction, in_aoi = (pc.struct_field(facts, name) for name in ("phase", "fraction", "in_aoi"))
    touches = pc.or_(pc.not_equal(phase, "unrelated"), pc.or_(pc.greater(fraction, 0), in_aoi)).fill_null(True)
    ids = pc.struct_field(facts, "id").filter(touches).to_pylist()
    return sorted(set(zip(ids, rows.filter(touches).to_pylist(), strict=True)))
