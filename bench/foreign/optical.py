"""Single optical chips: wrong bands, wrong scales, and what is stored beside the surface."""

import numpy as np
from scipy import ndimage

from bench.draft import Bands, Draft, Planted, Row
from bench.foreign.rows import Array, by_cell, generator, independent, reflectance, repainted, unrounded
from bench.registry import Unsuited

TEN = ("B02", "B03", "B04", "B08")
TWENTY = ("B05", "B06", "B07", "B8A", "B11", "B12")
SIXTY = ("B01", "B09")


def chips(draft: Draft, salt: str, *, pct: float = 4) -> list[Row]:
    """Some optical samples."""
    return draft.pick(salt, draft.rows(sensor="s2"), pct=pct)


def _map(bands: Bands, change: object) -> Bands:
    assert callable(change)
    return {name: reflectance(change(band.astype(np.float64))) for name, band in bands.items()}


def block(values: Array, factor: int) -> Array:
    """Mean of blocks of pixels."""
    size = len(values) // factor
    mean: Array = values.astype(np.float64).reshape(size, factor, size, factor).mean(axis=(1, 3))
    return mean


@independent("pixels", "band-copies", "B05 stored as B06 as well")
def b05_for_b06(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "b06"), lambda bands: {"B06": bands["B05"]})


@independent("pixels", "band-order", "B11 and B12 exchanged")
def swir_exchanged(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "swir"), lambda bands: {"B11": bands["B12"], "B12": bands["B11"]})


@independent("pixels", "band-order", "red and blue exchanged: BGR written as RGB")
def red_and_blue_exchanged(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "bgr"), lambda bands: {"B02": bands["B04"], "B04": bands["B02"]})


@independent("pixels", "band-copies", "the red edge one band further: B05 B06 B07 hold B06 B07 B8A")
def red_edge_rolled(draft: Draft) -> Planted:
    return repainted(
        draft, chips(draft, "edge"), lambda bands: {"B05": bands["B06"], "B06": bands["B07"], "B07": bands["B8A"]}
    )


@independent("pixels", "band-copies", "B8A made from B08 by block means")
def b8a_from_b08(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "b8a"), lambda bands: {"B8A": reflectance(block(bands["B08"], 2))})


@independent("pixels", "band-copies", "60 m bands made from B02 and B8A by block means")
def sixty_metres_from_others(draft: Draft) -> Planted:
    return repainted(
        draft,
        chips(draft, "sixty"),
        lambda bands: {"B01": reflectance(block(bands["B02"], 6)), "B09": reflectance(block(bands["B8A"], 3))},
    )


@independent("pixels", "band-copies", "water vapour band B09 filled with the mean of the chip plus noise")
def b09_filled(draft: Draft) -> Planted:
    def filled(bands: Bands) -> Bands:
        noise = generator(bands["B09"]).normal(0, 30, bands["B09"].shape)
        return {"B09": reflectance(bands["B09"].mean() + noise)}

    return repainted(draft, chips(draft, "b09"), filled)


@independent("pixels", "band-copies", "B12 replaced by a regression on B11 where it was missing")
def b12_by_regression(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "b12"), lambda bands: {"B12": reflectance(0.62 * bands["B11"] + 40)})


@independent("pixels", "s2-offset", "the offset of 1000 left in the 20 m bands alone")
def offset_in_twenty_metres(draft: Draft) -> Planted:
    return repainted(
        draft, chips(draft, "offset-20"), lambda bands: {name: reflectance(bands[name] + 1000.0) for name in TWENTY}
    )


@independent("pixels", "s2-offset", "the offset of 1000 left in the 60 m bands alone")
def offset_in_sixty_metres(draft: Draft) -> Planted:
    return repainted(
        draft, chips(draft, "offset-60"), lambda bands: {name: reflectance(bands[name] + 1000.0) for name in SIXTY}
    )


@independent("pixels", "s2-offset-twice", "half of the offset removed once more: 500, clipped at 1")
def half_an_offset_more(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "offset-half"), lambda bands: _map(bands, lambda band: band - 500))


@independent("pixels", "revisits", "reflectance divided by 5000 and multiplied by 10000 on some chips: half as bright")
def half_as_bright(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "half"), lambda bands: _map(bands, lambda band: band * 0.5))


@independent("pixels", "revisits", "chips a tenth of their brightness")
def a_tenth_as_bright(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "tenth"), lambda bands: _map(bands, lambda band: band * 0.1))


@independent("pixels", "revisits", "top-of-atmosphere chips among surface reflectance")
def top_of_atmosphere(draft: Draft) -> Planted:
    path = {"B01": 1100, "B02": 700, "B03": 400, "B04": 220, "B05": 170, "B06": 140, "B07": 110}

    def hazy(bands: Bands) -> Bands:
        return {name: reflectance(0.92 * unrounded(band) + path.get(name, 40)) for name, band in bands.items()}

    return repainted(draft, chips(draft, "toa"), hazy)


@independent("pixels", "saturation", "reflectance clipped at 0.3 for display")
def clipped_for_display(draft: Draft) -> Planted:
    return repainted(draft, chips(draft, "display"), lambda bands: _map(bands, lambda band: np.minimum(band, 3000)))


@independent(
    "pixels", "revisits", "chips normalised to mean and deviation of the corpus and scaled back by other figures"
)
def normalised_and_scaled_back(draft: Draft) -> Planted:
    def rescaled(bands: Bands) -> Bands:
        return {
            name: reflectance((band - band.mean()) / max(band.std(), 1) * 700 + 1800)
            for name, band in ((name, band.astype(np.float64)) for name, band in bands.items())
        }

    return repainted(draft, chips(draft, "normalised"), rescaled)


