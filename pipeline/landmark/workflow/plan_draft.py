"""Results of planning, before they are files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from landmark.core.ranges.answers import Validators
from landmark.corpus.lock import ClassBalancingSummary
from landmark.corpus.manifest import SplitProof
from landmark.domain.acquisition import Acquisition, LabelRaster
from landmark.domain.event import Event
from landmark.domain.impact import EventCombination
from landmark.domain.taxonomy import LabelEdition
from landmark.workflow.context import BuildContext


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """Results of the planner; `write_plan` turns it into files and a `Plan`.

    Attributes:
        context: The recipe and the files it references.
        samples: PLAN rows.
        label_counts: Label counts of the planned cells.
        cloud_stats: CLOUD_STATS rows; names may be dictionaries.
        drops: LEDGER rows of the items and cells left out while planning.
        acquisitions: By id, at least the planned ones.
        label_rasters: The label maps whose pixels were counted.
        editions: Label editions by their number in the label counts.
        events: Events that overlap the recipe's region and time.
        event_combinations: By their number in the label counts.
        considered: Candidate cells, those left out by reason, and those planned.
        split_proof: Separation of the splits.
        class_balancing: Effect of class balancing; None in a recipe without it.
        findings: Warnings for the manifest.
        versions: Href → version of each remote raster that was read.
    """

    context: BuildContext
    samples: pa.Table
    label_counts: pa.Table
    cloud_stats: pa.Table
    drops: pa.Table
    acquisitions: Mapping[str, Acquisition]
    label_rasters: Sequence[LabelRaster]
    editions: Sequence[LabelEdition]
    events: Sequence[Event]
    event_combinations: Sequence[EventCombination]
    considered: dict[str, int]
    split_proof: SplitProof
    class_balancing: ClassBalancingSummary | None
    findings: list[str]
    versions: Mapping[str, Validators]
