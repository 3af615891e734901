"""Entry point of `landmark check`: one pass over the shards, then every corpus-level check."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pyarrow as pa

from landmark.captions.grammar import load_shipped_languages
from landmark.config.label_entries import LabelEntry
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import GenerationReplaced, InvalidCorpus
from landmark.core.executor import ExecutorConfig, WorkerLost, open_executor
from landmark.core.hashing import digest
from landmark.core.plural import plural
from landmark.core.progress import Progress, silent
from landmark.core.resources import available
from landmark.core.yaml_files import load_model
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document
from landmark.domain.crosswalks import shipped_crosswalks
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.quality.check_input import Check, CheckInput, CorpusContext, GroupResult, Moments, ShardGroup
from landmark.quality.check_profile import CheckProfile, CheckSpec
from landmark.quality.checks import (
    acquisitions,
    bias,
    chip_statistics,
    copies,
    event_facts,
    integrity,
    item_names,
    mask_shares,
    orbits,
    places,
    radiometry,
    shared_windows,
    split_texts,
    splits,
    words,
)
from landmark.quality.chips.registration import Surfaces, merge_surfaces
from landmark.quality.findings import CheckResult, Flag, NotApplicable, Report, group_flags
from landmark.quality.measure import measure_group, shard_groups
from landmark.quality.rows import annotations, secret_texts
from landmark.quality.rows.captions import load_lexicons
from landmark.quality.rows.derivation import CorpusDerivation
from landmark.quality.rows.language_words import load_language_words
from landmark.quality.suspects import suspects

# Corpus-level checks; several of these names have row checks too (`row_checks.ROW_CHECKS`).
CHECKS: dict[str, Check] = {
    **integrity.CHECKS,
    **secret_texts.CHECKS,
    **acquisitions.CHECKS,
    **item_names.CHECKS,
    **orbits.CHECKS,
    **mask_shares.CHECKS,
    **event_facts.CHECKS,
    **radiometry.CHECKS,
    **chip_statistics.CHECKS,
    **annotations.CHECKS,
    **words.CHECKS,
    **places.CHECKS,
    **suspects.CHECKS,
    **splits.CHECKS,
    **split_texts.CHECKS,
    **copies.CHECKS,
    **shared_windows.CHECKS,
    **bias.CHECKS,
}


def check(
    root: Path,
    profile: CheckProfile,
    *,
    executor: ExecutorConfig,
    share: float = 1.0,
    seed: int = 0,
    progress: Progress = silent,
) -> Report:
    """Check a sealed corpus against a profile; writes nothing.

    Args:
        root: The corpus folder.
        profile: Severities and limits.
        executor: Where the shards are read.
        share: Of the cells whose pixels are measured, in (0, 1], chosen by hash; below 1 no file is hashed.
        seed: Of that hash.
        progress: Receives the shard groups done.

    Raises:
        InvalidCorpus: no manifest, a link to a folder, or no shard is readable.
        GenerationReplaced: the corpus was recaptioned meanwhile.
    """
    corpus = open_corpus(root, profile, share=share, seed=seed)
    return judge(corpus, measure_corpus(corpus, executor, progress))


@dataclass(frozen=True, slots=True)
class OpenCorpus:
    """A corpus whose documents were read, and the options of the run."""

    context: CorpusContext
    derivation: CorpusDerivation
    profile: CheckProfile
    share: float
    seed: int

    def groups(self) -> Iterator[ShardGroup]:
        """The units of work. Made on demand: a group's rows of the plan and label counts."""
        for group in shard_groups(self.context, share=self.share, seed=self.seed):
            yield replace(group, derivation=self.derivation.of(group.shards[0][0]))


def open_corpus(root: Path, profile: CheckProfile, *, share: float = 1.0, seed: int = 0) -> OpenCorpus:
    """Read the documents of a corpus.

    Raises:
        InvalidCorpus: no manifest, or a link to a folder.
    """
    refuse_links(root)
    manifest: Manifest = read_document(Manifest, root / "corpus.json")
    derivation = CorpusDerivation(root, manifest, _load_lock(root, manifest))
    return OpenCorpus(_load_context(root, manifest, derivation, profile), derivation, profile, share, seed)


def measure_corpus(corpus: OpenCorpus, executor: ExecutorConfig, progress: Progress = silent) -> list[GroupResult]:
    """Measure all shard groups.

    Raises:
        InvalidCorpus: a worker was lost.
    """
    number = len(shard_groups(corpus.context, share=corpus.share, seed=corpus.seed))
    results: list[GroupResult] = []
    with open_executor(executor) as map_units:
        for group, result in map_units(measure_group, corpus.groups()):
            if isinstance(result, WorkerLost):
                raise InvalidCorpus(result.detail, file=corpus.context.root / group.shards[0][0].path)
            results.append(result)
            progress("check", len(results), number)
    return results


