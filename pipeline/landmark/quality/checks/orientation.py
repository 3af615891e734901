"""Images that are turned or mirrored against the others of their cell, and bands against others of their image.

Two images of a cell, of either sensor, agree in one of the eight orientations of one of them. How well they agree is
seen in the frequencies of their edges, and in those of their bands (the perceptual hash), of whatever contrast. The
evidence for an orientation is the logarithm of a likelihood ratio, which adds up over the images of a cell.
"""

import math
from collections.abc import Generator, Iterator, Mapping
from itertools import combinations, groupby, islice, product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.corpus.perceptual_hash import (
    HASH_LENGTH,
    MIN_HASHED_PX,
    ORIENTATIONS,
    by_band,
    frequencies,
    orient,
    texture_share,
)
from landmark.quality.check_input import CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.copies import hashed_groups
from landmark.quality.findings import Flag

F = NDArray[np.float32]
_INVERSE = [0, 1, 2, 3, 4, 6, 5, 7]  # orientation that undoes another
# Bands of the hash that are compared with other images.
_COMPARED = ("vv", "vh", "B05", "B11", "B04", "B08")
# Independent numbers: edges are nearly white, images are not.
_EDGE_NUMBERS, _RADAR_NUMBERS, _OPTICAL_NUMBERS = 110, 30, 6
_MIN_TEXTURE_SHARE = 0.06  # see `texture_share`
_MAX_SQUARED_R = 0.9  # keeps logarithms finite
_MAX_IMAGES = 12  # of a cell that are compared
_USUAL_IMAGES = 1000  # among more, chance gives more evidence: it grows with the logarithm of their number
_PAIRS_AT_ONCE = 250  # fit into the cache
_MIN_TURNED_PX = 72  # bands of smaller images fit when turned by chance
# Bands of an image that look alike on any ground.
_ALIKE = {
    "s1": (("vv", "vh"),),
    "s2": (("B01", "B02"), ("B09", "B8A"), ("B8A", "B08"), ("B07", "B8A"), ("B06", "B07"), ("B02", "B03")),
}


class _Images(NamedTuple):
    """Images that can be compared, ordered by cell.

    Attributes:
        ids: Of the samples.
        cells: Of the samples.
        sensors: Of the samples.
        edges: (image, y, x) lowest frequencies of the edges; 0 where there are none.
        hashes: (image, HASH_LENGTH) perceptual hashes.
    """

    ids: list[str]
    cells: list[str]
    sensors: NDArray[np.object_]
    edges: NDArray[np.float16]
    hashes: NDArray[np.int8]


def turned_images(inputs: CheckInput, limits: Limits) -> Generator[Flag, None, int]:
    """Images that agree with the others of their cell better if turned or mirrored.

    The evidence for each image is summed over the others. The images with the most evidence are named, and left out
    before the next comparison; those whose evidence is about the same cannot be told apart.

    Returns:
        Number of pairs that were compared.
    """
    images = _images(inputs.samples)
    least = limits["min_turned_evidence"] + math.log(max(len(images.ids) / _USUAL_IMAGES, 1))
    first, second = _pairs(images.cells)
    if not len(first):
        return 0
    parts = np.split(np.arange(len(first)), range(_PAIRS_AT_ONCE, len(first), _PAIRS_AT_ONCE))
    bands = {sensor: _hashed_bands(sensor, inputs.manifest.patch_px) for sensor in inputs.manifest.sensors}
    of_pairs = np.concatenate([_evidence(images, bands, first[part], second[part]) for part in parts])
    # Both directions of a pair: what turns the one towards the other, undone, turns the other.
    image, partner = np.concatenate([first, second]), np.concatenate([second, first])
    evidence = np.concatenate([of_pairs, of_pairs[:, _INVERSE]])
    while True:
        totals = np.zeros((len(images.ids), len(ORIENTATIONS)))
        np.add.at(totals, image, evidence)
        gains = totals.max(axis=1) - totals[:, 0]
        groups = _named(images.cells, gains, least)
        for place, group in [(place, members) for members in groups for place in members]:
            number, turned = np.count_nonzero(image == place), ORIENTATIONS[int(totals[place].argmax())]
            alternatives = " or ".join(images.ids[member] for member in group if member != place)
            doubt = " or another of its cell" if alternatives else ""
            problem = f"image{doubt} is turned or mirrored"
            detail = f"{turned}: evidence {gains[place]:.1f} from {number} images of its cell"
            yield Flag(problem, images.ids[place], f"{detail}; or {alternatives}" if alternatives else detail)
        if not groups:
            return len(first)
        named = [place for group in groups for place in group]
        remaining = ~(np.isin(image, named) | np.isin(partner, named))
        image, partner, evidence = image[remaining], partner[remaining], evidence[remaining]


