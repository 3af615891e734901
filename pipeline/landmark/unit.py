"""One unit of work: one acquisition and all samples cut from it, from pixels to a staging file. Runs in a worker."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import shapely

from landmark.base.errors import LandmarkError
from landmark.base.outcomes import Outcome
from landmark.base.projection import LONLAT, projected
from landmark.base.recipe import Recipe
from landmark.base.schemas import staging_schema
from landmark.base.taxonomy import Fractions, LabelVintage, Meaning
from landmark.imagery import Chip, Cut, cut
from landmark.narrate import Grammar, Scene, captions
from landmark.pack import write_staging

log = logging.getLogger(__name__)

_NO_LABELS = Fractions((), {}, {}, 0.0, {})


@dataclass(frozen=True, slots=True)
class Wording:
    """What a sample's words follow from.

    Attributes:
        vintages: Period → the edition of each label source that serves it.
        licences: Of imagery and labels, per sensor.
    """

    recipe: Recipe
    meaning: Meaning
    grammar: Grammar
    vintages: Mapping[str, tuple[LabelVintage, ...]]
    licences: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Unit:
    """One acquisition's rows of the plan, their cover, and where the outcome goes."""

    cut: Cut
    rows: pa.Table
    cover: pa.Table
    wording: Wording
    target: Path


@dataclass(frozen=True, slots=True)
class Tally:
    """How a unit went: samples written, and the others by reason."""

    written: int
    dropped: Counter[str]
    failed: Counter[str]

    @classmethod
    def zero(cls) -> "Tally":
        """Nothing yet."""
        return cls(0, Counter(), Counter())

    @property
    def all(self) -> int:
        """Samples of known fate."""
        return self.written + self.dropped.total() + self.failed.total()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.written + other.written, self.dropped + other.dropped, self.failed + other.failed)


def carry_out(unit: Unit) -> Tally:
    """Cut, describe and stage every sample of a unit; the staging file appears whole or not at all.

    An error nobody foresaw fails the samples of this unit, not the build; a full disk and a refusal end it.
    """
    schema = staging_schema(unit.cut.sensor, unit.cut.patch_px)
    try:
        return tally(write_staging(unit.target, _samples(unit), schema))
    except (OSError, LandmarkError):
        raise
    except Exception as error:
        log.exception("%s", unit.cut.acquisition.id)
        return give_up(unit, "unit_error", type(error).__name__)


def give_up(unit: Unit, reason: str, detail: str) -> Tally:
    """Stage a failure for every sample of a unit."""
    name, schema = unit.cut.acquisition.id, staging_schema(unit.cut.sensor, unit.cut.patch_px)
    rows = [Outcome(id, name, "imagery", reason, detail) for id in unit.cut.ids]
    return tally(write_staging(unit.target, rows, schema))


def tally(outcomes: list[Outcome | None]) -> Tally:
    """Count outcomes; None is a written sample."""
    lost = [outcome for outcome in outcomes if outcome is not None]
    dropped = Counter(outcome.reason for outcome in lost if outcome.final)
    failed = Counter(outcome.reason for outcome in lost if not outcome.final)
    return Tally(len(outcomes) - len(lost), dropped, failed)


def _samples(unit: Unit) -> Iterator[dict[str, Any] | Outcome]:
    facts = unit.wording.meaning.fold(unit.cover)
    planned = {row["id"]: row for row in unit.rows.to_pylist()}
    for result in cut(unit.cut):
        if isinstance(result, Outcome):
            yield result
        else:
            row = planned[result.id]
            yield _row(unit, result, row, facts.get((row["cell"], row["period"]), _NO_LABELS))


def _row(unit: Unit, chip: Chip, row: Mapping[str, Any], facts: Fractions) -> dict[str, Any]:
    one, wording, cell_m = unit.cut.acquisition, unit.wording, unit.wording.recipe.cell_m
    scene = Scene(chip.id, one.sensor, one.moment, row["lat"], facts.labels)
    return {
        **{
            name: row[name]
            for name in ("id", "sensor", "cell", "majortom", "split", "epsg", "lon", "lat", "pair", "pair_gap_s")
        },
        "datetime": one.moment,
        "transform": [unit.cut.resolution_m, 0.0, row["x"], 0.0, -unit.cut.resolution_m, row["y"]],
        "geometry": _outline(row["epsg"], row["x"], row["y"], cell_m),
        "platform": one.platform,
        "orbit_direction": one.orbit_direction,
        "relative_orbit": one.relative_orbit,
        "baseline": one.baseline,
        "product": unit.cut.imagery.product,
        "items": [item.id for item in one.items],
        "offset_rule": one.offset_rule,
        "valid_pct": chip.valid_pct,
        "cloud_pct": chip.cloud_pct,
        "shadow_pct": chip.shadow_pct,
        "snow_pct": chip.snow_pct,
        "labels": facts.labels,
        "fractions": list(facts.fractions.items()),
        "label_valid_pct": facts.label_valid_pct,
        "finer": list(facts.finer.items()),
        "sources": [_source(vintage, one.moment, facts) for vintage in wording.vintages[row["period"]]],
        "events": [],
        "captions": captions(
            scene,
            wording.grammar,
            taxonomy=wording.meaning.taxonomy,
            styles=wording.recipe.captions,
            seed=wording.recipe.sampling.seed,
        ),
        "licences": wording.licences[one.sensor],
        "sha256": chip.sha256,
        **{column: group.tobytes() for column, group in chip.groups.items()},
    }


def _source(vintage: LabelVintage, moment: Any, facts: Fractions) -> dict[str, Any]:
    return {
        "name": vintage.name,
        "version": vintage.version,
        "year": vintage.start.year,
        "gap_days": vintage.gap_days(moment),
        "agreement": facts.agreement.get(vintage.name),
    }


def _outline(epsg: int, x: float, y: float, cell_m: float) -> bytes:
    """The cell's square as WKB in EPSG:4326."""
    square = shapely.box(x, y - cell_m, x + cell_m, y)
    return bytes(shapely.to_wkb(projected(square, epsg, LONLAT)))
