"""Damaged corpora: damage is reported, repaired where possible, and never read as valid samples."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.errors import InvalidCorpus, SealingFailed
from landmark.core.resources import resource_dir
from landmark.corpus.manifest import Manifest
from landmark.corpus.sample import Sample
from landmark.workflow.build import build, plan_corpus
from landmark.write.staging import Staging, open_staging
from tests.parts import raises, text
from tests.workflow.conftest import few
from tests.workflow.test_build import files

Write = Callable[..., Path]
Damage = Callable[[Path], object]


@pytest.fixture
def copy(sealed: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(sealed, tmp_path / "corpus"))


def shard_of(corpus: Path, sensor: str) -> Path:
    return sorted(corpus.glob(f"shards/g0000/{sensor}-*.parquet"))[0]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def junk(path: Path) -> None:
    path.write_bytes(b"no Parquet at all")


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def shorter(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"id": [str(row) for row in range(pq.read_metadata(path).num_rows)]}), path)


def swap_rows(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), path)


# -- A sealed corpus ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [Path.unlink, truncate, empty, zero])
def test_a_build_names_a_damaged_shard_of_a_sealed_corpus(damage: Damage, copy: Path, recipe: Write) -> None:
    shard = shard_of(copy, "s2")
    damage(shard)
    before = files(copy)
    with raises(InvalidCorpus, name=shard.name, exit_code=2):
        build(few(recipe(), copy))
    assert files(copy) == before


@pytest.mark.parametrize("damage", [Path.unlink, truncate, empty, junk, shorter, foreign, swap_rows])
def test_an_index_that_differs_from_the_shards_is_refused_and_rebuilt(
    damage: Damage, copy: Path, sealed: Path, recipe: Write
) -> None:
    damage(copy / "index.parquet")
    with raises(InvalidCorpus, name="index.parquet"):
        landmark.open(copy)
    build(few(recipe(), copy))
    assert files(copy) == files(sealed)
    assert landmark.open(copy).ids == landmark.open(sealed).ids


def test_a_build_deletes_files_left_by_a_kill_after_sealing(copy: Path, sealed: Path, recipe: Write) -> None:
    text(copy / "staging" / "s2_32tpr_20210612t101031_r022.0000.arrow", "used")
    text(copy / "journal" / "shards" / "key" / "s2-train-00000-of-00001.parquet.json", "{}")
    text(copy / ".index.parquet.123.partial", "half")
    build(few(recipe(), copy))
    assert files(copy) == files(sealed)
    assert not (copy / "staging").exists() and not (copy / "journal").exists()


def same(sample: Sample, expected: Sample) -> bool:
    pairs = ((sample.s1, expected.s1), (sample.s2, expected.s2), (sample.mask, expected.mask))
    pixels = all((a is None and b is None) or np.array_equal(a, b, equal_nan=a.dtype == np.float32) for a, b in pairs)
    return pixels and sample.fields == expected.fields


def chunk_of(shard: Path, column: str) -> tuple[int, int]:
    """First byte and length of a column's first chunk."""
    group = pq.read_metadata(shard).row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] == column)
    return chunk.data_page_offset, chunk.total_compressed_size


@pytest.mark.parametrize(("sensor", "column"), [("s1", "s1"), ("s2", "s2_x1"), ("s2", "s2_x2"), ("s2", "s2_x6")])
def test_a_flipped_byte_of_pixels_is_an_error_of_the_sample(sensor: str, column: str, copy: Path, sealed: Path) -> None:
    shard = shard_of(copy, sensor)
    intact, (start, size) = shard.read_bytes(), chunk_of(shard, column)
    truth = {sample.id: sample for sample in landmark.open(sealed)}
    for fraction in (0.2, 0.5, 0.8, 0.999):
        damaged = bytearray(intact)
        damaged[start + int(fraction * size)] ^= 0x10
        shard.write_bytes(damaged)
        corpus, unreadable = landmark.open(copy), []
        for id in corpus.ids:
            try:
                assert same(corpus[id], truth[id])
            except InvalidCorpus as error:
                assert error.file == str(shard)
                unreadable.append(error.value)
        assert len(unreadable) == 1 and unreadable[0] in pq.read_table(shard, columns=["id"])["id"].to_pylist()


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_no_damage_to_a_shard_reads_as_another_sample(sensor: str, copy: Path, sealed: Path) -> None:
    shard, truth = shard_of(copy, sensor), {sample.id: sample for sample in landmark.open(sealed)}
    intact = shard.read_bytes()
    ids = pq.read_table(shard, columns=["id"])["id"].to_pylist()
    # The footer has no checksum: only damage before it can be detected.
    end = len(intact) - 8 - int.from_bytes(intact[-8:-4], "little")
    for place in np.linspace(4, end - 1, 60).astype(int).tolist():
        damaged = bytearray(intact)
        damaged[place] ^= 0x08
        shard.write_bytes(damaged)
        corpus = landmark.open(copy)
        for id in ids[:2]:
            try:
                read = corpus[id]
            except InvalidCorpus:
                continue
            assert same(read, truth[id]), f"byte {place}"


