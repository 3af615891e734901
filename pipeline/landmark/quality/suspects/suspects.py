"""Entry point of `landmark check --suspects`: a second pass over the pixels, for labels that they contradict."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import numpy as np

from landmark.config.recipe import Splits
from landmark.core.errors import GenerationReplaced, InvalidCorpus
from landmark.core.hashing import digest
from landmark.core.progress import Progress, silent
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.corpus.open_corpus import open_corpus
from landmark.corpus.reader import Corpus
from landmark.labels.label_rules import load_event_types
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import CheckProfile, Limits
from landmark.quality.findings import CheckResult, Flag, NotApplicable, Report, group_flags
from landmark.quality.suspects.class_ranking import calibrate, rank_classes
from landmark.quality.suspects.event_change import Change, measure_changes
from landmark.quality.suspects.label_noise import auroc, estimate_rate, log_odds, score_mistakes
from landmark.quality.suspects.out_of_fold import F8, LabelledSamples, predict_roots, read_labelled
from landmark.quality.suspects.suspect_report import EventSuspect, LabelNoise, LabelSuspect, Suspects

NOISE, LABELS, EVENTS = "label-noise", "label-suspects", "event-change"
_SHOWN = 100
_MIN_EXPECTED = 0.5


def find_suspects(root: Path, profile: CheckProfile, progress: Progress = silent) -> Suspects:
    """Rank samples, classes and events of a sealed corpus by how far the pixels contradict the labels.

    Reads all pixels, whatever share of them the checks measure. Deterministic.

    Args:
        root: The corpus folder.
        profile: Limits of the checks of suspects; those that are off are left out.
        progress: Receives the samples and cells done.

    Raises:
        GenerationReplaced: the corpus was recaptioned meanwhile.
    """
    suspects, limits = Suspects(), {name: profile.checks[name].limits for name in profile.active}
    try:
        corpus = open_corpus(root)
        if NOISE in limits or LABELS in limits:
            suspects = rank_labels(read_labelled(corpus, _block_m(corpus), progress), profile.checks[NOISE].limits)
        if EVENTS in limits:
            suspects = suspects.model_copy(update=_rank_events(corpus, limits[EVENTS], progress))
    except GenerationReplaced:
        raise
    except Exception as error:
        # A damaged corpus can hold anything: the checks report what is wrong with it.
        problem = error.problem if isinstance(error, InvalidCorpus) else f"{type(error).__name__}: {error}"[:160]
        reason = f"the corpus cannot be read: {problem}"
        return Suspects(cannot_tell=reason, events_cannot_tell=reason)
    return suspects


def _block_m(corpus: Corpus) -> float:
    """Edge of the squares that are in one fold: the blocks of the splits, at least as large as the default."""
    lock: Lock | None = None
    if (corpus.root / "lock.json").exists():
        lock = read_document(Lock, corpus.root / "lock.json")
    return lock.recipe.splits.block_m if lock else Splits().block_m


def rank_labels(samples: LabelledSamples, limits: Limits) -> Suspects:
    """Rank samples and classes, and estimate the share of mistakes."""
    number = len(samples.ids)
    if number < limits["min_samples"] or len(set(samples.fold.tolist())) < 2 or len(samples.classes) < 2:
        few = f"fewer than {limits['min_samples']:.0f} samples with labels, or all in one block or of one class"
        return Suspects(cannot_tell=few)
    (expected,) = predict_roots(samples, [samples.roots])
    probability = np.stack([calibrate(*pair) for pair in zip(samples.has_label.T, expected.T, strict=True)], axis=1)
    classes = rank_classes(samples, expected, probability, limits["min_auroc"])
    scores, exchanged = score_mistakes(samples, samples.roots, expected)
    area, rate = auroc(exchanged, scores), estimate_rate(samples, scores, exchanged)
    if area < limits["min_auroc"]:
        reason = f"pixels tell labels from those of other places with an AUROC of {area:.2f} only"
        return Suspects(cannot_tell=reason, classes=classes)
    percentages = {f"{name}_pct": round(100 * value, 2) for name, value in rate._asdict().items()}
    noise = LabelNoise(samples=number, auroc=round(area, 3), **percentages)
    odds = log_odds(samples, scores)
    order = np.lexsort((np.arange(number), -odds))
    # As many as there are mistakes (Northcutt et al. 2021), if there are any.
    likely = int((odds > 0).sum()) if noise.low_pct > limits["max_rate_pct"] else 0
    named = min(likely, round(number * rate.rate))
    labels = [_label_suspect(samples, probability, odds, row) for row in order[: max(named, _SHOWN)].tolist()]
    return Suspects(noise=noise, classes=classes, labels=labels, named=named)


def _label_suspect(samples: LabelledSamples, probability: F8, odds: F8, row: int) -> LabelSuspect:
    expected = sorted(zip(samples.classes, probability[row].tolist(), strict=True), key=lambda pair: -pair[1])
    present = zip(samples.classes, samples.has_label[row].tolist(), strict=True)
    return LabelSuspect(
        id=samples.ids[row],
        log_odds=round(float(odds[row]), 2),
        labels=[key for key, has in present if has],
        expected={key: round(value, 3) for key, value in expected if value >= _MIN_EXPECTED},
    )


def _rank_events(corpus: Corpus, limits: Limits, progress: Progress) -> dict[str, object]:
    types = load_event_types(corpus.manifest.taxonomy).types
    changes = list(measure_changes(corpus, types, limits, progress))
    if not changes:
        return {"events_cannot_tell": "no cell has two images of a sensor and a flood or fire"}
    pairs = dict(zip(*(corpus.columns("id", "pair")[name].to_pylist() for name in ("id", "pair")), strict=True))
    return {"events": rank_events(changes, pairs, limits), "events_compared": len({change.id for change in changes})}


def rank_events(changes: Iterable[Change], pairs: Mapping[str, str | None], limits: Limits) -> list[EventSuspect]:
    """Labels without change, and changes without label, the largest first.

    Args:
        changes: Changes of samples.
        pairs: Sample → its pair: both must agree.
        limits: `min_fraction` of a label, `max_label_share` of it that changed; `min_unlabelled_pct` of a change.
    """
    known = {(change.id, change.type): change for change in changes}
    suspects = []
    for (id, type_), change in known.items():
        pair = known.get((pairs.get(id) or "", type_))
        both = [change] if pair is None or bool(pair.fraction) != bool(change.fraction) else [change, pair]
        # Radar alone also sees wet snow and calm water.
        optical = any(own.sensor == "s2" for own in both)
        slight, clear = max(own.slight for own in both), min(own.clear for own in both)
        common = {"id": id, "reference": change.reference, "type": type_, "event": change.event}
        if change.fraction >= limits["min_fraction"] and slight < limits["max_label_share"] * change.fraction:
            values = {"problem": "label without change", "fraction": change.fraction, "changed": slight}
            suspects.append(EventSuspect.model_validate({**common, **values}))
        elif not change.fraction and optical and 100 * clear >= limits["min_unlabelled_pct"]:
            values = {"problem": "change without label", "fraction": 0.0, "changed": clear}
            suspects.append(EventSuspect.model_validate({**common, **values}))
    return sorted(suspects, key=lambda suspect: (-abs(suspect.fraction - suspect.changed), suspect.id))


def add_suspects(report: Report, profile: CheckProfile, suspects: Suspects) -> Report:
    """The report with the suspects, and with the results of their checks."""
    flags = {
        NOISE: (_noise_flags(report.corpus, suspects, profile.checks[NOISE].limits), suspects.cannot_tell),
        LABELS: (_label_flags(suspects), suspects.cannot_tell),
        EVENTS: (_event_flags(suspects), suspects.events_cannot_tell),
    }
    results = {
        name: CheckResult(
            severity=spec.severity,
            requirement=spec.requirement,
            remedy=spec.remedy,
            findings=group_flags(name, spec.severity, flags[name][0]),
            skipped=flags[name][1],
        )
        for name, spec in profile.active.items()
        if name in flags and spec.severity != "off"
    }
    options = digest([report.options_digest, "suspects"])
    changes = {"checks": {**report.checks, **results}, "suspects": suspects, "options_digest": options}
    return report.model_copy(update=changes)


def _noise_flags(corpus: str, suspects: Suspects, limits: Limits) -> Iterator[Flag]:
    if (noise := suspects.noise) is not None and noise.low_pct > limits["max_rate_pct"]:
        interval = f"{noise.low_pct:.1f} to {noise.high_pct:.1f} %"
        detail = f"about {noise.rate_pct:.1f} % ({interval}) of {noise.samples} samples"
        yield Flag("labels are of other places", corpus, detail)


def _label_flags(suspects: Suspects) -> Iterator[Flag]:
    for suspect in suspects.labels[: suspects.named]:
        expected = ", ".join(f"{key} {value:.0%}" for key, value in suspect.expected.items()) or "no class"
        yield Flag("labels are of another place", suspect.id, f"{', '.join(suspect.labels)}; expected: {expected}")


def _event_flags(suspects: Suspects) -> Iterator[Flag]:
    for suspect in suspects.events:
        detail = f"{suspect.event}: label of {suspect.fraction:.0%}, change of {suspect.changed:.0%} of the pixels"
        yield Flag(suspect.problem, suspect.id, f"{detail} since {suspect.reference}")


def _not_requested(inputs: CheckInput, limits: Limits) -> NoReturn:
    raise NotApplicable("only with --suspects")


CHECKS: Mapping[str, Check] = MappingProxyType(dict.fromkeys((NOISE, LABELS, EVENTS), _not_requested))
