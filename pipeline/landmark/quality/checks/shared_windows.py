"""Images that show a part of another cell's image, moved or not: found by hashed windows, confirmed by their pixels."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.corpus.open_corpus import open_corpus
from landmark.corpus.reader import Corpus
from landmark.corpus.sample import Sample
from landmark.corpus.tables import INDEX_FILE
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import columns
from landmark.quality.chips.windows import WINDOW, WINDOW_BANDS
from landmark.quality.findings import Flag, NotApplicable

# Windows that are searched at a time; hashes of more windows are common patterns; followers that each is compared with.
_WINDOWS_AT_ONCE, _MAX_COMMON, _FOLLOWERS = 4_000_000, 64, 4
_BLOCK_PX = 10
_MIN_DEVIATION = 0.3  # of a block that has a pattern, in dB or reflectance x 10000: less is rounding


class Overlap(NamedTuple):
    """Two rows and the position of the first one's content in the second, relative to its own."""

    first: int
    second: int
    south_px: int
    east_px: int


def shared_windows(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No image shows a part of another cell's image."""
    table = inputs.samples.filter(pc.is_valid(inputs.samples["windows"]))
    if table.num_rows == 0:
        raise NotApplicable("only with --deep")
    try:
        corpus = open_corpus(inputs.context.root)
    except InvalidCorpus as error:
        raise NotApplicable(f"{INDEX_FILE} {error.problem}") from error
    for sensor in inputs.manifest.sensors:
        yield from _shared_images(inputs, table.filter(pc.equal(table["sensor"], sensor)), corpus, limits)


def _shared_images(inputs: CheckInput, table: pa.Table, corpus: Corpus, limits: Limits) -> Iterator[Flag]:
    """Flags of both images of each pair."""
    cell_m = inputs.manifest.patch_px * inputs.manifest.resolution_m
    ids, splits, cells = (table[name].to_pylist() for name in ("id", "split", "cell"))
    for overlap in _candidates(table, limits, cell_m):
        first, second, south_px, east_px = overlap
        shared_pct = _shared_pct(corpus, [ids[first], ids[second]], overlap, limits["min_correlation"])
        if shared_pct < limits["min_shared_pct"]:
            continue
        where = "the same split" if splits[first] == splits[second] else "another split"
        problem = f"image shows a part of one of {where}"
        if cells[first] == cells[second]:
            problem = "image is a copy of one of its cell at another date"
        for row, partner, sign in ((first, second, -1), (second, first, 1)):
            shift = f"{sign * south_px:+d} px south, {sign * east_px:+d} px east"
            detail = f"{shared_pct:.0f} % of the image are in {ids[partner]} ({splits[partner]}), here {shift}"
            yield Flag(problem, str(ids[row]), detail)


def _candidates(table: pa.Table, limits: Limits, cell_m: float) -> Iterator[Overlap]:
    """Pairs that share windows with one shift: of two cells some, of one cell nearly all; the shift of most windows."""
    if table.num_rows == 0:
        return
    sizes = pc.binary_length(table["windows"]).to_numpy() // WINDOW.itemsize
    windows = np.frombuffer(b"".join(table["windows"].to_pylist()), WINDOW)
    rows = np.repeat(np.arange(table.num_rows, dtype=np.int32), sizes)
    parts = np.uint64(len(windows) // _WINDOWS_AT_ONCE + 1)
    pairs = [_shared(windows, rows, np.flatnonzero(windows["hash"] % parts == part)) for part in np.arange(parts)]
    overlaps, votes = np.unique(np.concatenate(pairs), axis=0, return_counts=True)
    order = np.lexsort((-votes, overlaps[:, 1], overlaps[:, 0]))
    overlaps, votes = overlaps[order], votes[order]
    best = np.ones(len(votes), dtype=bool)
    best[1:] = (overlaps[1:, :2] != overlaps[:-1, :2]).any(axis=1)
    first, second = overlaps[:, 0], overlaps[:, 1]
    cells = np.array(pc.dictionary_encode(table["cell"].combine_chunks()).indices)
    least = np.where(
        cells[first] == cells[second],
        limits["min_same_cell_windows_pct"] / 100 * np.minimum(sizes[first], sizes[second]),
        limits["min_windows"],
    )
    cells_on_ground = _CellOverlaps(table, cell_m)
    for values in overlaps[best & (votes >= least)].tolist():
        if cells[values[0]] == cells[values[1]] or not cells_on_ground.planned(values[0], values[1]):
            yield Overlap(*values)


def _shared(windows: NDArray[np.void], rows: NDArray[np.int32], part: NDArray[np.int64]) -> NDArray[np.int32]:
    """(pair, Overlap): pairs of windows with equal hashes in two images, among a part of all windows."""
    order = part[np.argsort(windows["hash"][part], kind="stable")]
    hashes = windows["hash"][order]
    ends = np.searchsorted(hashes, hashes, side="right")
    common = ends - np.searchsorted(hashes, hashes, side="left") > _MAX_COMMON
    pairs = [np.empty((0, 4), np.int32)]
    for step in range(1, _FOLLOWERS + 1):
        place = np.flatnonzero((hashes[step:] == hashes[:-step]) & ~common[step:])
        # Windows lie in the order of rows, and equal hashes in the order of windows.
        first, second = order[place], order[place + step]
        elsewhere = rows[first] != rows[second]
        first, second = first[elsewhere], second[elsewhere]
        shifts = [windows[axis][second].astype(np.int32) - windows[axis][first] for axis in ("y", "x")]
        pairs.append(np.stack([rows[first], rows[second], *shifts], axis=1))
    return np.concatenate(pairs)


class _CellOverlaps:
    """Decides which samples of a split overlap because their cells do."""

    def __init__(self, table: pa.Table, cell_m: float) -> None:
        self._splits, self._epsg, self._cell_m = table["split"].to_pylist(), table["epsg"].to_pylist(), cell_m
        self._places = np.array(columns(table, "x", "y", "lon", "lat"))

    def planned(self, first: int, second: int) -> bool:
        """Whether cells of one split overlap on the ground, as some at the border of two zones do."""
        if self._splits[first] != self._splits[second]:
            return False
        x, y, lon, lat = self._places[:, first] - self._places[:, second]
        if self._epsg[first] == self._epsg[second]:
            return bool(max(abs(x), abs(y)) < self._cell_m)
        east, north = 111_320 * lon * np.cos(np.radians(self._places[3, first])), 111_320 * lat
        return bool(np.hypot(east, north) < self._cell_m * 2**0.5)


def _shared_pct(corpus: Corpus, ids: list[str], overlap: Overlap, min_correlation: float) -> float:
    """Share of the first image, in percent, whose blocks correlate with the second's at this shift."""
    try:
        samples = [corpus[id] for id in ids]
    except (KeyError, InvalidCorpus):  # a damaged sample, which `shards` reports
        return 0.0
    images = [_window_bands(sample) for sample in samples]
    size = images[0].shape[1]
    starts = [[max(0, -shift), max(0, shift)] for shift in overlap[2:]]
    spans = [(size - abs(shift)) // _BLOCK_PX * _BLOCK_PX for shift in overlap[2:]]
    if min(spans) < _BLOCK_PX:
        return 0.0
    (top, height), (left, width) = zip(starts, spans, strict=True)
    first, second = (
        _centred_blocks(image[:, top[n] : top[n] + height, left[n] : left[n] + width]) for n, image in enumerate(images)
    )
    return float(100 * _n_equal(first, second, min_correlation) * _BLOCK_PX**2 / size**2)


def _window_bands(sample: Sample) -> NDArray[np.float32]:
    """The bands (band, y, x) that windows are of."""
    bands, sensor = (sample.s2, "s2") if sample.s1 is None else (sample.s1, "s1")
    places = [load_sensor(sensor).order.index(band) for band in WINDOW_BANDS[sensor]]
    return np.asarray(bands, dtype=np.float32)[places]


def _centred_blocks(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(block, value) of (band, y, x): blocks of all bands without their means, NaN where a pixel has no data."""
    bands, height, width = image.shape
    blocks = image.reshape(bands, height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)
    blocks = blocks - blocks.mean(axis=(2, 4), keepdims=True)
    return np.asarray(blocks.transpose(1, 3, 0, 2, 4).reshape(-1, bands * _BLOCK_PX**2))


def _n_equal(first: NDArray[Any], second: NDArray[Any], min_correlation: float) -> int:
    """Number of blocks that correlate, of those with a pattern in both images."""
    power = [(blocks**2).mean(axis=1) for blocks in (first, second)]
    patterned = np.minimum(*power) >= _MIN_DEVIATION**2
    correlation = (first * second).mean(axis=1)[patterned] / np.sqrt(power[0] * power[1])[patterned]
    return int(np.count_nonzero(correlation >= min_correlation))


CHECKS: dict[str, Check] = {"shared-windows": shared_windows}
