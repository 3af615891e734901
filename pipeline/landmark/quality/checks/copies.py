"""Checks for images that are copies of others, as they are, rotated or mirrored, in all bands or in some."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landmark.config.profiles import Group, load_sensor
from landmark.corpus.near_pairs import NearCopy, near_copies
from landmark.corpus.perceptual_hash import HASH_LENGTH, MIN_HASHED_PX, ORIENTATIONS, by_band
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import columns
from landmark.quality.chips.optical import BANDS
from landmark.quality.chips.speckle_signs import speckle_copies
from landmark.quality.findings import Flag, NotApplicable

# Bands with fewer numbers of the hash than this are not compared by themselves.
_MIN_PART_NUMBERS = 80


def duplicates(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No two samples have the same pixels, nor the same values of a band."""
    groups: dict[str, list[tuple[str, str]]] = {}
    columns = (inputs.samples[name].to_pylist() for name in ("id", "split", "sha256"))
    for id, split, sha256 in zip(*columns, strict=True):
        groups.setdefault(sha256, []).append((id, split))
    for group in groups.values():
        if len(group) > 1:
            (first, _), *copies = group
            across = len({split for _, split in group}) > 1
            problem = "same pixels in several splits" if across else "same pixels twice in a split"
            yield from (Flag(problem, id, f"as {first}") for id, _ in copies)
    for sensor in inputs.manifest.sensors:
        yield from _equal_bands(inputs.samples_of(sensor), sensor)


def _equal_bands(table: pa.Table, sensor: str) -> Iterator[Flag]:
    """Samples of other pixels that have bands with the values of another sample's, in any order."""
    table = table.filter(pc.is_valid(table["band_digests"]))
    names = [band for group in load_sensor(sensor).groups for band in group.bands]
    ids, splits, sha256 = (table[name].to_pylist() for name in ("id", "split", "sha256"))
    digests = np.frombuffer(b"".join(table["band_digests"].to_pylist()), dtype="<u8")
    order = np.argsort(digests, kind="stable")
    equal = (digests[order][1:] == digests[order][:-1]) & (digests[order][1:] != 0)
    first, copies = 0, dict[tuple[int, int], list[str]]()
    for place in np.flatnonzero(equal).tolist():
        if place == 0 or not equal[place - 1]:
            first = int(order[place])
        (row_a, band_a), (row_b, band_b) = divmod(first, len(names)), divmod(int(order[place + 1]), len(names))
        if sha256[row_a] != sha256[row_b]:
            copied = names[band_b] if band_a == band_b else f"{names[band_b]} as {names[band_a]}"
            copies.setdefault((row_a, row_b), []).append(copied)
    for (row_a, row_b), bands in copies.items():
        where = "the same split" if splits[row_a] == splits[row_b] else "another split"
        problem = f"bands have the values of one of {where}"
        yield Flag(problem, ids[row_b], f"{', '.join(sorted(bands))} of {ids[row_a]} ({splits[row_a]})")


class _Part(NamedTuple):
    """Bands that are compared together: their names, empty for all, and their places in the hash."""

    names: str
    places: slice


