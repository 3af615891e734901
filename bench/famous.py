"""Defects that users of published corpora and archives reported: kinds that no other module plants, and all sources."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.acquisitions import change_images
from bench.damage import edit_manifest
from bench.draft import Bands, Draft, Planted, Row
from bench.facts import edit_rows
from bench.optical import edit_samples
from bench.registry import planting
from landmark.config.profiles import load_sensor
from landmark.corpus.stats import mean_std
from landmark.quality.check_input import Moments

_pixels = partial(planting, "pixels")


class Famous(NamedTuple):
    """A defect of a published corpus.

    Attributes:
        corpus: Corpus, archive or library that had it.
        report: What users reported.
        source: Address of the report.
        kind: The kind that replays it.
    """

    corpus: str
    report: str
    source: str
    kind: str


@planting("integrity", "acquisition", "times of radar images are those of other images of the cell")
def radar_dates_exchanged(draft: Draft) -> Planted:
    def other_images(row: Row) -> list[Row]:
        rows = draft.rows(sensor="s1", cell=row["cell"])
        return [image for image in rows if image["datetime"].date() != row["datetime"].date()]

    return change_images(
        draft,
        "radar-dates-exchanged",
        lambda row: {"datetime": other_images(row)[0]["datetime"]},
        where=lambda row: row["sensor"] == "s1" and bool(other_images(row)),
    )


@_pixels("constant", "a part of radar chips is filled with zero power")
def radar_partly_zero(draft: Draft) -> Planted:
    def change(bands: Bands) -> Bands:
        inside = np.add.outer(np.arange(len(bands["vv"])), 2 * np.arange(len(bands["vv"]))) < len(bands["vv"])
        return {name: np.where(inside, -32767, band) for name, band in bands.items()}

    return edit_samples(draft, "radar-partly-zero", change, sensor="s1")


@_pixels("registration", "radar images after a date are shifted by two pixels to the south", wide=True)
def radar_moved_after_a_date(draft: Draft) -> Planted:
    rows = sorted(draft.rows(sensor="s1"), key=lambda row: (row["datetime"], row["id"]))
    moved = rows[len(rows) * 2 // 3 :]
    edits = {
        row["id"]: {"bands": {name: np.roll(band, 2, axis=0) for name, band in draft.bands(row["id"]).items()}}
        for row in moved
    }
    # A finding may name the optical images that they are compared with.
    pairs = {draft.facts[row["pair"]]["items"][0] for row in moved if row["pair"]}
    return Planted(((*{row["items"][0] for row in moved}, *pairs, *edits),), 1, edits)


@_pixels("clouds", "snow covers chips whose share of snow is 0")
def snow_unmarked(draft: Draft) -> Planted:
    level = {"B11": 900, "B12": 700, "B09": 7000}

    def change(bands: Bands) -> Bands:
        # Bright in visible and near infrared, dark in short-wave infrared; relief remains.
        return {
            name: np.where(band == 0, 0, np.rint(0.1 * band + level.get(name, 8000))) for name, band in bands.items()
        }

    return edit_samples(draft, "snow-unmarked", change, snow_pct=0.0)


@planting("words", "vocabulary", "labels are written as Dynamic World writes them")
def labels_capitalised(draft: Draft) -> Planted:
    def title(key: str) -> str:
        return key.replace("_", " ").title()

    def edit(row: Row) -> Row:
        fractions = {title(key): share for key, share in row["fractions"].items()}
        return {"labels": [title(key) for key in row["labels"]], "fractions": fractions}

    return edit_rows(draft, "labels-capitalised", edit, where=lambda row: bool(row["labels"]))


@planting("integrity", "statistics", "means and standard deviations are those of a random half of the samples")
def statistics_of_a_subset(draft: Draft) -> Planted:
    rows = draft.pick("statistics-of-a-subset", draft.rows(sensor="s2"), pct=50)
    sums: dict[str, Moments] = {}
    sensor = load_sensor("s2")
    for row in rows:
        for band, values in draft.bands(row["id"]).items():
            sums[band] = sums.get(band, Moments()) + Moments.of_bands(values[None], sensor.nodata)[0]

    def change(document: dict[str, Any]) -> None:
        document["statistics"]["s2"] = {band: mean_std(*sums[band], sensor.scale) for band in sums}

    def act(corpus: Path) -> None:
        edit_manifest(corpus, change)

    return Planted(tuple((f"s2 {band}",) for band in sums), 14, after=act)


_HUB, _ARXIV = "https://github.com", "https://arxiv.org/abs"
_AFRICA = "digitalearthafrica/deafrica-sandbox-notebooks"
_PC = f"{_HUB}/microsoft/PlanetaryComputer/issues"
_SSL4EO = f"{_HUB}/zhu-xlab/SSL4EO-S12/issues"
_TORCHGEO = f"{_HUB}/torchgeo/torchgeo/issues"
_EARTH_SEARCH = f"{_HUB}/Element84/earth-search/issues"
_MMEARTH = f"{_HUB}/vishalned/MMEarth-data/blob/main/utils/normalization.py"
_TERRAMESH = "https://huggingface.co/datasets/ibm-esa-geospatial/TerraMesh"
_BIGEARTHNET = "https://zenodo.org/records/12687186"

FAMOUS = tuple(
    Famous(*(field.strip() for field in line.split("|")))
    for line in f"""
