"""Copies of images: turned, of some bands, in part; and texts that train and test share."""

from pathlib import Path

import numpy as np
import pytest
from bench.copies import _shift, _turn
from bench.draft import Bands, Draft, Planted, Row
from bench.reseal import open_draft, reseal
from numpy.typing import NDArray
from scipy import ndimage

from landmark.core.executor import ExecutorConfig
from landmark.corpus.near_pairs import near_copies
from landmark.corpus.perceptual_hash import HASH_LENGTH, by_band, orient, perceptual_hash
from landmark.quality.check import check
from landmark.quality.check_input import CheckInput, CorpusContext, Moments
from landmark.quality.check_profile import load_check_profile
from landmark.quality.checks.copies import near_duplicates
from landmark.quality.chips.band_digests import band_digests
from landmark.quality.chips.speckle_signs import N_SIGNS, speckle_copies, speckle_signs
from landmark.quality.chips.windows import WINDOW, content_windows
from tests.quality.measured_corpus import PROFILE, sample_table
from tests.quality.test_pairs import landscape, optical, radar


def turned(band: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    band = band.T if orientation & 4 else band
    band = band[::-1] if orientation & 2 else band
    return band[:, ::-1] if orientation & 1 else band


def hashes_of(bands: Bands) -> NDArray[np.int8]:
    return by_band(np.frombuffer(perceptual_hash(bands, 0) or b"", np.int8)[None], len(bands))


@pytest.mark.parametrize("orientation", range(8))
def test_the_hash_of_a_turned_image_follows_from_that_of_the_image(orientation: int) -> None:
    bands = optical(landscape(0, 120))
    bands["B11"] = ndimage.zoom(bands["B08"].astype(float), 0.5, order=1).astype("<u2")
    own = hashes_of({name: np.ascontiguousarray(turned(band, orientation)) for name, band in bands.items()})
    assert abs(orient(hashes_of(bands), orientation).astype(int) - own).max() <= 1


@pytest.mark.parametrize("n_bands", [2, 12])
def test_near_copies_are_those_of_comparing_all_orientations(n_bands: int) -> None:
    random = np.random.default_rng(0)
    hashes = by_band(np.clip(42 * random.standard_normal((600, HASH_LENGTH)), -127, 127).astype(np.int8), n_bands)
    for number in range(40):
        noisy = orient(hashes[[number]], number % 8) + 6 * random.standard_normal(hashes[0].shape)
        hashes[300 + number] = np.clip(np.rint(noisy[0]), -127, 127)
    units = [orient(hashes, number).reshape(600, -1).astype(float) for number in range(8)]
    units = [unit / np.linalg.norm(unit, axis=1, keepdims=True) for unit in units]
    similarity = np.stack([units[0] @ unit.T for unit in units])
    expected = {(int(a), int(b)) for a, b in np.argwhere(np.triu(similarity.max(axis=0), 1) >= 0.98)}
    result = list(near_copies(hashes, 0.98))
    assert {copy[:2] for copy in result} == expected and len(expected) >= 35
    assert all(similarity[:, copy.first, copy.second].argmax() == copy.orientation for copy in result)
    assert list(near_copies(hashes[:0], 0.98)) == []


def haze(number: int) -> Bands:
    """A curved surface of random shape over water with slight noise."""
    random = np.random.default_rng(number)
    y, x = np.indices((120, 120)) / 60 - 1
    a, b, c = random.standard_normal(3)
    surface = 30 * (a * x**2 + b * x * y + c * y**2)
    noise = random.standard_normal((12, 120, 120))
    return {f"B{n}": np.rint(300 + surface + noise[n]).astype("<u2") for n in range(12)}


def test_smooth_images_are_not_near_copies(sealed: Path) -> None:
    """Three numbers describe a curved surface: among hundreds some agree by chance."""
    rows = [
        {"id": f"s{n}", "cell": f"c{n}", "sha256": f"{n}", "sensor": "s2", "split": ("train", "test")[n % 2]}
        | {"perceptual_hash": perceptual_hash(haze(n), 0)}
        for n in range(150)
    ]
    limits = PROFILE.checks["near-duplicates"].limits

    def flagged(min_texture_pct: float) -> int:
        context = CorpusContext(sealed, Draft(sealed).manifest, None, {}, {})
        inputs = CheckInput(context, sample_table(rows), {}, {}, all_pixels=True)
        return len(list(near_duplicates(inputs, {**limits, "min_texture_pct": min_texture_pct})))

    assert flagged(limits["min_texture_pct"]) == 0 < flagged(0)


def test_band_digests_depend_on_values_alone() -> None:
    band = optical(landscape(0, 120))["B04"]
    digests = {
        name: band_digests(Moments.of_bands(values[np.newaxis], 0))
        for name, values in {
            "own": band, "turned": turned(band, 5), "other": band + np.uint16(1), "calm": band % 20 + 1,
            "small": band[:30, :30],
        }.items()
    }  # fmt: skip
    assert digests["own"] == digests["turned"] != digests["other"]
    assert digests["calm"] == digests["small"] == bytes(8)


def test_signs_of_speckle_are_those_of_the_laplacian_and_tell_copies_from_other_dates() -> None:
    images = [radar(landscape(0, 100), seed) for seed in (1, 2)]
    images.append({"vv": images[1]["vv"] - 100, "vh": images[0]["vh"] // 2 + 300})
    laplacian = -ndimage.laplace(images[0]["vh"].astype(float))[1:-1, 1:-1].ravel()
    signs = np.unpackbits(np.frombuffer(speckle_signs(images[0]), np.uint8))[N_SIGNS:]
    np.testing.assert_array_equal(signs, laplacian[np.linspace(0, laplacian.size - 1, N_SIGNS).astype(int)] > 0)
    rows = [{"cell": "a", "speckle_signs": speckle_signs(image)} for image in images]
    rows += [{"cell": "b", "speckle_signs": rows[0]["speckle_signs"]}, {"cell": "a"}]
    copies = {copy[:2]: copy[2:] for copy in speckle_copies(sample_table(rows), 0.9)}
    assert copies.keys() == {(0, 2), (1, 2)}
    assert copies[0, 2][0] == "vh" and copies[0, 2][1] > 0.94 and copies[1, 2] == ("vv", 1)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_moved_images_share_windows_at_their_shift_and_others_none(sensor: str) -> None:
    def windows(seed: int, south: int = 0, east: int = 0) -> NDArray[np.void]:
        random = np.random.default_rng(seed)
        ground = landscape(seed) + 0.3 * ndimage.gaussian_filter(random.standard_normal((140, 140)), 1.5)
        bands = radar(ground, seed) if sensor == "s1" else optical(ground)
        bands |= {"B03": bands["B04"]} if sensor == "s2" else {}
        cut = {name: band[south : south + 100, east : east + 100] for name, band in bands.items()}
        return np.frombuffer(content_windows(sensor, cut), WINDOW)

    own, moved, unrelated = windows(0), windows(0, 17, 5), windows(1)
    first, second = np.nonzero(own["hash"][:, None] == moved["hash"])
    shifts = {(int(own["y"][a]) - int(moved["y"][b]), int(own["x"][a]) - int(moved["x"][b]))
              for a, b in zip(first, second, strict=True)}  # fmt: skip
    assert len(first) > 20 and (17, 5) in shifts
    assert not np.isin(own["hash"], unrelated["hash"]).any()


@pytest.mark.long
def test_copies_of_bands_and_parts_are_reported_in_a_sealed_corpus(sealed: Path, tmp_path: Path) -> None:
    draft = open_draft(sealed, tmp_path / "resealed")

    def pairs(sensor: str) -> list[tuple[Row, Row]]:
        train = [row for row in draft.rows(sensor=sensor, split="train") if len(row["labels"]) >= 3]
        test = draft.rows(sensor=sensor, split="test")
        return [(origin, row) for origin, row in zip(train, test, strict=False) if origin["cell"] != row["cell"]]

    (origin, band_copy), (moved_origin, moved) = pairs("s2")[:2]
    radar_origin, radar_moved = pairs("s1")[0]
    edits = {
        band_copy["id"]: draft.bands(band_copy["id"]) | {"B11": _turn(draft.bands(origin["id"]), 3)["B11"]},
        moved["id"]: _shift(draft.bands(moved_origin["id"]), draft.bands(moved["id"]), 24, 12),
        radar_moved["id"]: _shift(draft.bands(radar_origin["id"]), draft.bands(radar_moved["id"]), 5, 31),
    }
    planted = Planted((), 0, {id: {"bands": bands} for id, bands in edits.items()})
    reseal(draft, planted, tmp_path / "copied")
    report = check(tmp_path / "copied", load_check_profile(deep=True), executor=ExecutorConfig())
    duplicates = {id: text for finding in report.checks["duplicates"].findings for id, text in finding.subjects.items()}
    shared = {id: text for finding in report.checks["shared-windows"].findings for id, text in finding.subjects.items()}
    assert duplicates.keys() in ({band_copy["id"]}, {origin["id"]})
    assert all(text.startswith("B11 of ") for text in duplicates.values())
    concerned = (moved_origin, moved, radar_origin, radar_moved)
    assert shared.keys() >= {row["id"] for row in concerned}
    # Images of the origin's cell at other dates share windows too.
    assert {draft.facts[id]["cell"] for id in shared} == {row["cell"] for row in concerned}
    assert "here +24 px south, +12 px east" in shared[moved["id"]]
    texts = {kind for finding in report.checks["split-texts"].findings for kind in finding.subjects}
    assert "structured en" in texts
