"""Images that are near copies of images of another split: what a model memorised of one, it knows of the other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.progress import Progress, silent
from landmark.core.resources import find_resource
from landmark.core.yaml_files import read_yaml
from landmark.corpus.near_pairs import near_copies
from landmark.corpus.perceptual_hash import HASH_LENGTH, by_band, perceptual_hash
from landmark.corpus.reader import Corpus
from landmark.train.dataset import BLOCK


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two images of different splits, and the cosine similarity of their perceptual hashes."""

    id: str
    copy_id: str
    similarity: float


def find_near_duplicates(corpus: Corpus, *, progress: Progress = silent) -> dict[str, list[NearDuplicate]]:
    """Find near-duplicates across splits, per sensor, with the limit of the check `near-duplicates`.

    Unlike the check, which covers pairs within a split, images of one cell count whatever their dates: no cell may be
    in two splits. Holds one hash of 252 bytes per image.
    """
    limits = read_yaml(find_resource("profiles/checks", "default"))["checks"]["near-duplicates"]["limits"]
    return {
        sensor: list(_find_pairs(corpus.select(sensor=sensor), sensor, limits, progress))
        for sensor in corpus.manifest.sensors
    }


def _find_pairs(
    images: Corpus, sensor: str, limits: Mapping[str, float], progress: Progress
) -> Iterator[NearDuplicate]:
    if not len(images):
        return
    ids, splits = (images.columns(name)[name].to_pylist() for name in ("id", "split"))
    hashes, rows = _hash_images(images, sensor, progress)
    hashes = by_band(hashes, len(load_sensor(sensor).order))
    for pair in near_copies(hashes, limits["min_similarity"], min_texture_pct=limits["min_texture_pct"]):
        first, second = rows[pair.first], rows[pair.second]
        if splits[first] != splits[second]:
            yield NearDuplicate(ids[first], ids[second], pair.similarity)


def _hash_images(images: Corpus, sensor: str, progress: Progress) -> tuple[NDArray[np.int8], list[int]]:
    """Hashes (hash, HASH_LENGTH), and the row of the image of each."""
    hashes, rows, row = bytearray(), list[int](), 0
    nodata = load_sensor(sensor).nodata
    for batch in images.loader(batch=BLOCK, shuffle=False, cache_bytes=0):
        for stored in batch.pixels[sensor].stored:
            if (own := _hash_image(stored, nodata)) is not None:
                hashes += own
                rows.append(row)
            row += 1
        progress(f"hash {sensor}", row, len(images))
    return np.frombuffer(hashes, dtype=np.int8).reshape(-1, HASH_LENGTH), rows


def _hash_image(stored: NDArray[Any], nodata: int) -> bytes | None:
    """Hash of stored pixels (band, y, x); None where no pixel has data in all bands."""
    if not (stored != nodata).all(axis=0).any():
        return None
    return perceptual_hash({str(number): band for number, band in enumerate(stored)}, nodata)
