"""Each way pixels go wrong is found by its check, in the samples that have it; whole ones pass all checks."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from landmark.quality.findings import NotApplicable
from landmark.quality.pixels import MEASURES, measure_pixels
from landmark.quality.radiometry import JUDGES
from tests.quality.chips import Bands, Change, Chips, Record, judged
from tests.quality.spoils import (
    S1_NODATA,
    Spoil,
    box,
    dead_line,
    every,
    exchanged,
    hole,
    in_db,
    moved,
    noisy,
    only,
    padded,
    renamed,
    torn,
)


@pytest.fixture(scope="module")
def chips(sealed: Path) -> Chips:
    found = Chips.of(sealed)
    found.evidence()
    return found


def some(chips: Chips, sensor: str, number: int = 6) -> list[str]:
    """Samples of many acquisitions, so that no acquisition is judged as a whole."""
    ids = chips.ids(sensor)
    return ids[:: max(len(ids) // number, 1)][:number]


def spoiled(spoil: Spoil) -> Change:
    return lambda record, bands: (record, spoil(bands))


def changed(**facts: object) -> Change:
    return lambda record, bands: ({**record, **facts}, bands)


def found(chips: Chips, check: str, changes: dict[str, Change]) -> dict[str, str]:
    """Subject → what the check says of it."""
    return {flag.subject: flag.problem for flag in judged(check, chips.evidence(changes))}


def items_of(chips: Chips, ids: list[str]) -> list[str]:
    return [record["items"][0] for record, _ in chips.samples if record["id"] in ids]


def test_whole_chips_pass_every_check(chips: Chips) -> None:
    evidence = chips.evidence()
    said = {}
    for check in JUDGES:
        try:
            said[check] = judged(check, evidence)
        except NotApplicable:
            assert check == "drift"
    assert {check: flags for check, flags in said.items() if flags} == {}


EVERYWHERE: list[tuple[str, str, str, Spoil]] = [
    ("nodata", "s2", "valid_pct is not what the pixels show", hole),
    ("nodata", "s1", "valid_pct is not what the pixels show", hole),
    ("nodata", "s2", "some bands have data where others have none", torn("B03")),
    ("nodata", "s2", "some bands have data where others have none", torn("B09")),
    ("nodata", "s2", "no pixel has data", lambda bands: {name: band * 0 for name, band in bands.items()}),
    ("constant", "s2", "the chip is black", every(lambda band: band * 0 + 1)),
    ("constant", "s2", "a band is of one value", only("B05", lambda band: band * 0 + 777)),
    ("constant", "s1", "a band is of one value", every(lambda band: band * 0 - 1200)),
    ("constant", "s1", "blocks are of one value", every(box(0))),
    ("constant", "s2", "blocks are of one value", only("B8A", box(3000))),
    ("constant", "s2", "rows or columns are dead or repeated", only("B03", dead_line)),
    ("constant", "s1", "rows or columns are dead or repeated", only("vh", dead_line)),
    ("constant", "s2", "rows or columns are dead or repeated", every(padded)),
    ("constant", "s1", "rows or columns are dead or repeated", every(padded)),
    ("saturation", "s2", "many pixels share", only("B08", lambda band: np.minimum(band, np.percentile(band, 95)))),
    ("saturation", "s1", "many pixels share", every(lambda band: np.clip(band, -2000, -800))),
    ("s2-offset-twice", "s2", "an offset was removed twice", every(lambda band: band - 1000)),
    ("s1-range", "s1", "is outside what gamma0 can be", every(lambda band: band + 3000)),
    ("s1-range", "s1", "is outside what gamma0 can be", every(lambda band: band - 3000)),
    ("s1-polarisation", "s1", "vh is stronger than vv", exchanged("vv", "vh")),
    ("s1-scale", "s1", "no pixel is negative", in_db(lambda power: power)),
    ("s1-scale", "s1", "no pixel is negative", in_db(np.sqrt)),
    ("s1-scale", "s1", "squeezed", in_db(np.log)),
    ("s1-scale", "s1", "stretched", in_db(lambda power: 20 * np.log10(power))),
]


@pytest.mark.parametrize(("check", "sensor", "what", "spoil"), EVERYWHERE)
def test_a_chip_that_has_it_is_named_and_no_other(
    chips: Chips, check: str, sensor: str, what: str, spoil: Spoil
) -> None:
    ids = some(chips, sensor)
    flags = judged(check, chips.evidence({id: spoiled(spoil) for id in ids}))
    assert {flag.subject for flag in flags if what in flag.problem} == set(ids)
    assert {flag.subject for flag in flags} == set(ids)


def test_amplitude_taken_for_power_is_told_where_texture_is_speckle(chips: Chips) -> None:
    rough = {id for id in chips.ids("s1") if chips.measured[id]["vv_speckle_db"] > 2.8}
    ids = [id for id in some(chips, "s1") if id not in rough]
    assert len(ids) >= 4
    halved = in_db(lambda power: 5 * np.log10(power))
    said = found(chips, "s1-scale", {id: spoiled(halved) for id in ids})
    assert said == dict.fromkeys(ids, "squeezed: dB of amplitude or a natural logarithm, not dB of power")


def is_green_and_bare(chips: Chips) -> list[str]:
    """Optical samples whose plants and soil can tell the order of bands."""
    told = ("green_B02_dn", "soil_red_blue")
    return [id for id in chips.ids("s2") if all(chips.measured[id].get(name) is not None for name in told)]


@pytest.mark.parametrize(
    "spoil",
    [
        exchanged("B02", "B04"),
        exchanged("B04", "B08"),
        exchanged("B11", "B12"),
        exchanged("B08", "B11"),
        exchanged("B02", "B03"),
        exchanged("B05", "B06"),
        renamed(B8A="B11", B11="B12", B12="B8A"),
    ],
    ids=["rgb", "red-nir", "swir", "nir-swir", "blue-green", "edge", "b8a-last"],
)
def test_exchanged_bands_are_told_by_plants_and_soil(chips: Chips, spoil: Spoil) -> None:
    ids = is_green_and_bare(chips)[::3][:8]
    assert len(ids) >= 5
    said = found(chips, "band-order", {id: spoiled(spoil) for id in ids})
    assert said.keys() <= {*ids, *items_of(chips, ids)}
    assert len(said.keys() & set(ids)) >= 0.8 * len(ids)


def test_an_acquisition_with_exchanged_bands_is_named_beside_its_samples(chips: Chips) -> None:
    item, _ = Counter(record["items"][0] for record, _ in chips.samples if record["sensor"] == "s2").most_common(1)[0]
    ids = chips.ids("s2", lambda record, bands: record["items"][0] == item)
    said = judged("band-order", chips.evidence({id: spoiled(exchanged("B11", "B12")) for id in ids}))
    assert {flag.problem for flag in said} == {"plants are brighter in B12 than in B11"}
    assert len(said) >= 3 and {flag.subject for flag in said} <= set(ids)
    assert all(f"samples of {item} that can tell" in flag.detail for flag in said)


def test_the_offset_is_told_by_the_darkest_pixels(chips: Chips) -> None:
    ids = chips.ids("s2", lambda record, bands: record["baseline"] == "04.00")
    said = judged("s2-offset", chips.evidence({id: spoiled(every(lambda band: band + 1000)) for id in ids}))
    often = [item for item, count in Counter(items_of(chips, ids)).items() if count >= 3]
    assert len(often) >= 2 and {flag.subject for flag in said} <= set(ids)
    assert all(any(item in flag.detail for flag in said) for item in often)


@pytest.mark.parametrize("level", [3000, 9000], ids=["desert", "snow"])
def test_bright_ground_does_not_look_like_the_offset(chips: Chips, level: int) -> None:
    """Desert and snow of realistic spectra, darkest at 1100 and 1000: no plant, no water, nothing dark."""
    desert = {"B01": 1300, "B02": 1600, "B03": 2300, "B04": 3000, "B05": 3300, "B11": 4400, "B12": 4000}
    snow = {"B11": 1150, "B12": 1050, "B09": 7000}
    spectrum = desert if level == 3000 else snow
    usual = 3500 if level == 3000 else 8500
    draw = np.random.default_rng(0)

    def bright(bands: Bands) -> Bands:
        return {
            name: np.rint(spectrum.get(name, usual) * (1 + 0.03 * draw.standard_normal(band.shape))).astype("<u2")
            for name, band in bands.items()
        }

    assert found(chips, "s2-offset", {id: spoiled(bright) for id in some(chips, "s2")}) == {}


def test_clouds_beyond_the_recipe_and_clouds_nobody_saw(chips: Chips) -> None:
    def veiled(bands: Bands) -> Bands:
        white = {"B01": 5700, "B11": 4300, "B12": 3300}
        return {
            name: np.where(np.arange(len(band))[:, None] < 0.6 * len(band), white.get(name, 5800) + band // 50, band)
            for name, band in bands.items()
        }

    over, unseen = some(chips, "s2")[0], some(chips, "s2")[1]
    clear = {"cloud_pct": 0.0, "shadow_pct": 0.0}
    said = found(
        chips,
        "clouds",
        {
            over: changed(cloud_pct=60.0, shadow_pct=3.0),
            unseen: lambda record, bands: ({**record, **clear}, veiled(bands)),
        },
    )
    assert said == {
        over: "more cloud and shadow than the recipe allows",
        unseen: "looks cloudy, but the mask says clear",
    }


def test_no_mask_is_no_clear_sky(chips: Chips) -> None:
    with pytest.raises(NotApplicable, match="mask of clouds"):
        judged("clouds", chips.evidence({id: changed(cloud_pct=None, shadow_pct=None) for id in chips.ids("s2")}))


def test_a_corpus_without_radar_or_unread_has_nothing_to_judge(chips: Chips) -> None:
    evidence = chips.evidence()
    unread = type(evidence)(evidence.known, None, evidence.samples.slice(0, 0), {}, {}, True)
    for check in JUDGES:
        with pytest.raises(NotApplicable):
            judged(check, unread)


def test_water_clipped_at_one_and_small_patches_are_no_defects(chips: Chips) -> None:
    """Numbers below 0 are clipped to 1: calm water is that in the infrared, everywhere."""
    infrared = ("B08", "B8A", "B09", "B11", "B12")
    clip: Spoil = lambda bands: {name: band * 0 + 1 if name in infrared else band for name, band in bands.items()}  # noqa: E731
    assert found(chips, "constant", {id: spoiled(clip) for id in some(chips, "s2")}) == {}
    record, bands = next((record, bands) for record, bands in chips.samples if record["sensor"] == "s2")
    small = {name: band[: len(band) // 10, : len(band) // 10] for name, band in bands.items()}
    measures = measure_pixels("s2", small, record)
    assert measures["constant_bands"] == 0 and measures["print"] is None


def test_measures_are_of_the_declared_columns(chips: Chips) -> None:
    told = {name for measures in chips.measured.values() for name in measures}
    assert told == set(MEASURES.names) - {"shift_y_px", "shift_x_px", "shift_strength"}


def test_shares_of_water_and_plants_follow_from_the_pixels(chips: Chips) -> None:
    record, bands = next((record, bands) for record, bands in chips.samples if record["sensor"] == "s2")
    green, red, near = (bands[name].astype(float) for name in ("B03", "B04", "B08"))
    measures = measure_pixels("s2", bands, record)
    assert measures["water_pct"] == pytest.approx(100 * ((green - near) / (green + near) > 0).mean(), abs=0.01)
    assert measures["green_pct"] == pytest.approx(100 * ((near - red) / (near + red) > 0.5).mean(), abs=0.01)
    holed = measure_pixels("s2", hole(bands), record)
    size = int(len(green) * 0.3)
    rest = np.ones(green.shape, dtype=bool)
    rest[:size, :size] = False
    assert holed["ndvi_mean"] == pytest.approx(((near - red) / (near + red))[rest].mean(), abs=1e-4)


def test_water_is_dark_and_smooth_to_radar(chips: Chips) -> None:
    record, bands = next((record, bands) for record, bands in chips.samples if record["sensor"] == "s1")
    draw = np.random.default_rng(0)
    speckle = 10 * np.log10(draw.gamma(4.4, 1 / 4.4, (2, *bands["vv"].shape)))
    for level, share in ((-20.0, 100.0), (-10.0, 0.0)):
        water = {name: np.rint(100 * (level - drop + noise)).astype("<i2") for (name, drop), noise in
                 zip((("vv", 0), ("vh", 7)), speckle, strict=True)}  # fmt: skip
        measures = measure_pixels("s1", water, record)
        assert measures["smooth_pct"] == pytest.approx(share, abs=2)
        assert measures["vv_speckle_db"] == pytest.approx(2.1, abs=0.2)
    assert (bands["vv"] != S1_NODATA).all()


# -- pairs -------------------------------------------------------------------------------------------------------------


def largest(chips: Chips, sensor: str = "s2") -> tuple[str, list[str]]:
    """The acquisition with most samples that have a pair, and those."""
    paired: Callable[[Record, Bands], bool] = lambda record, bands: record["pair"] is not None  # noqa: E731
    of = {record["id"]: record["items"][0] for record, _ in chips.samples}
    item, _ = Counter(of[id] for id in chips.ids(sensor, paired)).most_common(1)[0]
    return item, [id for id in chips.ids(sensor, paired) if of[id] == item]


@pytest.mark.parametrize(("rows", "cols"), [(5, 0), (-4, 3), (0, 10)])
def test_a_shifted_acquisition_is_told_with_its_shift(chips: Chips, rows: int, cols: int) -> None:
    item, ids = largest(chips)
    flags = judged("registration", chips.evidence({id: spoiled(moved(-rows, -cols)) for id in ids}))
    assert [(flag.problem, flag.subject) for flag in flags] == [
        ("radar and optical images do not lie on each other", item)
    ]
    south, east = (float(word) for word in flags[0].detail.split() if word[0] in "+-")
    assert (south, east) == pytest.approx((rows, cols), abs=0.5)


def test_an_acquisition_upside_down_shows_another_place(chips: Chips) -> None:
    whole = dict.fromkeys(chips.ids("s2"), changed(items=["upright"]))
    assert found(chips, "registration", whole) == {}
    some_of_them = dict.fromkeys(chips.ids("s2")[::2], upside_down)
    said = found(chips, "registration", whole | some_of_them)
    assert said == {"fallen": "radar and optical images do not show the same place"}


def upside_down(record: Record, bands: Bands) -> tuple[Record, Bands]:
    return {**record, "items": ["fallen"]}, {name: band[::-1] for name, band in bands.items()}


def test_a_single_shifted_chip_is_told_where_its_peak_is_clear(chips: Chips) -> None:
    strengths = {id: shift for id, shift in strength(chips).items() if shift > 11}
    ids = sorted(strengths)[:4]
    assert ids, "no chip of the world has a clear peak"
    said = found(chips, "registration-single", {id: spoiled(moved(5, 5)) for id in ids})
    assert said.keys() == set(ids)


def strength(chips: Chips) -> dict[str, float]:
    table = chips.evidence().of("s2")
    rows = zip(table["id"].to_pylist(), table["shift_strength"].to_pylist(), strict=True)
    return {id: value for id, value in rows if value is not None}


# -- copies ------------------------------------------------------------------------------------------------------------


def copies(chips: Chips, sensor: str, spoil: Spoil, *, across: bool) -> tuple[set[str], dict[str, Change]]:
    """Samples of train whose pixels stand, a little changed, under ids of another place; and the changes."""
    splits = {record["id"]: record["split"] for record, _ in chips.samples}
    cells = {record["id"]: record["cell"] for record, _ in chips.samples}
    pixels = {record["id"]: bands for record, bands in chips.samples}
    train = [id for id in chips.ids(sensor) if splits[id] == "train"]
    others = [id for id in chips.ids(sensor) if splits[id] != "train"] if across else train[len(train) // 2 :]
    pairs = [(one, other) for one, other in zip(train[:4], others[:4], strict=True) if cells[one] != cells[other]]

    def under(one: str) -> Change:
        return lambda record, bands: ({**record, "sha256": f"copy of {one}"}, spoil(pixels[one]))

    return {id for pair in pairs for id in pair}, {other: under(one) for one, other in pairs}


@pytest.mark.parametrize("across", [True, False], ids=["across", "within"])
@pytest.mark.parametrize(
    ("sensor", "spoil"),
    [("s2", noisy(1, share=0.02)), ("s2", every(lambda band: 1.05 * band + 20)), ("s1", noisy(2, level=30))],
    ids=["noise", "gain", "speckle"],
)
def test_near_copies_are_found_across_and_within_splits(chips: Chips, sensor: str, spoil: Spoil, across: bool) -> None:
    ids, changes = copies(chips, sensor, spoil, across=across)
    evidence = chips.evidence(changes)
    said = judged("near-duplicates", evidence)
    assert len(ids) >= 6 and {flag.subject for flag in said} == ids
    where = "another" if across else "its own"
    assert {flag.problem for flag in said} == {f"an image is a near copy of one of {where} split"}


def test_water_and_desert_without_features_are_no_copies(chips: Chips) -> None:
    """Hundreds of chips under the same slope of glint, alike but for noise."""
    draw, sample = np.random.default_rng(0), next(one for one in chips.samples if one[0]["sensor"] == "s2")
    slope = np.linspace(0, 40, 120)[:, None] + np.linspace(0, 20, 120)

    def sea(number: int) -> tuple[Record, Bands]:
        bands = {name: (slope[:: 120 // len(band), :: 120 // len(band)] + 300 + 4 * draw.standard_normal(band.shape))
                 for name, band in sample[1].items()}  # fmt: skip
        facts = {
            "id": f"sea{number}",
            "cell": f"sea{number}",
            "split": ("train", "test")[number % 2],
            "sha256": f"{number}",
        }
        return {**sample[0], **facts, "pair": None}, {name: np.rint(band).astype("<u2") for name, band in bands.items()}

    evidence = chips.evidence(more=tuple(sea(number) for number in range(300)))
    assert judged("near-duplicates", evidence) == []