Major TOM Core | 728 rows stand twice | {_HUB}/ESA-PhiLab/Major-TOM/issues/17 | duplicate-id
Major TOM Core in TerraMesh | patches mostly without data had to be discarded | {_ARXIV}/2504.11172 | zero-filled
Digital Earth Africa, Sentinel-2 | missing pixels have the value 1 | {_HUB}/{_AFRICA}/issues/403 | black
SSL4EO-S12 | images are up to several pixels from maps | {_SSL4EO}/24 | optical-shifted
SSL4EO-S12 | Sentinel-1 and Sentinel-2 are shifted by 2 to 3 pixels | {_SSL4EO}/22 | radar-chips-shifted
SSL4EO-S12 | places lack one of the sensors | {_SSL4EO}/25 | lost-in-silence
TerraMesh | times of Sentinel-1 were those of other images | {_TERRAMESH} | radar-dates-exchanged
Planetary Computer, Sentinel-1 RTC | parts of scenes are filled with 0 | {_PC}/493 | radar-partly-zero
Planetary Computer, Sentinel-1 RTC | zero-filled borders are not nodata | {_PC}/307 | radar-zero-filled
Planetary Computer, Sentinel-1 RTC | `proj:transform` counts rows northwards | {_PC}/417 | transform-south-up
Planetary Computer, Sentinel-1 RTC | a shift of 20 m from a date on | {_PC}/404 | radar-moved-after-a-date
Planetary Computer, Sentinel-1 RTC | images of two platforms are offset | {_PC}/492 | platform-moved
Planetary Computer, Sentinel-2 | values since January 2022 are 1000 higher | {_PC}/134 | offset-left
Earth Search, Sentinel-2 | items state wrongly whether the offset is removed | {_EARTH_SEARCH}/66 | double-offset
SSL4EO-L in torchgeo | images and masks are up to 10 pixels apart | {_TORCHGEO}/2345 | optical-shifted
PASTIS in torchgeo | statistics are of another unit: 255, not 10000 | {_TORCHGEO}/4061 | statistics-in-numbers
CrisisLandMark | labels of several sources, in several spellings | {_ARXIV}/2507.10403 | labels-capitalised
CrisisLandMark | Sentinel-1 of several sources, in several units | {_ARXIV}/2507.10403 | linear-power
MMEarth | statistics are of a random subset, drawn with repetition | {_MMEARTH} | statistics-of-a-subset
BigEarthNet | patches with cloud and cloud shadow | {_BIGEARTHNET} | cloud-unmasked
BigEarthNet | patches with seasonal snow | {_BIGEARTHNET} | snow-unmarked
""".strip().splitlines()
)