def _named(cells: list[str], gains: NDArray[np.float64], least: float) -> list[list[int]]:
    """Per cell with evidence, the images that have the most of it."""
    by_cell: dict[str, list[int]] = {}
    for place in np.flatnonzero(gains > least).tolist():
        by_cell.setdefault(cells[place], []).append(place)
    return [[place for place in group if gains[place] > gains[group].max() - least] for group in by_cell.values()]


def _images(samples: pa.Table) -> _Images:
    table = _hashed(samples).sort_by([("cell", "ascending"), ("id", "ascending")])
    ids, cells, sensors = (table[name].to_pylist() for name in ("id", "cell", "sensor"))
    known = pc.is_valid(table["edge_frequencies"]).to_numpy()
    edges = np.zeros((len(ids), MIN_HASHED_PX, MIN_HASHED_PX), np.float16)
    stored = b"".join(table["edge_frequencies"].drop_null().to_pylist())
    edges[known] = np.frombuffer(stored, np.float16).reshape(-1, *edges.shape[1:])
    return _Images(ids, cells, np.array(sensors, dtype=object), edges, _stored_hashes(table))


def _hashed(samples: pa.Table) -> pa.Table:
    """The samples that have a hash, without other columns than the compared ones."""
    table = samples.select(["id", "cell", "sensor", "perceptual_hash", "edge_frequencies"])
    return table.filter(pc.is_valid(table["perceptual_hash"]))


def _stored_hashes(table: pa.Table) -> NDArray[np.int8]:
    return np.frombuffer(b"".join(table["perceptual_hash"].to_pylist()), np.int8).reshape(-1, HASH_LENGTH)


def _hashed_bands(sensor: str, patch_px: int) -> list[str]:
    """Names of the bands of a hash, in its order."""
    return [band for group in hashed_groups(sensor, patch_px) for band in group.bands]


