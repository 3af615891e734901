"""Seeded damage to any file of a sealed corpus: every command ends in an error of landmark's own or in a result."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.cli.main import app
from landmark.core.errors import LandmarkError
from landmark.core.hashing import file_sha256
from landmark.corpus.manifest import Manifest, read_document
from landmark.train.dataset import pixel_blocks, read_annotations
from landmark.train.profile import load_profile
from landmark.train.retrieval.trec import read_queries
from tests.workflow.test_damage import same

Write = Callable[..., Path]
Damage = Callable[[random.Random, Path], bytes]

# All doors are tried in the nightly run, and a few per seed otherwise.
FEW, MANY, FEW_DOORS = 25, 300, 3
NUMBERS = ("-1", "1e400", "10000000000000000000000000", "null", '"text"', "[]", "{}", "0.5", "true")


def flip(random: random.Random, path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    for _ in range(random.choice((1, 1, 16))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(content)


def flip_end(random: random.Random, path: Path) -> bytes:
    """A flipped bit of the last part of the file, where Parquet has its footer."""
    content = bytearray(path.read_bytes())
    content[-random.randrange(1, min(len(content), 4000))] ^= 1 << random.randrange(8)
    return bytes(content)


def zero(random: random.Random, path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    start = random.randrange(len(content))
    stop = min(start + random.choice((1, 64, 4096)), len(content))
    content[start:stop] = bytes(stop - start)
    return bytes(content)


def truncate(random: random.Random, path: Path) -> bytes:
    content = path.read_bytes()
    return content[: random.randrange(len(content))]


def empty(random: random.Random, path: Path) -> bytes:
    return b""


def swap(random: random.Random, path: Path) -> bytes:
    """The content of another file of the corpus."""
    corpus = next(parent for parent in path.parents if (parent / "corpus.json").exists())
    return random.choice(files_of(corpus)).read_bytes()


def retype(random: random.Random, path: Path) -> bytes:
    """Another Parquet file: a column is missing, renamed, of another type or null, or rows are missing or doubled."""
    table = pq.read_table(path)
    name = random.choice(table.column_names)
    place = table.column_names.index(name)
    changed = random.choice((
        lambda: table.drop_columns(name),
        lambda: table.rename_columns([f"{each}_" if each == name else each for each in table.column_names]),
        lambda: table.set_column(place, name, pa.array(range(table.num_rows))),
        lambda: table.set_column(place, name, pa.array([b"\xff\xfe"] * table.num_rows)),
        lambda: table.set_column(place, name, pa.nulls(table.num_rows, table.schema.field(name).type)),
        lambda: table.slice(1),
        lambda: pa.concat_tables([table, table]),
        lambda: table.slice(0, 0),
        lambda: pa.table({"id": ["a"]}),
    ))()  # fmt: skip
    pq.write_table(changed, sink := pa.BufferOutputStream())
    return sink.getvalue().to_pybytes()


def edit(random: random.Random, path: Path) -> bytes:
    """A JSON document with a number, a text or a line in place of another, or lines that stand twice."""
    lines = path.read_bytes().splitlines()
    number = random.randrange(len(lines))
    key, colon, _ = lines[number].partition(b": ")
    lines[number] = random.choice((
        key + colon + random.choice(NUMBERS).encode() + b",",
        lines[number].replace(b'"', b'"\xff\xfe', 1),
        lines[number] + b"," + lines[number],
        b"",
    ))  # fmt: skip
    return b"\n".join(lines)


def double_shard(random: random.Random, path: Path) -> bytes:
    manifest: Manifest = read_document(Manifest, path)
    return manifest.model_copy(update={"shards": [*manifest.shards, manifest.shards[0]]}).model_dump_json().encode()


def files_of(corpus: Path) -> list[Path]:
    return sorted(path for path in corpus.rglob("*") if path.suffix in (".parquet", ".json", ".jsonl"))


def damages_of(path: Path) -> list[Damage]:
    kinds: list[Damage] = [flip, zero, truncate, empty, swap]
    if path.suffix == ".parquet":
        return [*kinds, flip_end, flip_end, retype, retype]
    return [*kinds, edit, edit, edit, edit, *([double_shard] if path.name == "corpus.json" else [])]


def hurt(seed: int, corpus: Path) -> Path:
    """Damage a file of a corpus; the copy's other files may be links."""
    choice = random.Random(seed)
    path = choice.choice(files_of(corpus))
    content = choice.choice(damages_of(path))(choice, path)
    path.unlink()
    path.write_bytes(content)
    return path


def linked(corpus: Path, copy: Path) -> Path:
    return Path(shutil.copytree(corpus, copy, copy_function=os.link))


def run(*arguments: object) -> int:
    """Exit code of a command that ends without an error."""
    return app([str(argument) for argument in arguments], standalone_mode=False) or 0


def iterate(corpus: Path, truth: landmark.Corpus) -> None:
    """Every sample that is read is the right one; a file whose digest tells that it is another may give others."""
    opened = landmark.open(corpus)
    for sample in opened:
        digests = {corpus / shard.path: shard.sha256 for shard in truth.manifest.shards}
        if all(file_sha256(path) == sha256 for path, sha256 in digests.items()):
            assert same(sample, truth[sample.id])
    opened.index()


def open_for_training(corpus: Path) -> None:
    opened = landmark.open(corpus)
    for sensor in opened.manifest.sensors:
        selection = opened.select(sensor=sensor)
        read_annotations(selection, "structured", "en")
        list(pixel_blocks(selection, load_profile("tiny").image))
    read_queries(opened)


def doors(corpus: Path, out: Path, recipe: Path, id: str) -> dict[str, Callable[[], object]]:
    """What a user does with a corpus; the last two write."""
    built = ("build", recipe, "--out", corpus, "--limit", 3, "--workers", 0)
    return {
        "check": lambda: run("check", corpus, "--workers", 0),
        "explain": lambda: run("explain", corpus, id),
        "sheet": lambda: run("sheet", corpus, "--out", out / "sheet.png"),
        "page": lambda: run("sheet", corpus, "--out", out / "sheet.html"),
        "files": lambda: run("files", corpus),
        "train": lambda: open_for_training(corpus),
        "try": lambda: run("recaption", corpus, "--set", "thresholds.default=10", "--dry-run", "--workers", 0),
        "recaption": lambda: run("recaption", corpus, "--set", "thresholds.default=10", "--workers", 0),
        "build": lambda: run(*built),
    }


def succeeds(act: Callable[[], object]) -> bool:
    try:
        act()
    except LandmarkError as error:
        assert error.file is not None
        return False
    return True


@pytest.mark.parametrize(
    "seed", [*range(FEW), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(FEW, MANY))]
)
def test_damage_is_an_error_or_a_result(seed: int, sealed: Path, recipe: Write, tmp_path: Path) -> None:
    damaged = linked(sealed, tmp_path / "damaged")
    path = hurt(seed, damaged)
    intact = file_sha256(path) == file_sha256(sealed / path.relative_to(damaged))
    truth = landmark.open(sealed)
    succeeds(lambda: iterate(damaged, truth))
    names = list(doors(damaged, tmp_path, recipe(), truth.ids[0]))
    if seed < FEW:
        names = random.Random(seed).sample(names, FEW_DOORS)
    for name in names:
        copy = linked(damaged, tmp_path / name)
        codes = []
        done = succeeds(lambda: codes.append(doors(copy, tmp_path, recipe(), truth.ids[0])[name]()))  # noqa: B023
        if name == "check" and done and path.parent.parent.name == "shards":
            assert intact or codes == [1]
        shutil.rmtree(copy)
