"""Captions of a selection: which ones a batch gets, and their texts by row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.core.errors import InputError, InsufficientData
from landmark.core.hashing import rank
from landmark.core.salts import CAPTION_CHOICE
from landmark.corpus.reader import Corpus

Pick = Literal["first", "random", "all"]
CaptionRequest = str | Sequence[str | None] | None
CaptionTexts = tuple[str, ...] | tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class CaptionChoice:
    """Which captions of a sample are read.

    Attributes:
        style: Caption style; None for any.
        language: Language code; None for any.
        pick: The first of them, a random one in each epoch, or all.
    """

    style: str | None
    language: str | None
    pick: Pick = "first"


def parse_captions(captions: str | Sequence[str | None], languages: Iterable[str] = ()) -> CaptionChoice:
    """Parse the loader's `captions`.

    Args:
        captions: `random` or `all` of a sample's captions; a style, in the first of `languages`; (style, language); or
            (style, language, `random` or `all`). None in place of a style or language is any.
        languages: Languages of the corpus.

    Raises:
        InputError: none of these.
    """
    match captions:
        case "random" | "all":
            return CaptionChoice(None, None, captions)
        case str():
            return CaptionChoice(captions, next(iter(languages), None))
        case [str() | None as style, str() | None as language]:
            return CaptionChoice(style, language)
        case [str() | None as style, str() | None as language, "first" | "random" | "all" as pick]:
            return CaptionChoice(style, language, pick)
    remedy = "give a style, (style, language), (style, language, 'random' or 'all'), 'random' or 'all'"
    raise InputError("not a choice of captions", key="captions", value=captions, remedy=remedy)


class SelectionCaptions:
    """Texts of the chosen captions of a selection, in Arrow; evidence and other captions are dropped."""

    def __init__(self, corpus: Corpus, captions: str | Sequence[str | None]) -> None:
        """Read the texts.

        Raises:
            InputError: not a choice of captions, or no sample of the selection has one.
            InsufficientData: a sample has none.
        """
        self._choice = choice = parse_captions(captions, corpus.manifest.grammar.get("languages", ()))
        parts = [_chosen(batch, choice) for batch in corpus.list_batches("captions", "style", "lang", "text")]
        texts = pa.chunked_array([text for text, _ in parts], pa.string())
        counts = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in parts)])
        if len(counts) and not len(texts):
            raise InputError(
                "no sample of the selection has such a caption",
                key="captions",
                value=captions,
                remedy=f"captions of the selection: {', '.join(_kinds(corpus))}",
            )
        if not counts.all():
            raise InsufficientData(
                f"has no caption of {_describe(choice)}",
                file=corpus.root,
                key="captions",
                value=corpus.columns("id")["id"][int(counts.argmin())].as_py(),
                remedy="choose other captions, or select samples that have them",
            )
        # 64-bit offsets: the texts of a continent may exceed 2 GiB.
        self._texts = texts.cast(pa.large_string()).combine_chunks()
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def read(self, rows: NDArray[np.int64], ids: Sequence[str], *, seed: int, epoch: int) -> CaptionTexts:
        """Texts of rows of the selection.

        Args:
            rows: Row numbers in the selection.
            ids: Sample ids of the rows, from which random picks are drawn.
            seed: Seed of random picks.
            epoch: Epoch of random picks.
        """
        starts, ends = self._starts[rows], self._starts[rows + 1]
        if self._choice.pick == "all":
            places = np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])
            texts = self._texts.take(pa.array(places, pa.int64())).to_pylist()
            edges = np.concatenate([[0], np.cumsum(ends - starts)]).tolist()
            return tuple(tuple(texts[start:end]) for start, end in pairwise(edges))
        if self._choice.pick == "random":
            ranks = np.array([rank(seed, CAPTION_CHOICE, str(epoch), id) for id in ids], dtype=np.uint64)
            starts = starts + (ranks % (ends - starts).astype(np.uint64)).astype(np.int64)
        return tuple(self._texts.take(pa.array(starts, pa.int64())).to_pylist())


def _chosen(batch: pa.ListArray, choice: CaptionChoice) -> tuple[pa.Array, NDArray[np.int64]]:
    """Texts of the captions of a style and language, and their number in each row."""
    captions, parents = batch.flatten(), pc.list_parent_indices(batch)
    mask = pc.is_valid(pc.struct_field(captions, "text"))
    for name, value in (("style", choice.style), ("lang", choice.language)):
        if value is not None:
            mask = pc.and_(mask, pc.equal(pc.struct_field(captions, name), value))
    mask = pc.fill_null(mask, False)
    counts = np.bincount(parents.filter(mask).to_numpy(), minlength=len(batch))
    return pc.struct_field(captions, "text").filter(mask), counts


def _kinds(corpus: Corpus) -> list[str]:
    """Styles and languages of the captions, as a user writes them."""
    kinds: set[tuple[str, str]] = set()
    for batch in corpus.list_batches("captions", "style", "lang"):
        names = pa.Table.from_struct_array(batch.flatten()).group_by(["style", "lang"]).aggregate([])
        kinds |= set(zip(names["style"].to_pylist(), names["lang"].to_pylist(), strict=True))
    return [str(kind) for kind in sorted(kinds)]


def _describe(choice: CaptionChoice) -> str:
    style = "any style" if choice.style is None else f"style {choice.style}"
    return style if choice.language is None else f"{style} in {choice.language}"