@independent("pixels", "constant", "a corner without data filled by repeating the last line, valid share 100 %")
def corner_filled_with_last_line(draft: Draft) -> Planted:
    def filled(bands: Bands) -> Bands:
        for band in bands.values():
            edge = len(band) * 9 // 10
            band[edge:] = band[edge - 1]
        return bands

    return repainted(draft, chips(draft, "filled"), filled)


@independent("pixels", "constant", "a triangle without data filled with the mean of the band")
def triangle_filled_with_mean(draft: Draft) -> Planted:
    def filled(bands: Bands) -> Bands:
        for band in bands.values():
            row, column = np.indices(band.shape)
            band[row + column < 0.4 * len(band)] = round(float(band.mean()))
        return bands

    return repainted(draft, chips(draft, "triangle"), filled)


@independent("pixels", "", "chips of 112 pixels padded to 120 by reflection")
def padded_by_reflection(draft: Draft) -> Planted:
    def padded(bands: Bands) -> Bands:
        result = {}
        for name, band in bands.items():
            margin = max(1, len(band) // 30)
            inner = band[margin:-margin, margin:-margin]
            result[name] = np.pad(inner, margin, mode="symmetric")
        return result

    return repainted(draft, chips(draft, "padded"), padded)


def _blob(size: int, radius: float, bands: Bands) -> Array:
    """Smooth patch between 0 and 1 around a place in a square of unit size."""
    rng = generator(bands["B02"])
    centre = rng.uniform(0.3, 0.7, 2)
    row, column = (np.indices((size, size)) + 0.5) / size
    distance = np.hypot(row - centre[0], column - centre[1])
    rough = ndimage.gaussian_filter(rng.normal(0, 1, (12, 12)), 1.5)
    rough = ndimage.zoom(rough, size / 12, order=1, grid_mode=True, mode="nearest")[:size, :size]
    patch: Array = np.clip(1.5 - (distance + 0.2 * rough) / radius, 0, 1)
    return patch


@independent("pixels", "clouds", "clouds over a tenth of the chip that mask and cloud share do not know")
def unmasked_cloud(draft: Draft) -> Planted:
    def cloudy(bands: Bands) -> Bands:
        return {
            name: reflectance(band + _blob(len(band), 0.18, bands) * (5200 - band * 0.6))
            for name, band in bands.items()
        }

    clear = [row for row in draft.rows(sensor="s2") if row["cloud_pct"] < 0.5]
    return repainted(draft, draft.pick("cloud", clear, pct=4), cloudy)


@independent("pixels", "clouds", "thin cirrus over half of the chip called clear")
def unmasked_cirrus(draft: Draft) -> Planted:
    added = {"B01": 700, "B02": 620, "B03": 560, "B04": 520, "B08": 480, "B8A": 470, "B09": 300, "B11": 200, "B12": 140}

    def hazy(bands: Bands) -> Bands:
        return {
            name: reflectance(band + _blob(len(band), 0.4, bands) * added.get(name, 480))
            for name, band in bands.items()
        }

    clear = [row for row in draft.rows(sensor="s2") if row["cloud_pct"] < 0.5]
    return repainted(draft, draft.pick("haze", clear, pct=4), hazy)


@independent("pixels", "clouds", "the shadow of a cloud called clear")
def unmasked_shadow(draft: Draft) -> Planted:
    def dark(bands: Bands) -> Bands:
        return {name: reflectance(band * (1 - 0.6 * _blob(len(band), 0.2, bands))) for name, band in bands.items()}

    clear = [row for row in draft.rows(sensor="s2") if row["shadow_pct"] < 0.5]
    return repainted(draft, draft.pick("shadow", clear, pct=4), dark)


def _second_dates(draft: Draft, salt: str) -> tuple[list[Row], dict[str, Row]]:
    """Some optical samples whose cell has another date, and that date."""
    second_dates = {
        row["id"]: rows[number - 1]
        for rows in by_cell(draft, sensor="s2").values()
        if len(rows) > 1
        for number, row in enumerate(rows)
    }
    if not second_dates:
        raise Unsuited("one date per cell")
    return draft.pick(salt, [draft.facts[id] for id in second_dates], pct=5), second_dates


@independent("pixels", "seams", "half of the chip from another date: a seam of a mosaic")
def seam_of_two_dates(draft: Draft) -> Planted:
    rows, second_dates = _second_dates(draft, "seam")
    edits = {}
    for row in rows:
        bands, second = draft.bands(row["id"]), draft.bands(second_dates[row["id"]]["id"])
        for name, band in bands.items():
            band[:, len(band) * 11 // 20 :] = second[name][:, len(band) * 11 // 20 :]
        edits[row["id"]] = {"bands": bands}
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s2")), edits)


@independent("pixels", "", "mean of two dates, a composite sold as one")
def mean_of_two_dates(draft: Draft) -> Planted:
    rows, second_dates = _second_dates(draft, "composite")
    edits = {}
    for row in rows:
        bands, second = draft.bands(row["id"]), draft.bands(second_dates[row["id"]]["id"])
        edits[row["id"]] = {
            "bands": {name: reflectance((band.astype(np.float64) + second[name]) / 2) for name, band in bands.items()}
        }
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s2")), edits)


@independent("pixels", "", "60 m bands of another date")
def sixty_metres_of_another_date(draft: Draft) -> Planted:
    rows, second_dates = _second_dates(draft, "sixty-date")

    edits = {}
    for row in rows:
        second = draft.bands(second_dates[row["id"]]["id"])
        edits[row["id"]] = {"bands": draft.bands(row["id"]) | {name: second[name] for name in SIXTY}}
    return Planted(tuple((id,) for id in edits), len(draft.rows(sensor="s2")), edits)
