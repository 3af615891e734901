"""Corpora from strangers: commands refuse them by file and reason, and touch nothing outside."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import landmark as library
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputsChanged, InvalidCorpus
from landmark.core.executor import ExecutorConfig
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document
from landmark.workflow.build import BuildRequest, build, plan_corpus
from landmark.workflow.recaption import recaption, recipe_of
from tests.conftest import Refuse, Run
from tests.parts import raises
from tests.workflow.conftest import few

Write = Callable[..., Path]
Attack = Callable[[Path, Path], None]

# A recaptioning, and a build that adds an export, write to a sealed corpus; the other commands only read it.
WRITERS = ("recaption", "build")
READERS = ("check", "files", "sheet", "explain", "train", "validate")


def tree(folder: Path) -> dict[str, tuple[float, bytes | None]]:
    """Every file and folder with its time of change and its bytes."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Files of another; nothing of it may change during a test."""
    folder = tmp_path / "outside"
    for name in ("shards/g0000", "g0000", "g0001", "recaption/key", "exports/key", "shards/key", "job"):
        (folder / name).mkdir(parents=True)
    for name in ("file", "g0000/s2.parquet", "g0001/s2.tar", "recaption/key/a.json", "test.txt", ".a.1.partial"):
        (folder / name).write_text("canary")
    before = tree(folder)
    yield folder
    assert tree(folder) == before


@pytest.fixture
def copy(sealed: Path, tmp_path: Path, outside: Path) -> Path:
    """A copy of a sealed corpus, beside `outside/`."""
    return Path(shutil.copytree(sealed, tmp_path / "corpus"))


@pytest.fixture
def arguments(copy: Path, recipe: Write) -> Callable[[str], list[object]]:
    """Arguments of a command on the copy."""
    id = library.open(copy).ids[0]
    options: dict[str, list[object]] = {
        "recaption": [copy, "--set", "thresholds.default=20", "--workers", 0],
        "build": [recipe(), "--limit", 3, "--out", copy, "--format", "parquet,webdataset", "--workers", 0],
        "check": [copy, "--workers", 0],
        "files": [copy],
        "sheet": [copy],
        "explain": [copy, id],
        "train": [copy, "--out", "run", "--model", "tiny"],
        "validate": [copy, "--smoke"],
    }
    return lambda command: [command, *options[command]]


def link_folder(name: str) -> Attack:
    """Replace a folder of the corpus by a link to a folder outside."""

    def attack(corpus: Path, outside: Path) -> None:
        path = corpus / name
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(outside, target_is_directory=True)

    return attack


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON document."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("command", [*WRITERS, *READERS])
def test_shards_behind_a_link_are_refused(
    command: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments(command)
    link_folder("shards/g0000")(copy, outside)
    before = tree(copy)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(copy / "shards/g0000"))
    # A lock file comes and goes.
    assert tree(copy) | {".": None} == before | {".": None}
    with raises(InvalidCorpus, file=str(copy / "shards/g0000")):
        library.open(copy)


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize("name", ["shards", "shards/g0001", "journal", "journal/recaption", "staging", "qrels"])
def test_folders_that_a_command_would_write_to_are_no_links(
    name: str, command: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments(command)
    link_folder(name)(copy, outside)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(copy / name))


@pytest.mark.parametrize("command", [*WRITERS, *READERS])
def test_a_manifest_that_would_delete_files_outside_is_refused(
    command: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments(command)

    def change(manifest: dict[str, Any]) -> None:
        shard = manifest["shards"][0] | {"path": "../outside/g0000/s2.parquet"}
        digests = dict.fromkeys(("landmark_version", "recipe_digest", "lock_digest", "content_digest"), "")
        manifest["superseded"] = [{**digests, "shards": [shard], "exports": []}]

    edit(copy / "corpus.json", change)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(copy / "corpus.json"))
    assert (error.key, error.value) == ("superseded.0.shards.0.path", "../outside/g0000/s2.parquet")


