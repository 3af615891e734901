"""Check a corpus with a defect: only the cells that the defect changed are measured again.

Results of shard groups are sums over cells: what the clean corpus has of the changed cells is replaced.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench.draft import Draft, Planted
from landmark.corpus.manifest import Manifest
from landmark.quality.check import judge, open_corpus
from landmark.quality.check_input import CorpusContext, GroupResult, Moments, ShardGroup
from landmark.quality.check_profile import load_check_profile
from landmark.quality.chips.registration import Surface, merge_surfaces
from landmark.quality.findings import Flag, Report
from landmark.quality.measure import measure_group
from landmark.quality.rows.derivation import Derivation

# Fields of the manifest that change with any row, and that measuring a shard group does not read.
_VOLATILE = {
    "content_digest", "counts", "dropped", "ids_digest", "labels", "leakage", "lock_digest", "queries", "samples",
    "shards", "split_proof", "statistics",
}  # fmt: skip
# Changed cells are measured twice: in the clean corpus as well.
_MOST_CELLS = 0.45
_EMPTY = GroupResult(pa.table({}), {}, {}, {})
_Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class CleanCorpus:
    """A clean corpus, its report, and by generation, split and number the shard groups with their results."""

    draft: Draft
    report: Report
    groups: Mapping[_Key, tuple[ShardGroup, GroupResult]]


def measure_clean(draft: Draft) -> CleanCorpus:
    """Check a clean corpus, and keep what was measured."""
    corpus = open_corpus(draft.corpus, load_check_profile(deep=True))
    groups = {_key(group): (group, measure_group(group)) for group in corpus.groups()}
    return CleanCorpus(draft, judge(corpus, [result for _, result in groups.values()]), groups)


def _key(group: ShardGroup) -> _Key:
    shard = group.shards[0][0]
    return shard.generation, shard.split, shard.k


def check_again(root: Path, clean: CleanCorpus, planted: Planted, rewritten: frozenset[str]) -> Report:
    """Report of the corpus with a defect, as `check` gives it.

    Args:
        root: The corpus with the defect.
        clean: The corpus without it.
        planted: The defect.
        rewritten: Paths of shards that the defect changed after sealing.
    """
    corpus, cells = open_corpus(root, load_check_profile(deep=True)), changed_cells(clean.draft, planted)
    return judge(corpus, [_measure(group, clean, cells, rewritten) for group in corpus.groups()])


def changed_cells(draft: Draft, planted: Planted) -> frozenset[str]:
    """Cells of the changed, moved and new rows, and all cells that pairs join to them."""
    rows = [(draft.facts[id], edit) for id, edit in [*planted.edits.items(), *planted.extra]]
    rows += [(draft.facts[id], {}) for id in planted.moves]
    versions = [*draft.facts.values(), *({**row, **edit} for row, edit in rows)]
    cell_of: dict[str, set[str]] = {}
    for row in versions:
        cell_of.setdefault(row["id"], set()).add(row["cell"])
    joined = [cell_of[row["id"]] | cell_of.get(row["pair"], set()) for row in versions]
    joined = [cells for cells in joined if len(cells) > 1]
    changed = {version["cell"] for row, edit in rows for version in (row, {**row, **edit})}
    while more := {cell for cells in joined if cells & changed for cell in cells} - changed:
        changed |= more
    return frozenset(changed)


def _measure(group: ShardGroup, clean: CleanCorpus, cells: frozenset[str], rewritten: frozenset[str]) -> GroupResult:
    if _key(group) not in clean.groups or any(shard.path in rewritten for shard, _ in group.shards):
        return measure_group(group)
    base, result = clean.groups[_key(group)]
    if not _is_comparable(base, group):
        return measure_group(group)
    if base.derivation and group.derivation:
        cells |= _differing_cells(base.derivation, group.derivation)
    known = set(result.samples["cell"].unique().to_pylist())
    if len(known & cells) > _MOST_CELLS * len(known):
        return measure_group(group)
    after = measure_group(replace(group, cells=cells))
    if not known & cells and not result.flags:
        return _exchange(result, _EMPTY, after, cells)
    return _exchange(result, measure_group(replace(base, cells=cells)), after, cells)


def _is_comparable(base: ShardGroup, group: ShardGroup) -> bool:
    """Whether a row of both groups has the same result."""
    same = all(
        getattr(base.context, field.name) == getattr(group.context, field.name)
        for field in fields(CorpusContext)
        if field.name not in ("root", "manifest")
    )
    manifests = base.context.manifest, group.context.manifest
    same &= all(
        getattr(manifests[0], name) == getattr(manifests[1], name) for name in set(Manifest.model_fields) - _VOLATILE
    )
    first, second = base.derivation, group.derivation
    if first is None or second is None:
        return same and first is second
    return same and (first.products, first.has_recorded_words) == (second.products, second.has_recorded_words)


def _differing_cells(base: Derivation, changed: Derivation) -> frozenset[str]:
    """Cells whose rows in the plan or in the label counts differ."""
    cells: set[str] = set()
    for left, right in ((base.plan, changed.plan), (base.label_counts, changed.label_counts)):
        if not left.equals(right):
            rows = [Counter((row["cell"], repr(row)) for row in table.to_pylist()) for table in (left, right)]
            cells |= {cell for cell, _ in [*(rows[0] - rows[1]), *(rows[1] - rows[0])]}
    return frozenset(cells)


def _exchange(total: GroupResult, before: GroupResult, after: GroupResult, cells: frozenset[str]) -> GroupResult:
    """The result of a group with `after` in place of `before` for some cells."""
    changed = pc.is_in(total.samples["cell"], value_set=pa.array(cells, pa.string()))
    flags = Counter(_pairs(total.flags))
    flags.subtract(_pairs(before.flags))
    flags.update(_pairs(after.flags))
    by_check: dict[str, list[Flag]] = {}
    for check, flag in flags.elements():
        by_check.setdefault(check, []).append(flag)
    removed = {item: Surface(-surface.total, -surface.chips) for item, surface in before.surfaces.items()}
    surfaces = merge_surfaces(merge_surfaces(total.surfaces, removed), after.surfaces)
    moments = dict(total.moments)
    for sign, part in ((-1, before.moments), (1, after.moments)):
        for band, sums in part.items():
            moments[band] = moments.get(band, Moments()) + Moments(*(sign * value for value in sums))
    return GroupResult(
        pa.concat_tables([total.samples.filter(pc.invert(changed)), after.samples]),
        by_check,
        {item: surface for item, surface in surfaces.items() if surface.chips},
        moments,
    )


def _pairs(flags: Mapping[str, Iterable[Flag]]) -> list[tuple[str, Flag]]:
    return [(check, flag) for check, of_check in flags.items() for flag in of_check]
