"""One pass over a corpus, then every check of the rules: its report."""

from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa

from landmark.core import yaml_files as files
from landmark.core.errors import InvalidCorpus
from landmark.core.executor import Lost, Where, running
from landmark.core.hashing import digest
from landmark.corpus.manifest import Lock, Manifest, read_document
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.quality import bias, integrity, radiometry, splits, words
from landmark.quality.captions import lexicons
from landmark.quality.check_profile import Rules
from landmark.quality.evidence import Evidence, Judge, Known, Measured, Moments
from landmark.quality.findings import Flag, NotApplicable, Report, Verdict, gather
from landmark.quality.measure import measure, portions
from landmark.quality.registration import Surfaces, merge

# What judges the corpus as a whole; many also have a part that looks at each row where it is read.
JUDGES: dict[str, Judge] = {
    **integrity.JUDGES,
    **radiometry.JUDGES,
    **words.JUDGES,
    **splits.JUDGES,
    **bias.JUDGES,
}

Progress = Callable[[int, int], None]


def check(
    root: Path,
    rules: Rules,
    *,
    where: Where,
    share: float = 1.0,
    seed: int = 0,
    progress: Progress = lambda done, of: None,
) -> Report:
    """Hold a sealed corpus to the rules; nothing is written.

    Args:
        root: The corpus folder.
        rules: Severities and limits.
        where: Where the shards are read.
        share: Of the cells whose pixels are measured, in (0, 1], by a hash of `seed`; below 1 files are not hashed.
        seed: Another seed measures other cells.
        progress: Told (portions done, of).

    Raises:
        InvalidCorpus: no manifest, or nothing of any shard can be read.
    """
    known, lock = _known(root, rules)
    evidence, flags = _evidence(known, lock, where, share=share, seed=seed, progress=progress)
    checks = {
        name: _verdict(name, rules, evidence, flags.get(name, []))
        for name, rule in rules.checks.items()
        if rule.severity != "off"
    }
    looked_at = sum(evidence.samples["looked_at"].to_pylist())
    return Report(
        corpus=known.manifest.name,
        content=known.manifest.content,
        samples=evidence.samples.num_rows,
        looked_at=looked_at,
        terms=digest([rules.model_dump(mode="json"), share, seed]),
        checks=checks,
    )


def _known(root: Path, rules: Rules) -> tuple[Known, Lock | None]:
    manifest: Manifest = read_document(Manifest, root / "corpus.json")
    lock = _lock(root, manifest)
    recipe = lock.recipe if lock else {}
    limits = {name: rule.limits for name, rule in rules.checks.items() if rule.severity != "off"}
    undated = _undated(recipe, manifest.taxonomy)
    return Known(root, manifest, recipe, _gaps(recipe), limits, undated, lexicons(manifest)), lock


def _lock(root: Path, manifest: Manifest) -> Lock | None:
    """The lock the manifest names; of another one nothing is taken, and `manifest` says so."""
    try:
        lock: Lock = read_document(Lock, root / "lock.json")
    except (InvalidCorpus, OSError):
        return None
    return lock if lock.digest == manifest.lock_digest else None


def _gaps(recipe: Mapping[str, Any]) -> dict[str, float]:
    """Days a label source may be away from an image: as the recipe says, else as the source's own file does."""
    found: dict[str, float] = {}
    for one in recipe.get("labels") or ():
        source, days = one["source"], one.get("max_gap_days")
        # Only the shipped sources are known here by name.
        if days is not None or source in files.known("taxonomies"):
            found[source] = files.load(Crosswalk, "taxonomies", source).max_gap_days if days is None else days
    return found


def _undated(recipe: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, str]:
    """Finer class → class of events, of the shipped sources that give such classes and say that they are undated."""
    names = {one["source"] for one in recipe.get("labels") or ()} & set(files.known("taxonomies"))
    sources = [files.load(Crosswalk, "taxonomies", name) for name in sorted(names)]
    events = {key for key, entry in taxonomy.classes.items() if entry.event}
    return {
        f"{source.name}/{entry.key}": entry.to
        for source in sources
        if source.undated
        for entry in source.classes.values()
        if entry.to in events
    }


def _evidence(
    known: Known, lock: Lock | None, where: Where, *, share: float, seed: int, progress: Progress
) -> tuple[Evidence, dict[str, list[Flag]]]:
    """Everything the portions bring back, added up."""
    units, parts = portions(known, share=share, seed=seed), list[Measured]()
    with running(where) as map_units:
        for unit, result in map_units(measure, units):
            if isinstance(result, Lost):
                raise InvalidCorpus(f"{known.root / unit.shards[0][0].path}: {result.detail}")
            parts.append(result)
            progress(len(parts), len(units))
    if not any(part.samples.num_rows for part in parts):
        raise InvalidCorpus(f"{known.root}: not one sample of its {len(known.manifest.shards)} shards can be read")
    flags: dict[str, list[Flag]] = {}
    moments: dict[tuple[str, str], Moments] = {}
    for part in parts:
        for name, found in part.flags.items():
            flags.setdefault(name, []).extend(found)
        for key, one in part.moments.items():
            moments[key] = moments.get(key, Moments()) + one
    samples = pa.concat_tables([part.samples for part in parts]).sort_by([("id", "ascending"), ("shard", "ascending")])
    surfaces: Surfaces = reduce(merge, (part.surfaces for part in parts), {})
    return Evidence(known, lock, samples, surfaces, moments, share == 1), flags


def _verdict(name: str, rules: Rules, evidence: Evidence, flags: list[Flag]) -> Verdict:
    rule, skipped = rules.checks[name], None
    assert rule.severity != "off"
    if name in JUDGES:
        try:
            flags = [*flags, *JUDGES[name](evidence, rule.limits)]
        except NotApplicable as reason:
            skipped = str(reason)
        except Exception as error:
            # A gate looks at what others broke: whatever a corpus holds, it is a finding and no crash.
            flags = [*flags, Flag("the corpus cannot be judged", name, f"{type(error).__name__}: {error}"[:160])]
    findings = gather(name, rule.severity, flags)
    return Verdict(
        severity=rule.severity,
        about=rule.about,
        remedy=rule.remedy,
        findings=findings,
        skipped=None if findings else skipped,
    )
