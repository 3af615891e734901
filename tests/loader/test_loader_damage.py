"""Damaged, replaced and foreign files under a loader: refused at the batch they are in, by file and sample."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.errors import GenerationReplaced, InvalidCorpus, LandmarkError
from landmark.corpus.manifest import read_manifest
from landmark.corpus.pages import find_pages
from landmark.corpus.reader import Corpus
from landmark.loader.loader import Loader
from tests.loader.conftest import StoredCorpus

# Row of the damaged shard whose page is damaged.
ROW = 40


def shard_of(folder: Path) -> Path:
    (path,) = (folder / "shards").rglob("s2-train-*.parquet")
    return path


def page_of(folder: Path) -> tuple[int, int]:
    pages = find_pages(shard_of(folder))
    return int(pages.offsets[ROW, 0]), int(pages.sizes[ROW, 0])


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write bytes without a trace in the file's times."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flip_byte(folder: Path) -> None:
    offset, size = page_of(folder)
    last = shard_of(folder).read_bytes()[offset + size - 1]
    overwrite(shard_of(folder), offset + size - 1, bytes([last ^ 1]))


def enlarge_in_header(folder: Path) -> None:
    """The header of a page announces a value of 2 GiB."""
    offset, _ = page_of(folder)
    overwrite(shard_of(folder), offset + 3, b"\xfe\xff\xff\xff\x0f")


def truncate(folder: Path) -> None:
    path = shard_of(folder)
    os.truncate(path, page_of(folder)[0] + 10)


def replace_by_another_shard(folder: Path) -> None:
    """A shard of the same size, of other samples."""
    path = shard_of(folder)
    (source,) = (folder / "shards").rglob("s2-val-*.parquet")
    data = source.read_bytes()[: path.stat().st_size]
    path.write_bytes(data.ljust(path.stat().st_size, b"\0"))


def replace_schema(folder: Path) -> None:
    """The same rows and size, with other pixel columns."""
    path = shard_of(folder)
    size, table = path.stat().st_size, pq.read_table(path)
    columns = [*table.column_names[:-3], "x1", "x2", "x6"]
    pq.write_table(table.rename_columns(columns), path, compression="zstd", use_dictionary=False)
    path.write_bytes(path.read_bytes()[:size].ljust(size, b"\0"))


def touch(folder: Path) -> None:
    os.utime(shard_of(folder), ns=(0, 0))


def delete(folder: Path) -> None:
    shard_of(folder).unlink()


def replace_generation(folder: Path) -> None:
    """As a recaption does: files of other names, a new manifest, and the old files are deleted."""
    document = json.loads(read_manifest(folder).model_dump_json())
    for shard in document["shards"]:
        old = folder / shard["path"]
        shard["path"], shard["generation"] = shard["path"].replace("g0000", "g0001"), 1
        (folder / shard["path"]).parent.mkdir(exist_ok=True)
        old.rename(folder / shard["path"])
    (folder / "corpus.json").write_text(json.dumps(document))


DAMAGES: list[tuple[Callable[[Path], None], type[LandmarkError]]] = [
    (flip_byte, InvalidCorpus),
    (enlarge_in_header, InvalidCorpus),
    (truncate, InvalidCorpus),
    (replace_by_another_shard, InvalidCorpus),
    (replace_schema, InvalidCorpus),
    (delete, InvalidCorpus),
]


@pytest.fixture
def folder(stored: StoredCorpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored.folder, tmp_path / "corpus"))


def selection(folder: Path) -> Corpus:
    return landmark.open(folder).select(split="train")


def count_until_refused(loader: Loader, kind: type[LandmarkError]) -> tuple[int, LandmarkError]:
    """Batches before the error."""
    before = loader.position
    with pytest.raises(kind) as caught:
        for _ in loader:
            pass
    return loader.position - before, caught.value


@pytest.mark.parametrize(("damage", "kind"), DAMAGES, ids=[damage.__name__ for damage, _ in DAMAGES])
def test_damage_is_refused_at_the_batch_on_any_number_of_threads(
    folder: Path, damage: Callable[[Path], None], kind: type[LandmarkError]
) -> None:
    corpus = selection(folder)
    samples = set(corpus.select(sensor="s2").ids)
    damage(folder)
    errors = []
    for threads in (1, 4):
        loader = corpus.loader(batch=8, threads=threads)
        delivered, error = count_until_refused(loader, kind)
        assert error.file == str(shard_of_name(folder))
        assert loader.state_dict()["position"] == delivered
        # Nothing is skipped: the same batch is refused again.
        again, same = count_until_refused(loader, kind)
        assert (again, same.value) == (0, error.value)
        errors.append((delivered, error.value))
    assert errors[0] == errors[1]
    assert errors[0][1] in samples


def shard_of_name(folder: Path) -> Path:
    (shard,) = [shard for shard in read_manifest(folder).shards if shard.path.split("/")[-1].startswith("s2-train")]
    return folder / shard.path


def test_valid_pages_of_other_samples_are_refused(folder: Path) -> None:
    path = shard_of(folder)
    data, located = bytearray(path.read_bytes()), find_pages(path)
    # Of the 60 m bands, whose pages are of few sizes.
    places = zip(located.offsets[:, -1].tolist(), located.sizes[:, -1].tolist(), strict=True)
    pages = [slice(offset, offset + size) for offset, size in places]
    values = [bytes(data[page]) for page in pages]
    for page, value in zip(pages, values, strict=True):
        data[page] = next(wrong for wrong in values if wrong != value and len(wrong) == len(value))
    path.write_bytes(data)
    assert count_until_refused(selection(folder).loader(batch=8), InvalidCorpus)[1].file == str(path)


CHANGES: list[tuple[Callable[[Path], None], type[LandmarkError]]] = [
    *((change, InvalidCorpus) for change in (touch, delete, truncate)),
    (replace_generation, GenerationReplaced),
]


@pytest.mark.parametrize(("change", "kind"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_a_change_in_mid_epoch_is_refused(
    folder: Path, change: Callable[[Path], None], kind: type[LandmarkError]
) -> None:
    expected = [batch.ids for batch in selection(folder).loader(batch=8)]
    loader = selection(folder).loader(batch=8, cache_bytes=0, prefetch_bytes=0)
    delivered = [batch.ids for _, batch in zip(range(3), loader, strict=False)]
    file = shard_of(folder)
    change(folder)
    position = loader.position
    with pytest.raises(kind) as caught:
        delivered.extend(batch.ids for batch in loader)
    assert caught.value.file in {str(file), str(folder)}
    assert delivered == expected[: len(delivered)]
    assert loader.position == len(delivered) >= position