# -- An unfinished corpus ----------------------------------------------------------------------------------------------


def test_stale_shards_are_deleted_by_sealing(sealed: Path, recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    plan_corpus(few(recipe(), out))
    text(out / "shards" / "g0000" / "s2-train-00007-of-00009.parquet", "stale")
    text(out / "shards" / "g0000" / ".s2-train-00000-of-00001.parquet.4711.partial", "half")
    build(few(recipe(), out))
    assert files(out) == files(sealed)


def lose_pages(path: Path) -> None:
    """Leave the file's size and zeros in a part of it, as a power loss does to a file that was not flushed."""
    zero_sectors(path, path.stat().st_size // 2, 8)


def zero_sectors(path: Path, offset: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset // 512 * 512)
        file.write(bytes(512 * count))


@pytest.fixture
def unsealed(recipe: Write, tmp_path: Path) -> Path:
    """A build that was interrupted before it packed its samples."""
    out = tmp_path / "unsealed"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("landmark.workflow.build.seal", interrupt)
        build(few(recipe(), out))
    return out


@pytest.mark.parametrize("damage", [truncate, empty, junk, lose_pages])
def test_staging_files_that_a_power_loss_damaged_are_extracted_again(
    damage: Damage, unsealed: Path, sealed: Path, recipe: Write, caplog: pytest.LogCaptureFixture
) -> None:
    staged = min(unsealed.glob("staging/*.arrow"))
    damage(staged)
    build(few(recipe(), unsealed))
    assert files(unsealed) == files(sealed)
    assert staged.name in caplog.text


def test_no_lost_sector_of_a_staging_file_changes_what_is_read(unsealed: Path, tmp_path: Path) -> None:
    original, staging = min(unsealed.glob("staging/*.arrow")), Staging(tmp_path)
    staging.open()
    content, copy, n_deleted = original.read_bytes(), staging.path("s2", 0), 0
    for offset in range(0, len(content), 512):
        copy.write_bytes(content)
        zero_sectors(copy, offset, 1)
        staging.open()
        n_deleted += not copy.exists()
        assert not copy.exists() or open_staging(copy).equals(open_staging(original))
    assert n_deleted > len(content) // 512 / 2
    copy.write_bytes(content)
    staging.open()
    assert copy.exists()


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def starved(recipe: Write, folder: Path) -> Path:
    """A recipe that drops every sample: the provider's profile has the wrong encoding."""
    shipped = (resource_dir("profiles/providers") / "planetary-computer.yaml").read_text()
    profile = text(folder / "custom.yaml", shipped.replace("stored: reflectance_dn", "stored: gamma0_power"))
    return recipe(sensors=["s2"], provider=str(profile))


def test_a_build_that_drops_all_samples_is_not_sealed_and_lists_them(recipe: Write, tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    local = starved(recipe, tmp_path)
    for _ in range(2):
        with raises(SealingFailed, file=str(out), exit_code=1):
            build(few(local, out))
        planned = pq.read_table(out / "plan.parquet")["id"].to_pylist()
        rows = pq.read_table(out / "ledger.parquet").to_pylist()
        assert planned
        assert {row["id"]: row["reason"] for row in rows if row["stage"] != "plan"} == dict.fromkeys(
            planned, "encoding"
        )
        assert not (out / "corpus.json").exists()


def test_a_truncated_manifest_is_refused(copy: Path, recipe: Write) -> None:
    truncate(copy / "corpus.json")
    before = files(copy)
    for act in (landmark.open, lambda out: build(few(recipe(), out))):
        with raises(InvalidCorpus, name="corpus.json"):
            act(copy)
    assert files(copy) == before


def test_a_damaged_shard_is_rebuilt_after_the_manifest_was_deleted(copy: Path, sealed: Path, recipe: Write) -> None:
    truncate(shard_of(copy, "s2"))
    (copy / "corpus.json").unlink()
    manifest = build(few(recipe(), copy))
    assert isinstance(manifest, Manifest)
    assert files(copy) == files(sealed)
