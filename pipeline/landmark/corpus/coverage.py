"""Sensors and splits that were planned and of which no sample was written."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from landmark.core.corpus_paths import readable
from landmark.corpus.tables import read_table
from landmark.domain.schemas import LEDGER, PLAN

_PLAN_COLUMNS = ("id", "sensor", "split")


def emptied_groups(plan: pa.Table, ledger: pa.Table, written: pa.Array, *, limited: bool) -> dict[str, str]:
    """Planned sensors and splits without a written sample: `sensor s2` -> number planned, and reasons of the ledger.

    Args:
        plan: PLAN rows.
        ledger: LEDGER rows of the samples that were not written; may hold others.
        written: Ids of the written samples.
        limited: Whether the recipe has a limit: the few cells of a preview need not cover all splits.
    """
    return dict(_emptied(plan, ledger, pc.is_in(plan["id"], value_set=written), limited=limited))


def read_emptied_groups(corpus: Path, written: pa.Array, *, limited: bool) -> dict[str, str]:
    """As `emptied_groups`, with plan and ledger of a corpus folder.

    Raises:
        InvalidCorpus: one of them is missing or damaged.
    """
    plan = read_table(
        readable(corpus, "plan.parquet"), pa.schema([PLAN.field(name) for name in ("id", "sensor", "split")])
    )
    ledger = read_table(
        readable(corpus, "ledger.parquet"), pa.schema([LEDGER.field(name) for name in ("id", "reason")])
    )
    return emptied_groups(plan, ledger, written, limited=limited)


def _emptied(plan: pa.Table, ledger: pa.Table, is_written: pa.Array, *, limited: bool) -> Iterator[tuple[str, str]]:
    for column in ("sensor",) if limited else ("sensor", "split"):
        remaining = set(pc.unique(plan[column].filter(is_written)).to_pylist())
        for name in sorted(set(pc.unique(plan[column]).to_pylist()) - remaining):
            ids = plan["id"].filter(pc.equal(plan[column], name))
            reasons = ledger["reason"].filter(pc.is_in(ledger["id"], value_set=ids.combine_chunks()))
            counts = ", ".join(f"{count} {reason}" for reason, count in Counter(reasons.to_pylist()).most_common())
            yield f"{column} {name}", f"{len(ids)} planned, none written ({counts or 'not in the ledger'})"