def _pairs(cells: list[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the pairs of images of each cell; rows are ordered by cell."""
    pairs = [
        pair
        for _, rows in groupby(range(len(cells)), key=cells.__getitem__)
        for pair in combinations(islice(rows, _MAX_IMAGES), 2)
    ]
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return first, second


def _evidence(
    images: _Images, bands: Mapping[Any, list[str]], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Log likelihoods (pair, orientation of the first image), relative to those of unrelated images."""
    rows, cols = frequencies(HASH_LENGTH)
    weights = (rows + cols).astype(np.float32)
    edges = [images.edges[part][:, None, rows, cols].astype(np.float32) * weights for part in (first, second)]
    evidence = _log_likelihood(_agreement(edges[0], edges[1], signed=True), _EDGE_NUMBERS)
    for sensors in product(bands, repeat=2):
        pairs = np.flatnonzero((images.sensors[first] == sensors[0]) & (images.sensors[second] == sensors[1]))
        hashes = (
            _compared(images.hashes[part[pairs]], bands[sensor])
            for part, sensor in zip((first, second), sensors, strict=True)
        )
        numbers = _RADAR_NUMBERS if sensors == ("s1", "s1") else _OPTICAL_NUMBERS
        evidence[pairs] += _log_likelihood(_agreement(*_common(*hashes)), numbers)
    return evidence


def _compared(stored: NDArray[np.int8], names: list[str]) -> F:
    """Numbers of the compared bands (image, band, frequency), 0 for smooth images, which resemble any other."""
    chosen = [number for number, name in enumerate(names) if name in _COMPARED]
    hashes = by_band(stored, len(names))[:, chosen]
    return hashes.astype(np.float32) * (texture_share(hashes) >= _MIN_TEXTURE_SHARE)[:, None, None]


def _common(first: F, second: F) -> tuple[F, F]:
    """Numbers of the frequencies that both have."""
    few, many = sorted((first.shape[2], second.shape[2]))
    if few == many:
        return first, second
    places = {place: number for number, place in enumerate(zip(*frequencies(many), strict=True))}
    common = [places[place] for place in zip(*frequencies(few), strict=True)]
    first, second = (bands if bands.shape[2] == few else bands[:, :, common] for bands in (first, second))
    return first, second


def _agreement(first: F, second: F, *, signed: bool = False) -> F:
    """Squared correlations (pair, orientation of the first image), whatever the contrasts of the bands.

    The RV coefficient (Escoufier 1973), which is the squared correlation for one band each.

    Args:
        first: (pair, band, frequency).
        second: Of as many frequencies.
        signed: Whether negative correlations count as 0.
    """
    power = [
        _squares(orient(image, number), second, signed=signed)
        for image in (first, orient(first, 4))
        for number in range(4)
    ]
    scale = _squares(first, first) * _squares(second, second)
    return np.asarray(np.stack(power, axis=1) / np.sqrt(np.maximum(scale, np.float32(1e-12)))[:, None])


def _squares(first: F, second: F, *, signed: bool = False) -> F:
    """Sums of the squares (pair,) of the products of bands with bands; negative products count as 0 if `signed`."""
    products = first @ second.transpose(0, 2, 1)
    if signed:
        products = np.maximum(products, 0)
    flat = products.reshape(len(products), first.shape[1] * second.shape[1])
    return np.asarray(np.vecdot(flat, flat))


def _log_likelihood(squared_r: F, numbers: int) -> NDArray[np.float64]:
    """Of a correlation of so many independent numbers."""
    return np.asarray(-numbers / 2 * np.log1p(-np.minimum(squared_r, _MAX_SQUARED_R)), dtype=np.float64)


def turned_bands(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Bands that fit another band of their image much better if turned or mirrored."""
    hashed = _hashed(inputs.samples)
    for sensor in inputs.manifest.sensors:
        table = hashed.filter(pc.equal(hashed["sensor"], sensor))
        names, ids = _hashed_bands(sensor, inputs.manifest.patch_px), table["id"].to_pylist()
        pairs = [pair for pair in _ALIKE[sensor] if set(pair) <= set(names)]
        if not ids or not pairs or inputs.manifest.patch_px < _MIN_TURNED_PX:
            continue
        hashes = by_band(_stored_hashes(table), len(names))
        values = hashes.astype(np.float32)
        values /= np.maximum(np.sqrt(np.vecdot(values, values)), np.float32(1e-6))[:, :, None]
        first, second = (values[:, [names.index(pair[end]) for pair in pairs]] for end in (0, 1))
        r = np.array([np.vecdot(orient(first, number), second) for number in range(len(ORIENTATIONS))])
        gains = r.max(axis=0) - np.maximum(r[0], 0)
        for row in np.flatnonzero(gains.max(axis=1) > limits["max_turned_gain"]).tolist():
            pair = int(gains[row].argmax())
            turned = ORIENTATIONS[int(r[:, row, pair].argmax())]
            detail = f"{' and '.join(pairs[pair])}: r = {r[0, row, pair]:.2f}, {r[:, row, pair].max():.2f} {turned}"
            yield Flag("bands are turned against each other", ids[row], detail)
