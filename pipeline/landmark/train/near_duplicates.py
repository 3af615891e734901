"""Images that are near copies of images of another split: what a model memorised of one, it knows of the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark.config.profiles import load_sensor
from landmark.core.progress import Progress, silent
from landmark.core.yaml_files import find_resource, read_yaml
from landmark.corpus.perceptual_hash import HASH_LENGTH, near_pairs, perceptual_hash
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
        sensor: list(_find_pairs(corpus.select(sensor=sensor), sensor, limits["min_similarity"], progress))
        for sensor in corpus.manifest.sensors
    }


def _find_pairs(images: Corpus, sensor: str, min_similarity: float, progress: Progress) -> Iterator[NearDuplicate]:
    if not len(images):
        return
    hashes, hashed = _hash_images(images, sensor, progress)
    table = images.columns("id", "split").take(np.flatnonzero(hashed))
    ids, splits = table["id"].to_pylist(), table["split"].to_pylist()
    for first, second, similarity in near_pairs(hashes[hashed], min_similarity):
        if splits[first] != splits[second]:
            yield NearDuplicate(ids[first], ids[second], similarity)


def _hash_images(images: Corpus, sensor: str, progress: Progress) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Hashes (image, HASH_LENGTH) in the corpus's order, and which images have one."""
    hashes = np.zeros((len(images), HASH_LENGTH), dtype=np.int8)
    hashed, row = np.zeros(len(images), dtype=bool), 0
    profile = load_sensor(sensor)
    for batch in images.loader(batch=BLOCK, shuffle=False, cache_bytes=0):
        for stored in batch.pixels[sensor].stored:
            if (own := _hash_image(stored, profile.nodata)) is not None:
                hashes[row], hashed[row] = np.frombuffer(own, dtype=np.int8), True
            row += 1
        progress(f"hash {sensor}", row, len(images))
    return hashes, hashed


def _hash_image(stored: NDArray[Any], nodata: int) -> bytes | None:
    """Hash of stored pixels (band, y, x); None where no pixel has data in all bands."""
    if not (stored != nodata).all(axis=0).any():
        return None
    return perceptual_hash({str(number): band for number, band in enumerate(stored)}, nodata)