def near_duplicates(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """No image is a copy of another that differs only by orientation, noise, gain or offset, nor has its speckle."""
    hashed = inputs.samples.filter(pc.is_valid(inputs.samples["perceptual_hash"]))
    if hashed.num_rows == 0:
        raise NotApplicable(f"no image of at least {MIN_HASHED_PX} px was read")
    for sensor in inputs.manifest.sensors:
        table = hashed.filter(pc.equal(hashed["sensor"], sensor))
        ids, splits = table["id"].to_pylist(), table["split"].to_pylist()
        named = set[tuple[int, int]]()
        for part, copy in _copies(table, sensor, inputs.manifest.patch_px, limits):
            named.add(copy[:2])
            where = "the same split" if splits[copy.first] == splits[copy.second] else "another split"
            subject = f"{part.names} of the image are near copies of those" if part.names else "image is a near copy"
            turned = f", {ORIENTATIONS[copy.orientation]}" if copy.orientation else ""
            for row, partner in ((copy.first, copy.second), (copy.second, copy.first)):
                detail = f"similarity {copy.similarity:.4f} to {ids[partner]} ({splits[partner]}){turned}"
                yield Flag(f"{subject} of one of {where}", str(ids[row]), detail)
        yield from _same_speckle(table, named, limits)


def _same_speckle(table: pa.Table, named: set[tuple[int, int]], limits: Limits) -> Iterator[Flag]:
    """Images of a cell with the speckle of another date, but neither identical nor among the pairs that are named."""
    ids, digests = table["id"].to_pylist(), table["sha256"].to_pylist()
    for first, second, polarisation, agreement in speckle_copies(table, limits["min_speckle_agreement"]):
        if digests[first] != digests[second] and (min(first, second), max(first, second)) not in named:
            for row, partner in ((first, second), (second, first)):
                detail = (
                    f"{100 * agreement:.0f} % of the signs of {polarisation} are those of {ids[partner]}; chance 50 %"
                )
                yield Flag("image has the speckle of another date of its cell", str(ids[row]), detail)


def hashed_groups(sensor: str, patch_px: int) -> list[Group]:
    """Groups of bands that the hash of an image holds, in its order."""
    groups = [group for group in load_sensor(sensor).groups if group.shape(patch_px)[1] >= MIN_HASHED_PX]
    return sorted(groups, key=lambda group: group.shape(patch_px)[1])


def _parts(sensor: str, patch_px: int) -> list[_Part]:
    """All bands, then the bands of each pixel size, or each band of the only one, in the order of the hash."""
    groups = hashed_groups(sensor, patch_px)
    sets = [group.bands for group in groups] if len(groups) > 1 else [(band,) for band in groups[0].bands]
    ends = np.cumsum([len(bands) for bands in sets]).tolist()
    parts = [
        _Part(", ".join(bands), slice(end - len(bands), end)) for bands, end in zip(sets, ends, strict=True)
    ]  # fmt: skip
    return [_Part("", slice(0, ends[-1])), *parts]


def _copies(table: pa.Table, sensor: str, patch_px: int, limits: Limits) -> Iterator[tuple[_Part, NearCopy]]:
    """Similar images, of all bands or some, but neither identical ones nor the same cell at two dates."""
    if table.num_rows == 0:
        return
    stored = np.frombuffer(b"".join(table["perceptual_hash"].to_pylist()), dtype=np.int8).reshape(-1, HASH_LENGTH)
    all_bands, *parts = _parts(sensor, patch_px)
    hashes = by_band(stored, all_bands.places.stop)
    same_image, least_pct = _SameImage(table, sensor, limits), limits["min_texture_pct"]
    reported = set[tuple[int, int]]()
    for copy in near_copies(hashes, limits["min_similarity"], min_texture_pct=least_pct):
        if not same_image.is_legitimate(copy):
            reported.add(copy[:2])
            yield all_bands, copy
    for part in parts:
        bands = np.ascontiguousarray(hashes[:, part.places])
        if bands[0].size >= _MIN_PART_NUMBERS:
            for copy in near_copies(bands, limits["min_part_similarity"], min_texture_pct=least_pct):
                # The same bands of a cell can look alike for years.
                if copy[:2] not in reported and not same_image.is_legitimate(copy, part=True):
                    yield part, copy


class _SameImage:
    """Decides which similar images are no copies."""

    def __init__(self, table: pa.Table, sensor: str, limits: Limits) -> None:
        names = [f"{band}_p50_dn" for band in BANDS] if sensor == "s2" else ["vv_p50_db", "vh_p50_db"]
        self._levels, self._limits = np.array(columns(table, *names)).T, limits
        self._cells, self._digests = table["cell"].to_pylist(), table["sha256"].to_pylist()

    def is_legitimate(self, copy: NearCopy, *, part: bool = False) -> bool:
        """Whether two images are identical, which `duplicates` reports, or one cell at two dates."""
        first, second = copy.first, copy.second
        if self._digests[first] == self._digests[second]:
            return True
        if self._cells[first] != self._cells[second] or copy.orientation:
            return False
        # The texture of a cell can stay the same for years: only equal levels show that one image is a copy.
        level_a, level_b = self._levels[first], self._levels[second]
        change_pct = 100 * float(np.max(abs(level_a - level_b) / np.maximum(abs(level_a), 1)))
        similar = copy.similarity >= self._limits["min_same_cell_similarity"]
        return part or not (similar and change_pct < self._limits["max_change_pct"])


CHECKS: dict[str, Check] = {"duplicates": duplicates, "near-duplicates": near_duplicates}