@pytest.mark.parametrize(
    ("document", "key", "value"),
    [
        ("corpus.json", "shards.0.path", "shards/g0000/../../../outside/file"),
        ("corpus.json", "shards.0.path", "shards/g0001/s1-train-00000-of-00001.parquet"),
        ("corpus.json", "shards.0.path", "lock.json"),
        ("corpus.json", "shards.0.path", "/etc/passwd"),
        ("corpus.json", "shards.0.split", "../outside/test"),
        ("corpus.json", "shards.0.k", 7),
        ("corpus.json", "name", "../../outside/run"),
        ("corpus.json", "exports.0.path", "shards/g0000/s1-train-00007-of-00009.tar"),
        ("corpus.json", "shards.0.generation", -1),
        ("corpus.json", "shards.0.generation", 10**30),
        ("corpus.json", "sensors.0", "../outside/file"),
        ("corpus.json", "shards.0", {"path": "shards/g0001/a.parquet", "generation": 1}),
        ("corpus.json", "exports.0.path", "../outside/file.tar"),
        ("corpus.json", "exports.0.shard", "../outside/file.parquet"),
        ("corpus.json", "queries.0.path", "../outside/file"),
        ("corpus.json", "queries.0.path", "corpus.json"),
        ("corpus.json", "superseded.0.shards.0.path", "corpus.json"),
        ("corpus.json", "superseded.0.exports.0.path", "../outside/file.tar"),
        ("lock.json", "recipe.taxonomy", "../outside/file.yaml"),
        ("lock.json", "recipe.provider", "/outside/file.yaml"),
        ("lock.json", "recipe.languages.0", "file.yaml"),
        ("lock.json", "recipe.labels.0.source", "../outside/file"),
        ("lock.json", "recipe.gazetteer", {"file": "/outside/file", "licence": "", "attribution": ""}),
        ("lock.json", "acquisitions.0.id", "../../outside/s2"),
    ],
)
def test_documents_that_name_paths_outside_are_invalid(
    document: str, key: str, value: object, sealed: Path, tmp_path: Path
) -> None:
    content = json.loads((sealed / document).read_text())
    if document == "corpus.json":
        shard = content["shards"][0]
        exports = [{**{name: shard[name] for name in ("rows", "size_bytes", "sha256")}, "path": "", "shard": ""}]
        exports[0] |= {"path": shard["path"].replace(".parquet", ".tar"), "shard": shard["path"]}
        digests = dict.fromkeys(("landmark_version", "recipe_digest", "lock_digest", "content_digest"), "")
        content["exports"] = exports
        content["superseded"] = [{**digests, "shards": [dict(shard)], "exports": [dict(exports[0])]}]
    path = tmp_path / document
    path.write_text(json.dumps(content))
    (tmp_path / "shards/g0000").mkdir(parents=True)
    model: type[Manifest] | type[Lock] = Manifest if document == "corpus.json" else Lock
    assert isinstance(read_document(model, path), model)

    def change(changed: Any) -> None:
        *outer, last = (int(part) if part.isdigit() else part for part in key.split("."))
        for part in outer:
            changed = changed[part]
        changed[last] = {**changed[last], **value} if isinstance(value, dict) and changed[last] else value

    edit(path, change)
    with raises(InvalidCorpus, file=str(path), exit_code=2):
        read_document(model, path)


@pytest.mark.parametrize(
    ("command", "key", "value"),
    [
        ("sheet", "counts.planned", None),
        ("build", "samples.s1.val", None),
        ("check", "grammar.languages", [1]),
        ("explain", "grammar.languages", "en"),
        ("recaption", "grammar.languages.en", {"lang": "en"}),
    ],
)
def test_incomplete_manifests_are_refused(
    command: str,
    key: str,
    value: object,
    copy: Path,
    outside: Path,
    arguments: Callable[[str], list[object]],
    refusal: Refuse,
) -> None:
    command_line = arguments(command)

    def change(changed: Any) -> None:
        *outer, last = key.split(".")
        for part in outer:
            changed = changed[part]
        del changed[last]
        if value is not None:
            changed[last] = value

    edit(copy / "corpus.json", change)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(copy / "corpus.json"))
    assert error.key is not None and error.key.startswith(key) and error.remedy