def judge(corpus: OpenCorpus, results: Sequence[GroupResult]) -> Report:
    """Merge the results of the shard groups, in any order, and run the corpus-level checks.

    Raises:
        InvalidCorpus: no shard is readable.
        GenerationReplaced: the corpus was recaptioned meanwhile.
    """
    inputs, flags = _merge(corpus, results)
    profile, manifest = corpus.profile, corpus.context.manifest
    return Report(
        corpus=manifest.name,
        content_digest=manifest.content_digest,
        samples=inputs.samples.num_rows,
        pixels_read=sum(inputs.samples["pixels_read"].to_pylist()),
        options_digest=digest([profile.model_dump(mode="json"), corpus.share, corpus.seed]),
        checks={name: _run_check(name, spec, inputs, flags.get(name, [])) for name, spec in profile.active.items()},
    )


def _load_context(root: Path, manifest: Manifest, derivation: CorpusDerivation, profile: CheckProfile) -> CorpusContext:
    recipe, lexicons = derivation.lock.recipe if derivation.lock else None, load_lexicons(manifest, root)
    sources = recipe.labels if recipe else ()
    return CorpusContext(
        root=root,
        manifest=manifest,
        recipe=recipe,
        max_gap_days=_max_gap_days(sources),
        limits=profile.limits,
        undated=_undated_subclasses(sources, manifest.taxonomy),
        lexicons=lexicons,
        words=load_language_words(lexicons, load_shipped_languages()),
        underivable=derivation.reason,
    )


def _load_lock(root: Path, manifest: Manifest) -> Lock | None:
    """The lock; None without the one that the manifest names, which check `manifest` reports."""
    try:
        lock: Lock = read_document(Lock, root / "lock.json")
    except (InvalidCorpus, OSError):
        return None
    return lock if lock.digest == manifest.lock_digest else None


def _max_gap_days(entries: Sequence[LabelEntry]) -> dict[str, float]:
    """Per label source, the largest gap to an image: from the recipe, else from the file of a shipped source."""
    limits: dict[str, float] = {}
    for entry in entries:
        source, days = entry.source, entry.max_gap_days
        # The lock records the name of a source, not the path of a user's file.
        if days is not None or source in available("taxonomies"):
            limits[source] = load_model(Crosswalk, "taxonomies", source).max_gap_days if days is None else days
    return limits


def _undated_subclasses(entries: Sequence[LabelEntry], taxonomy: Taxonomy) -> dict[str, str]:
    """Subclass → event class, of the shipped sources that give event classes without a date."""
    crosswalks = shipped_crosswalks((entry.source for entry in entries), taxonomy.name)
    event_classes = {key for key, entry in taxonomy.classes.items() if entry.event}
    return {
        f"{crosswalk.name}/{entry.key}": entry.to
        for crosswalk in crosswalks
        if crosswalk.undated
        for entry in crosswalk.classes.values()
        if entry.to in event_classes
    }


def _merge(corpus: OpenCorpus, results: Sequence[GroupResult]) -> tuple[CheckInput, dict[str, list[Flag]]]:
    """Samples and flags of all shard groups."""
    context, derivation = corpus.context, corpus.derivation
    if read_document(Manifest, context.root / "corpus.json").content_digest != context.manifest.content_digest:
        problem = "a newer generation replaced the files while they were checked"
        raise GenerationReplaced(problem, file=context.root, remedy="check the corpus again")
    if not any(result.samples.num_rows for result in results):
        raise InvalidCorpus(f"none of {plural(len(context.manifest.shards), 'shard')} is readable", file=context.root)
    flags: dict[str, list[Flag]] = {"annotations": list(derivation.flags)}
    moments: dict[tuple[str, str], Moments] = {}
    for result in results:
        for name, flags_of_check in result.flags.items():
            flags.setdefault(name, []).extend(flags_of_check)
        for band, sums in result.moments.items():
            moments[band] = moments.get(band, Moments()) + sums
    tables = [result.samples for result in results]
    samples = pa.concat_tables(tables).sort_by([("id", "ascending"), ("shard", "ascending")])
    surfaces: Surfaces = reduce(merge_surfaces, (result.surfaces for result in results), {})
    return CheckInput(context, samples, surfaces, moments, corpus.share == 1, derivation.lock), flags


def _run_check(name: str, spec: CheckSpec, inputs: CheckInput, flags: list[Flag]) -> CheckResult:
    """Apply the corpus-level check of this name, if any, and group its flags with those of the pass."""
    skipped = None
    assert spec.severity != "off"
    if name in CHECKS:
        try:
            flags = [*flags, *CHECKS[name](inputs, spec.limits)]
        except NotApplicable as reason:
            skipped = str(reason)
        except Exception as error:
            # A damaged corpus can hold anything: report it as a finding instead of crashing.
            flags = [*flags, Flag("the check failed on this corpus", name, f"{type(error).__name__}: {error}"[:160])]
    findings = group_flags(name, spec.severity, flags)
    return CheckResult(
        severity=spec.severity,
        requirement=spec.requirement,
        remedy=spec.remedy,
        findings=findings,
        skipped=None if findings else skipped,
    )
