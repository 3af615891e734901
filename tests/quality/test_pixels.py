"""Defects of pixels are reported by their check, for the samples that have them and no others."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from bench.draft import Bands, Row
from bench.optical import each_band, exchange_bands
from bench.radar import change_db
from numpy.typing import NDArray

from bench import DEFECTS
from landmark.corpus.pixels import S1_NODATA
from landmark.quality.check_input import CheckInput
from landmark.quality.checks import chip_statistics, radiometry
from landmark.quality.chips.pixels import MEASURES, measure_pixels
from landmark.quality.findings import NotApplicable
from tests.quality.measured_corpus import MeasuredCorpus, check_input, run_check

CHECKS = {**radiometry.CHECKS, **chip_statistics.CHECKS}
Change = Callable[[Bands], Bands]
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def corpus(sealed: Path) -> MeasuredCorpus:
    return MeasuredCorpus(sealed)


def subjects(check: str, inputs: CheckInput) -> set[str]:
    return {flag.subject for flag in run_check(check, inputs)}


def edited(corpus: MeasuredCorpus, ids: Iterable[str], change: Change) -> dict[str, Row]:
    return {id: {"bands": change(corpus.bands[id])} for id in ids}


def test_intact_pixels_pass_every_check(corpus: MeasuredCorpus) -> None:
    inputs, not_applicable = corpus.inputs(), set()
    for check in CHECKS:
        try:
            assert run_check(check, inputs) == []
        except NotApplicable:
            not_applicable.add(check)
    assert not_applicable <= {"class-levels", "drift", "registration-groups", "revisits", "scenes"}


PLANTED = [
    kind for kind, plant in DEFECTS.items() if (plant.group, plant.origin, plant.wide) == ("pixels", "own", False)
]


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if not DEFECTS[kind].wide])
def test_planted_defects_are_reported(corpus: MeasuredCorpus, kind: str) -> None:
    planted = DEFECTS[kind].plant(corpus.draft)
    flags = run_check(DEFECTS[kind].check, corpus.inputs(planted.edits))
    lines = [f"{flag.subject}: {flag.detail}" for flag in flags]
    assert planted.subjects
    assert all(any(name in line for line in lines for name in names) for names in planted.subjects)
    assert {flag.subject for flag in flags} <= planted.edits.keys()


def single_band(name: str, change: Callable[[Array], Array]) -> Change:
    return lambda bands: {**bands, name: change(bands[name].astype(np.float64))}


def corner(value: float) -> Callable[[Array], Array]:
    """Set the upper left corner, 0.3 of the edge, to one value."""

    def change(band: Array) -> Array:
        changed, size = band.copy(), max(int(len(band) * 0.3), 1)
        changed[:size, :size] = value
        return changed

    return change


def constant_column(band: Array) -> Array:
    changed = band.copy()
    changed[:, len(band) // 2] = np.rint(band.mean())
    return changed


def repeated_rows(band: Array) -> Array:
    changed, start = band.copy(), len(band) - max(len(band) // 10, 1)
    changed[start:] = changed[start - 1]
    return changed


def of_power(change: Callable[[Array], Array]) -> Change:
    """Values that are another function of linear power than 10 log10."""
    return change_db(lambda db: change(10 ** (db / 10)))


@pytest.mark.parametrize(
    ("check", "sensor", "change"),
    [
        ("nodata", "s1", each_band(corner(S1_NODATA))),
        ("nodata", "s2", single_band("B09", corner(0))),
        ("constant", "s1", each_band(lambda band: np.full_like(band, -1200))),
        ("constant", "s1", each_band(corner(0))),
        ("constant", "s2", single_band("B8A", corner(3000))),
        ("constant", "s1", single_band("vh", constant_column)),
        ("constant", "s1", each_band(repeated_rows)),
        ("saturation", "s2", single_band("B08", lambda band: np.rint(np.minimum(band, np.percentile(band, 95))))),
        ("saturation", "s1", each_band(lambda band: np.clip(band, -2000, -800))),
        ("s1-range", "s1", change_db(lambda db: db + 30)),
        ("s1-range", "s1", change_db(lambda db: db - 30)),
        ("s1-scale", "s1", of_power(np.sqrt)),
        ("s1-scale", "s1", of_power(np.log)),
        ("s1-scale", "s1", of_power(lambda power: 20 * np.log10(power))),
    ],
)
def test_only_the_damaged_chips_are_reported(corpus: MeasuredCorpus, check: str, sensor: str, change: Change) -> None:
    ids = corpus.ids(sensor, 6)
    assert subjects(check, corpus.inputs(edited(corpus, ids, change))) == set(ids)


@pytest.mark.parametrize(
    "bands",
    [
        ("B02", "B04"),
        ("B04", "B08"),
        ("B11", "B12"),
        ("B08", "B11"),
        ("B02", "B03"),
        ("B05", "B06"),
        ("B8A", "B11", "B12"),
    ],
)
def test_exchanged_bands_show_in_plants_and_soil(corpus: MeasuredCorpus, bands: tuple[str, ...]) -> None:
    names = ("green_B02_dn", "soil_red_blue")
    ids = [id for id in corpus.ids("s2") if all(corpus.measures[id].get(name) is not None for name in names)][::3][:8]
    assert len(ids) >= 5
    flagged = subjects("band-order", corpus.inputs(edited(corpus, ids, exchange_bands(*bands))))
    assert flagged <= set(ids) and len(flagged) >= 0.8 * len(ids)


def test_a_damaged_acquisition_is_named_with_the_samples(corpus: MeasuredCorpus) -> None:
    item, _ = Counter(corpus.item(id) for id in corpus.ids("s2")).most_common(1)[0]
    ids = [id for id in corpus.ids("s2") if corpus.item(id) == item]
    flags = run_check("band-order", corpus.inputs(edited(corpus, ids, exchange_bands("B11", "B12"))))
    assert len(flags) >= 3 and {flag.subject for flag in flags} <= set(ids)
    assert all(item in flag.detail for flag in flags)


@pytest.mark.parametrize(
    ("spectrum", "default"),
    [
        ({"B01": 1300, "B02": 1600, "B03": 2300, "B04": 3000, "B05": 3300, "B11": 4400, "B12": 4000}, 3500),
        ({"B11": 1150, "B12": 1050, "B09": 7000}, 8500),
    ],
    ids=["desert", "snow"],
)
def test_bright_ground_does_not_look_like_the_offset(
    corpus: MeasuredCorpus, spectrum: dict[str, int], default: int
) -> None:
    random = np.random.default_rng(0)

    def bright(bands: Bands) -> Bands:
        return {
            name: np.rint(spectrum.get(name, default) * (1 + 0.03 * random.standard_normal(band.shape)))
            for name, band in bands.items()
        }

    assert subjects("s2-offset", corpus.inputs(edited(corpus, corpus.ids("s2", 6), bright))) == set()


def test_medians_on_either_side_of_a_snow_line_do_not_look_like_the_offset(corpus: MeasuredCorpus) -> None:
    """Snow covers just more than half of the pixels of 60 m, and just less than half of the others."""

    def half_under_snow(bands: Bands) -> Bands:
        return {
            name: np.where(
                np.arange(len(band)) < (0.55 if name in {"B01", "B09"} else 0.45) * len(band),
                600 if name in {"B11", "B12"} else 5000,
                np.rint(0.9 * band),
            )
            for name, band in bands.items()
        }

    assert subjects("s2-offset", corpus.inputs(edited(corpus, corpus.ids("s2", 6), half_under_snow))) == set()


@pytest.mark.parametrize(("looks", "flagged"), [(1, True), (20, False)])
def test_speckle_of_fewer_looks_is_too_strong(corpus: MeasuredCorpus, looks: int, flagged: bool) -> None:
    random, ids = np.random.default_rng(0), corpus.ids("s1", 4)

    def noisy(bands: Bands) -> Bands:
        return {
            name: band + 1000 * np.log10(random.gamma(looks, 1 / looks, band.shape)) for name, band in bands.items()
        }

    assert subjects("s1-looks", corpus.inputs(edited(corpus, ids, noisy))) == (set(ids) if flagged else set())


def test_images_without_a_cloud_mask_do_not_count_as_clear(corpus: MeasuredCorpus) -> None:
    unmasked: dict[str, Row] = {id: {"cloud_pct": None, "shadow_pct": None} for id in corpus.ids("s2")}
    with pytest.raises(NotApplicable):
        run_check("clouds", corpus.inputs(unmasked))


@pytest.mark.parametrize("check", CHECKS)
def test_checks_of_pixels_need_pixels(corpus: MeasuredCorpus, check: str) -> None:
    with pytest.raises(NotApplicable):
        run_check(check, check_input(corpus.context, ()))


def test_clipped_water_and_small_chips_are_not_constant(corpus: MeasuredCorpus) -> None:
    """Calm water can have negative reflectances in the infrared, which are stored as 1."""
    infrared = ("B08", "B8A", "B09", "B11", "B12")
    ids = corpus.ids("s2", 6)
    clipped = edited(corpus, ids, lambda bands: bands | {name: np.ones_like(bands[name]) for name in infrared})
    assert subjects("constant", corpus.inputs(clipped)) == set()
    small = {name: band[: len(band) // 10, : len(band) // 10] for name, band in corpus.bands[ids[0]].items()}
    measures = measure_pixels("s2", small)
    assert measures["constant_bands"] == 0 and measures["perceptual_hash"] is None


def test_measures_are_those_of_the_schema(corpus: MeasuredCorpus) -> None:
    names = {name for measures in corpus.measures.values() for name in measures}
    of_others = {"band_digests", "windows", "edge_frequencies", "shift_y_px", "shift_x_px", "shift_strength"}
    assert names == set(MEASURES.names) - of_others


def test_indices_follow_their_definition(corpus: MeasuredCorpus) -> None:
    bands = corpus.bands[corpus.ids("s2")[0]]
    green, red, near = (bands[name].astype(float) for name in ("B03", "B04", "B08"))
    measures = measure_pixels("s2", bands)
    assert measures["water_pct"] == pytest.approx(100 * ((green - near) / (green + near) > 0).mean(), abs=0.01)
    assert measures["green_pct"] == pytest.approx(100 * ((near - red) / (near + red) > 0.5).mean(), abs=0.01)
    holed = {name: corner(0)(band) for name, band in bands.items()}
    valid = holed["B08"] != 0
    ndvi = ((near - red) / (near + red))[valid].mean()
    assert measure_pixels("s2", holed)["ndvi_mean"] == pytest.approx(ndvi, abs=1e-4)


@pytest.mark.parametrize(("level_db", "smooth_pct"), [(-20.0, 100.0), (-10.0, 0.0)])
def test_open_water_is_dark_and_smooth_in_radar(level_db: float, smooth_pct: float) -> None:
    speckle = 10 * np.log10(np.random.default_rng(0).gamma(4.4, 1 / 4.4, (2, 120, 120)))
    water = {name: np.rint(100 * (level_db - drop + speckle[index])).astype("<i2")
             for index, (name, drop) in enumerate((("vv", 0), ("vh", 7)))}  # fmt: skip
    measures = measure_pixels("s1", water)
    assert measures["smooth_pct"] == pytest.approx(smooth_pct, abs=2)
    assert measures["vv_speckle_db"] == pytest.approx(2.1, abs=0.2)


# -- registration ------------------------------------------------------------------------------------------------------


def shifted(rows: int, cols: int) -> Change:
    """Move the content south and east by pixels of 10 m, wrapping at the edge."""

    def change(bands: Bands) -> Bands:
        finest = max(len(band) for band in bands.values())
        return {
            name: np.roll(band, (rows * len(band) // finest, cols * len(band) // finest), (0, 1))
            for name, band in bands.items()
        }

    return change


@pytest.mark.parametrize(("rows", "cols"), [(5, 0), (-4, 3), (0, 10)])
def test_a_shifted_acquisition_is_reported_with_the_shift(corpus: MeasuredCorpus, rows: int, cols: int) -> None:
    paired = [id for id in corpus.ids("s2") if corpus.rows[id]["pair"] is not None]
    item, _ = Counter(map(corpus.item, paired)).most_common(1)[0]
    ids = [id for id in paired if corpus.item(id) == item]
    (flag,) = run_check("registration", corpus.inputs(edited(corpus, ids, shifted(-rows, -cols))))
    south, east = (float(word) for word in flag.detail.split() if word[0] in "+-")
    assert flag.subject == item and (south, east) == pytest.approx((rows, cols), abs=0.5)


def test_an_acquisition_upside_down_shows_another_place(corpus: MeasuredCorpus) -> None:
    intact: dict[str, Row] = {id: {"items": ["intact"]} for id in corpus.ids("s2")}
    assert subjects("registration", corpus.inputs(intact)) == set()
    flipped: dict[str, Row] = {
        id: {"items": ["flipped"], "bands": {name: band[::-1] for name, band in corpus.bands[id].items()}}
        for id in corpus.ids("s2")[::2]
    }
    assert subjects("registration", corpus.inputs(intact | flipped)) == {"flipped"}


def test_a_single_shifted_chip_is_reported_where_the_peak_is_clear(corpus: MeasuredCorpus) -> None:
    table = corpus.inputs().samples_of("s2")
    strengths = zip(table["id"].to_pylist(), table["shift_strength"].to_pylist(), strict=True)
    ids = sorted(id for id, strength in strengths if strength is not None and strength > 11)[:4]
    assert ids, "no chip of the world has a clear peak"
    assert subjects("registration-single", corpus.inputs(edited(corpus, ids, shifted(5, 5)))) == set(ids)


# -- near copies -------------------------------------------------------------------------------------------------------


def noise(seed: int, *, relative: float = 0.0, absolute: float = 0.0) -> Change:
    random = np.random.default_rng(seed)
    return each_band(
        lambda band: np.rint(
            band * (1 + relative * random.standard_normal(band.shape)) + absolute * random.standard_normal(band.shape)
        )
    )


@pytest.mark.parametrize("across", [True, False], ids=["across", "within"])
@pytest.mark.parametrize(
    ("sensor", "change"),
    [
        ("s2", noise(1, relative=0.02)),
        ("s2", each_band(lambda band: np.rint(1.05 * band + 20))),
        ("s1", noise(2, absolute=30)),
    ],
    ids=["noise", "gain", "speckle"],
)
def test_near_copies_are_reported_across_and_within_splits(
    corpus: MeasuredCorpus, sensor: str, change: Change, across: bool
) -> None:
    rows, ids = corpus.rows, corpus.ids(sensor)
    train = [id for id in ids if rows[id]["split"] == "train"]
    targets = [id for id in ids if rows[id]["split"] != "train"] if across else train[len(train) // 2 :]
    pairs = [
        (id, copy) for id, copy in zip(train[:4], targets[:4], strict=True) if rows[id]["cell"] != rows[copy]["cell"]
    ]
    edits: dict[str, Row] = {copy: {"sha256": f"copy of {id}", "bands": change(corpus.bands[id])} for id, copy in pairs}
    assert len(pairs) >= 3
    flags = run_check("near-duplicates", corpus.inputs(edits))
    assert {flag.subject for flag in flags} == {id for pair in pairs for id in pair}
    assert len({flag.problem for flag in flags}) == 1


def test_featureless_water_is_not_a_copy(corpus: MeasuredCorpus) -> None:
    """Hundreds of chips with the same slope of glint, which differ by noise alone."""
    random, id = np.random.default_rng(0), corpus.ids("s2")[0]
    slope = np.linspace(0, 40, 120)[:, None] + np.linspace(0, 20, 120)
    samples = []
    for number in range(300):
        name = f"sea{number}"
        row = {**corpus.rows[id], "id": name, "cell": name, "sha256": name, "pair": None}
        row["split"] = ("train", "test")[number % 2]
        bands = {
            name: np.rint(
                slope[:: 120 // len(band), :: 120 // len(band)] + 300 + 4 * random.standard_normal(band.shape)
            ).astype("<u2")
            for name, band in corpus.bands[id].items()
        }
        samples.append((row, bands, measure_pixels("s2", bands)))
    assert run_check("near-duplicates", check_input(corpus.context, samples)) == []
