"""Divisions of a corpus into train, val and test, which differ in what train knows of the places of test.

All divisions have about the corpus's own shares of the three splits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from landmark.config.recipe import SPLITS
from landmark.core.hashing import ranks
from landmark.corpus.reader import Corpus
from landmark.corpus.relevance import label_mask
from landmark.train.retrieval.events import read_event_facts
from landmark.train.validation.evaluated import find_blocks

Splits = NDArray[np.str_]

_SEED = 0
_EARTH_RADIUS_KM = 6371.0088
# Regions of a corpus, of which some are held out.
_REGIONS = 10


@dataclass(frozen=True, slots=True)
class Leakage:
    """What the train split has of the places of test images.

    Attributes:
        same_cell: Share of the test images with a train image of their cell.
        same_event: Share of the test images of events with a train image of one of their events; None without events.
        nearest_km: Median distance from a test image to the nearest train image.
    """

    same_cell: float
    same_event: float | None
    nearest_km: float


def divide(corpus: Corpus, division: str) -> Corpus | None:
    """View of a corpus with the splits of a division; None where the corpus cannot be divided so."""
    splits = DIVISIONS[division](corpus)
    return None if splits is None else corpus.assign(split=splits.tolist())


def measure_leakage(corpus: Corpus) -> Leakage:
    """Measure what train knows of the places of test."""
    table = corpus.columns("split", "cell", "lon", "lat")
    split, cell = (np.array(table[name].to_pylist(), dtype=np.str_) for name in ("split", "cell"))
    train, test = split == "train", split == "test"
    places = unit_vectors(*(table[name].to_numpy() for name in ("lon", "lat")))
    chords = cKDTree(places[train]).query(places[test])[0]
    facts = read_event_facts(corpus)
    related = facts.phase != "unrelated"
    image, event = facts.image[related], facts.id[related]
    of_test = test[image]
    known = np.isin(event, event[train[image]])
    touched = np.unique(image[of_test])
    same_event = np.isin(touched, image[of_test & known]).mean() if len(touched) else None
    return Leakage(
        same_cell=float(np.isin(cell[test], cell[train]).mean()),
        same_event=None if same_event is None else float(same_event),
        nearest_km=float(np.median(2 * _EARTH_RADIUS_KM * np.arcsin(np.minimum(chords / 2, 1)))),
    )


def unit_vectors(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) of the unit sphere, from degrees."""
    east, north = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=1)


def _by_image(corpus: Corpus) -> Splits:
    """Single images at random, those of each sensor apart, as in CrisisLandMark: neighbours are on both sides."""
    return _fill(corpus, np.arange(len(corpus)))


def _by_block(corpus: Corpus) -> Splits:
    """The corpus's own splits, of geographic blocks."""
    return np.array(corpus.columns("split")["split"].to_pylist(), dtype=np.str_)


def _by_event(corpus: Corpus) -> Splits | None:
    """Events, with all images of them, from before too; other images at random. Each event type by itself."""
    facts = read_event_facts(corpus)
    related = facts.phase != "unrelated"
    image, type_ = facts.image[related], facts.type[related]
    event = np.unique(facts.id[related], return_inverse=True)[1]
    if not len(image):
        return None
    # Events that share an image are one unit, and every other image is one.
    n_images, n_nodes = len(corpus), len(corpus) + int(event.max()) + 1
    links = coo_array((np.ones(len(image), dtype=np.int8), (image, n_images + event)), shape=(n_nodes, n_nodes))
    unit = connected_components(links, directed=False)[1][:n_images]
    kinds = dict(sorted(zip(unit[image].tolist(), type_.tolist(), strict=True)))
    return _fill(corpus, unit, np.array([kinds.get(own, "") for own in unit.tolist()], dtype=np.str_))


def _by_region(corpus: Corpus) -> Splits | None:
    """Regions of the Earth, clusters of blocks: those whose images are nearest to the share of test in every class."""
    block = np.unique(find_blocks(corpus), return_inverse=True)[1].astype(np.int64)
    region = _cluster(corpus, block)
    shares, target = _class_shares(corpus, region), _shares(corpus)["test"]
    n_regions = len(shares)
    if n_regions < 3:
        return None
    subsets = [own for size in range(1, n_regions - 1) for own in combinations(range(n_regions), size)]
    # Of the squared differences; that of the number of images counts as much as all classes.
    errors = [
        float((difference[0] ** 2) + np.mean(difference[1:] ** 2))
        for difference in (shares[list(own)].sum(axis=0) - target for own in subsets)
    ]
    is_test = np.isin(region, subsets[int(np.argmin(errors))])
    splits = np.full(len(corpus), "train", dtype="<U5")
    splits[is_test] = "test"
    return _hold_out(splits, block, "val", _shares(corpus)["val"])


DIVISIONS: Mapping[str, Callable[[Corpus], Splits | None]] = {
    "random": _by_image,
    "blocks": _by_block,
    "events": _by_event,
    "regions": _by_region,
}


def _shares(corpus: Corpus) -> dict[str, float]:
    """Share of each of the corpus's own splits."""
    own = _by_block(corpus)
    return {name: float((own == name).mean()) for name in SPLITS}


def _fill(corpus: Corpus, unit: NDArray[np.int64], kind: Splits | None = None) -> Splits:
    """Fill test, then val with units in random order; by sensor, or for each kind of unit by itself."""
    splits, shares = np.full(len(corpus), "train", dtype="<U5"), _shares(corpus)
    if kind is None:
        kind = np.array(corpus.columns("sensor")["sensor"].to_pylist(), dtype=np.str_)
    for own in np.unique(kind):
        rows = kind == own
        for name in ("test", "val"):
            splits[rows] = _hold_out(splits[rows], unit[rows], name, shares[name])
    return splits


def _hold_out(splits: Splits, unit: NDArray[np.int64], name: str, share: float) -> Splits:
    """Move units of train to a split in random order, until it has a share of the images."""
    splits, available = splits.copy(), np.unique(unit[splits == "train"])
    order = available[np.argsort(ranks(_SEED, f"experiment {name}", map(str, available.tolist())))]
    for own in order:
        rows = unit == own
        # A unit is taken if at least half of it fits.
        if (splits == name).sum() + rows.sum() / 2 <= share * len(splits):
            splits[rows] = name
    return splits


def _cluster(corpus: Corpus, block: NDArray[np.int64]) -> NDArray[np.int64]:
    """Region (image,) of each image: clusters of the centres of blocks by Ward's method (1963)."""
    table, counts = corpus.columns("lon", "lat"), np.bincount(block)
    vectors = unit_vectors(*(table[name].to_numpy() for name in ("lon", "lat")))
    centres = np.stack([np.bincount(block, column) / counts for column in vectors.T], axis=1)
    if len(centres) < 2:
        return block
    region = fcluster(linkage(centres, "ward"), min(_REGIONS, len(centres)), "maxclust") - 1
    regions: NDArray[np.int64] = region.astype(np.int64)[block]
    return regions


def _class_shares(corpus: Corpus, region: NDArray[np.int64]) -> NDArray[np.float64]:
    """(region, 1 + class): share of all images, then of the images of each class, that a region has."""
    labels = corpus.columns("labels")["labels"]
    present = label_mask(labels, sorted({key for row in labels.to_pylist() for key in row}))
    counts = np.stack([np.bincount(region)] + [np.bincount(region, own, region.max() + 1) for own in present], axis=1)
    shares: NDArray[np.float64] = counts / counts.sum(axis=0)
    return shares
