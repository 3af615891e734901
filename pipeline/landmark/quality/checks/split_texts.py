"""Texts of val and test that stand word for word in train."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from landmark.core.errors import InvalidCorpus
from landmark.corpus.open_corpus import open_corpus
from landmark.corpus.reader import Corpus
from landmark.corpus.tables import INDEX_FILE
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.findings import Flag, NotApplicable

# Column → fields that name a kind of text, and fields of the text.
_TEXTS = {"captions": (("style", "lang"), ("text",)), "questions": (("kind", "lang"), ("question", "answer"))}


def split_texts(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Shares of the texts of val and test that stand word for word in train, per kind of text."""
    splits = sorted(set(inputs.samples["split"].to_pylist()) - {"train"})
    if not splits:
        raise NotApplicable("all samples are of train")
    try:
        corpus = open_corpus(inputs.context.root)
        counts = {column: _count_texts(corpus, column, *fields) for column, fields in _TEXTS.items()}
    except InvalidCorpus as error:
        raise NotApplicable(f"{INDEX_FILE} {error.problem}") from error
    for column, table in counts.items():
        for kind in sorted(pc.unique(table["kind"]).to_pylist()):
            texts = table.filter(pc.equal(table["kind"], kind))
            for split in splits:
                share_pct, total = _known_share(texts, split)
                if share_pct >= limits["min_share_pct"]:
                    detail = f"{share_pct:.0f} % of {total}"
                    yield Flag(f"{column} of {split} stand word for word in train", kind, detail)


def _count_texts(corpus: Corpus, column: str, kind: tuple[str, ...], text: tuple[str, ...]) -> pa.Table:
    """Columns `split`, `kind`, `text` and `count`: how often each text occurs."""
    parts, start, splits = list[pa.Table](), 0, corpus.columns("split")["split"].combine_chunks()
    for batch in corpus.list_batches(column, *kind, *text):
        items, rows = batch.flatten(), pc.add(pc.list_parent_indices(batch), start)
        fields = {name: items.field(name) for name in (*kind, *text)}
        table = pa.table({
            "split": splits.take(rows),
            "kind": pc.binary_join_element_wise(*(fields[name] for name in kind), " "),
            "text": pc.binary_join_element_wise(*(fields[name] for name in text), " "),
        })  # fmt: skip
        parts.append(table.group_by(["split", "kind", "text"], use_threads=False).aggregate([([], "count_all")]))
        start += len(batch)
    counts = pa.concat_tables(parts).group_by(["split", "kind", "text"], use_threads=False)
    return counts.aggregate([("count_all", "sum")]).rename_columns(["split", "kind", "text", "count"])


def _known_share(texts: pa.Table, split: str) -> tuple[float, int]:
    """Share of the texts of a split that train has too, in percent, and number of all."""
    of_train = texts["text"].filter(pc.equal(texts["split"], "train"))
    own = texts.filter(pc.equal(texts["split"], split))
    total = pc.sum(own["count"]).as_py() or 0
    known = pc.sum(own.filter(pc.is_in(own["text"], value_set=of_train.combine_chunks()))["count"]).as_py() or 0
    return 100 * known / max(total, 1), total


CHECKS: dict[str, Check] = {"split-texts": split_texts}