@pytest.mark.parametrize("name", ["corpus.json", "README.md", ".landmark.lock"])
def test_folders_in_place_of_files_are_refused(
    name: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments("recaption")
    (copy / name).unlink(missing_ok=True)
    (copy / name).mkdir()
    error = refusal(*command_line)
    assert (error.exit_code, error.file, error.remedy) == (2, str(copy / name), "delete it")


@pytest.mark.parametrize("command", WRITERS)
def test_links_to_themselves_are_missing_files(
    command: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments(command)
    shard = copy / library.open(copy).manifest.shards[0].path
    shard.unlink()
    shard.symlink_to(shard.name)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(shard))


@pytest.mark.parametrize("name", ["corpus.json", "lock.json", "index.parquet", "plan.parquet", "ledger.parquet", "x"])
def test_pipes_are_refused_and_not_waited_for(
    name: str, copy: Path, outside: Path, arguments: Callable[[str], list[object]], refusal: Refuse
) -> None:
    command_line = arguments("build")
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    error = refusal(*command_line)
    assert (type(error), error.exit_code, error.file) == (InvalidCorpus, 2, str(copy / name))


def test_files_that_are_links_are_read_and_replaced(copy: Path, outside: Path, recipe: Write) -> None:
    cache = copy.parent / "cache"
    for path in [path for path in copy.rglob("*") if path.is_file()]:
        target = cache / file_sha256(path)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
        path.symlink_to(target)
    before, linked = tree(cache), copy.parent / "linked"
    linked.symlink_to(copy)
    corpus = library.open(linked)
    assert [sample.id for sample in corpus] == corpus.ids
    result = recaption(linked, recipe_of(linked, {"thresholds.default": 20}), ExecutorConfig())
    assert result.changed and len(list(library.open(linked))) == len(corpus)
    assert tree(cache) == before


def test_partial_files_of_a_stranger_are_not_written_through(copy: Path, outside: Path, recipe: Write) -> None:
    (copy / "index.parquet").unlink()
    for name in ("index.parquet", "README.md", "corpus.json"):
        (copy / f".{name}.{os.getpid()}.partial").symlink_to(outside / "file")
    build(few(recipe(), copy))
    assert library.open(copy).ids


def test_only_files_of_the_manifest_are_exported_and_recaptioned(copy: Path, outside: Path, recipe: Write) -> None:
    shard = copy / library.open(copy).manifest.shards[0].path
    secret = copy.parent / "secret.parquet"
    # Another file of the same size.
    secret.write_bytes(shard.read_bytes()[:-9] + b"x" + shard.read_bytes()[-8:])
    shard.unlink()
    shard.symlink_to(secret)
    request = BuildRequest(load_recipe(str(recipe()), limit=3, formats="parquet,webdataset"), copy, ExecutorConfig())
    for work in (
        lambda: build(request),
        lambda: recaption(copy, recipe_of(copy, {"thresholds.default": 20}), ExecutorConfig()),
    ):
        with raises(InvalidCorpus, file=str(shard), exit_code=2):
            work()
    assert not list(copy.rglob("*.tar"))


@pytest.mark.parametrize(("column", "value"), [("split", "../../../outside/g0000/a"), ("acquisition", "../outside")])
def test_a_plan_that_would_clear_folders_outside_is_refused(
    column: str, value: str, recipe: Write, outside: Path, tmp_path: Path
) -> None:
    request = few(recipe(), tmp_path / "planned")
    plan_corpus(request)
    path = request.out / "plan.parquet"
    table = pq.read_table(path)
    number = table.column_names.index(column)
    values = pa.array([value] * table.num_rows)
    pq.write_table(table.set_column(number, table.schema.field(column), values), path)
    edit(request.out / "lock.json", lambda lock: lock.update(plan_sha256=file_sha256(path)))
    with raises(InputsChanged, file=str(path), key=column, value=value, exit_code=2):
        build(request)
    assert not (request.out / "staging").exists()


@pytest.mark.parametrize("name", ["sheet.png", "sheet.html"])
def test_a_sheet_replaces_a_link(name: str, copy: Path, outside: Path, landmark: Run) -> None:
    Path(name).symlink_to(outside / "file")
    code, out, _ = landmark("sheet", copy, "--out", name, "--pairs", 1)
    assert (code, out.strip()) == (0, name) and not Path(name).is_symlink()


def test_names_cannot_steer_a_terminal(copy: Path, outside: Path, landmark: Run) -> None:
    edit(copy / "corpus.json", lambda manifest: manifest["shards"][0].update(path="\x1b]0;a\x07\x9b2J\u202e../b"))
    for command in ("files", "check"):
        code, out, err = landmark(command, copy)
        assert (code, out) == (2, "")
        assert not set("\x1b\x07\x9b\u202e") & set(err)


def test_texts_of_a_corpus_cannot_steer_a_terminal(copy: Path, outside: Path, landmark: Run) -> None:
    corpus = library.open(copy)
    index = pq.read_table(copy / "index.parquet")
    rows = index.to_pylist()
    for caption in rows[0]["captions"]:
        caption |= {"text": "\x1b[2J\x9b2Jgone", "evidence": []}
    pq.write_table(pa.Table.from_pylist(rows, schema=index.schema), copy / "index.parquet")
    for option in ([], ["--json"]):
        code, out, _ = landmark("explain", copy, corpus.ids[0], *option)
        assert code == 0 and "\\u001b[2J" in out and not set("\x1b\x9b") & set(out)
