"""Verdict on a corpus from the leads of a model over its rivals, its nulls, and near-duplicates: a pure function.

Refused: near-duplicates across splits; or a sensor of 20 blocks or more whose lead over a required rival has its upper
end below the margin, which does not beat the null, or whose classes do not beat theirs even without Holm's correction.
Undecided: fewer than 20 blocks, a lead whose interval holds the margin, or classes that beat their null only without
the correction, or that lie in a single block, whose null nothing beats. Passed: all else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from landmark.core.plural import plural
from landmark.train.validation.intervals import Interval, adjust_p

State = Literal["passed", "refused", "undecided"]

# A model that learned the classes from pixels leads all of them; the others are told beside the verdict.
REQUIRED_RIVALS = ("prior", "sensor", "date", "nearest")
MIN_BLOCKS = 20
MIN_POSITIVES = 10
_LEVEL = 0.05
_CLASS_SHARE = 2 / 3
# More than this many times the blocks or seeds would tell nobody.
_MAX_FACTOR = 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one sensor.

    Attributes:
        sensor: Name.
        n_blocks: Number of evaluated blocks.
        n_seeds: Number of trainings.
        leads: Rival → lead over it, in mAP.
        null_p: P-value of the block null.
        class_p: Class with `MIN_POSITIVES` positives or more → p-value of its own null.
        single_block: Those of them whose positives lie in one block, which one permutation in `n_blocks` leaves there.
    """

    sensor: str
    n_blocks: int
    n_seeds: int
    leads: Mapping[str, Interval]
    null_p: float
    class_p: Mapping[str, float]
    single_block: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reason:
    """A requirement that is not met.

    Attributes:
        state: What it makes of the verdict.
        requirement: `near-duplicates`, `blocks`, `lead`, `null` or `classes`.
        sensor: Name of the sensor.
        message: What is wrong, and what would help.
        rival: Of a lead.
        blocks: At least this many blocks would tell; None where unknown, or no number would.
        seeds: At least this many seeds would tell.
    """

    state: Literal["refused", "undecided"]
    requirement: str
    sensor: str
    message: str
    rival: str | None = None
    blocks: int | None = None
    seeds: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """State of a corpus, and why it did not pass."""

    state: State
    reasons: list[Reason] = field(default_factory=list)


def decide(evidence: Sequence[Evidence], near_duplicates: Mapping[str, int], margin: float) -> Verdict:
    """Decide whether a corpus passes.

    Every required lead has to hold, so that several of them need no correction for their number.

    Args:
        evidence: Of each sensor.
        near_duplicates: Sensor → number of pairs of near-duplicates across splits.
        margin: Minimum lead in mAP.
    """
    reasons = [reason for sensor, pairs in near_duplicates.items() for reason in _judge_duplicates(sensor, pairs)]
    reasons += [reason for own in evidence for reason in _judge_sensor(own, margin)]
    states = {reason.state for reason in reasons}
    return Verdict("refused" if "refused" in states else "undecided" if states else "passed", reasons)


def _judge_duplicates(sensor: str, pairs: int) -> Iterator[Reason]:
    if pairs:
        message = f"{plural(pairs, 'pair')} of near-duplicates across splits; `--json` lists them: remove them"
        yield Reason("refused", "near-duplicates", sensor, message)


def _judge_sensor(own: Evidence, margin: float) -> Iterator[Reason]:
    if own.n_blocks < MIN_BLOCKS:
        message = f"{plural(own.n_blocks, 'block')} evaluated, {MIN_BLOCKS} are the minimum: enlarge the split"
        yield Reason("undecided", "blocks", own.sensor, message, blocks=MIN_BLOCKS)
        return
    for rival in REQUIRED_RIVALS:
        yield from _judge_lead(own, rival, margin)
    if own.null_p > _LEVEL:
        message = f"images of other blocks are ranked as well by chance (p = {own.null_p:.3f}, at most {_LEVEL:g})"
        yield Reason("refused", "null", own.sensor, message)
    yield from _judge_classes(own)


def _judge_lead(own: Evidence, rival: str, margin: float) -> Iterator[Reason]:
    lead = own.leads[rival]
    if lead.low > margin:
        return
    if lead.high < margin:
        message = f"lead over {rival} {format_interval(lead)} is below the margin, {margin:g}"
        yield Reason("refused", "lead", own.sensor, message, rival)
        return
    blocks = needed(lead, abs(lead.mean - margin), own.n_blocks, lead.seed_error)
    seeds = needed(lead, abs(lead.mean - margin), own.n_seeds, lead.block_error) if own.n_seeds > 1 else None
    counts = [
        f"{number} {name} (now {now})"
        for number, name, now in ((blocks, "blocks", own.n_blocks), (seeds, "seeds", own.n_seeds))
        if number is not None
    ]
    remedy = f"at least {' or '.join(counts)} would tell" if counts else "the lead is too near the margin to tell"
    message = f"lead over {rival} {format_interval(lead)} may be above or below the margin, {margin:g}; {remedy}"
    yield Reason("undecided", "lead", own.sensor, message, rival, blocks, seeds)


def needed(lead: Interval, distance: float, number: int, fixed_error: float) -> int | None:
    """Number of blocks or seeds whose interval would have this half-width; None where no practicable number has.

    The variance but for that of `fixed_error` is inversely proportional to the number.

    Args:
        lead: Interval of now.
        distance: Half-width to reach, less than that of now.
        number: Blocks or seeds of now.
        fixed_error: Standard error that more of them leave.
    """
    half_width = (lead.high - lead.low) / 2
    if not math.isfinite(half_width) or lead.standard_error == 0:
        return None
    available = (distance * lead.standard_error / half_width) ** 2 - fixed_error**2
    variable = lead.standard_error**2 - fixed_error**2
    if available <= 0 or variable > available * _MAX_FACTOR:
        return None
    return max(number + 1, math.ceil(number * variable / available - 1e-6))


def _judge_classes(own: Evidence) -> Iterator[Reason]:
    if not own.class_p:
        message = f"no class has {MIN_POSITIVES} positives: enlarge the split"
        yield Reason("undecided", "classes", own.sensor, message)
        return
    required = math.ceil(_CLASS_SHARE * len(own.class_p))
    failed = find_unbeaten(own.class_p)
    n_beaten = len(own.class_p) - len(failed)
    if n_beaten >= required:
        return
    # No ranking, however good, clearly beats the null of a class of a single block.
    n_possible = sum(p <= _LEVEL or name in own.single_block for name, p in own.class_p.items())
    message = (
        f"{n_beaten} of {plural(len(own.class_p), 'class', 'classes')} beat their own null,"
        f" {required} are the minimum; not {', '.join(failed)}: see their words, or enlarge the split"
    )
    yield Reason("undecided" if n_possible >= required else "refused", "classes", own.sensor, message)


def find_unbeaten(class_p: Mapping[str, float]) -> list[str]:
    """Classes that do not beat their own null, from their p-values, with Holm's correction."""
    adjusted = adjust_p(list(class_p.values()))
    return [name for name, p in zip(class_p, adjusted, strict=True) if p > _LEVEL]


def format_interval(interval: Interval) -> str:
    """Format an interval as `+0.123 [+0.100, +0.146]`."""
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def compare_lead(lead: Interval) -> str:
    """Whether the interval of a lead tells who is ahead."""
    if lead.low > 0:
        return "CLOSP leads"
    return "CLOSP trails" if lead.high < 0 else "no clear difference"
