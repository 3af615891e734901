"""`inputs.parquet`: which versions of its files a build has read, and which of them have changed since."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.errors import InvalidCorpus, SealingFailed
from landmark.core.hashing import file_sha256
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import read_document
from landmark.workflow.build import build, plan_corpus
from tests.parts import raises
from tests.workflow.conftest import Archive, few, serve
from tests.workflow.test_build import files

Write = Callable[..., Path]
Headers = dict[str, str]

MONDAY, TUESDAY = "Mon, 01 Mar 2021 12:00:00 GMT", "Tue, 02 Mar 2021 12:00:00 GMT"


class VersionedArchive(Archive):
    """The validators of a path are those of the first ending in `versions` that it has."""

    versions: ClassVar[dict[str, Headers]] = {}

    def validators(self, path: Path) -> Headers:
        return next((headers for end, headers in self.versions.items() if self.path.endswith(end)), {})


@pytest.fixture
def versions() -> Iterator[dict[str, Headers]]:
    """Headers by the ending of a path; by default every raster has an ETag."""
    VersionedArchive.versions.clear()
    VersionedArchive.versions[".tif"] = {"ETag": '"1"'}
    yield VersionedArchive.versions
    VersionedArchive.versions.clear()


@pytest.fixture
def catalog(world: Path) -> Iterator[str]:
    """URL of the small world's catalogue."""
    with serve(world, VersionedArchive) as url:
        yield f"{url}/catalog.json"


def rows_of(corpus: Path) -> list[dict[str, object]]:
    return pq.read_table(corpus / "inputs.parquet").to_pylist()


def set_first(versions: dict[str, Headers], end: str, headers: Headers) -> None:
    remaining = {name: value for name, value in versions.items() if name != end}
    versions.clear()
    versions.update({end: headers, **remaining})


def unseal(corpus: Path) -> None:
    """As after the loss of everything that was written."""
    (corpus / "corpus.json").unlink()
    shutil.rmtree(corpus / "shards")


def first_file(corpus: Path) -> tuple[str, set[str]]:
    """Href of a file of the lock, and the samples cut from it."""
    lock, truth = read_document(Lock, corpus / "lock.json"), landmark.open(corpus)
    item = lock.acquisitions_by_id[pq.read_table(corpus / "plan.parquet")["acquisition"][0].as_py()].items[0]
    return next(iter(item.assets.values())), {id for id in truth.ids if item.id in truth[id].items}


def test_local_files_are_listed_with_the_digests_of_the_lock(sealed: Path, world: Path) -> None:
    rows = rows_of(sealed)
    assert [row["href"] for row in rows] == [file.href for file in read_document(Lock, sealed / "lock.json").files]
    assert {row["sha256"] for row in rows} == {file_sha256(world / str(row["href"])) for row in rows}
    assert all(row["etag"] is row["modified"] is None for row in rows)


def test_remote_files_are_listed_with_size_and_validators(
    catalog: str, versions: dict[str, Headers], world: Path, recipe: Write, tmp_path: Path
) -> None:
    plan_corpus(few(recipe(), tmp_path / "corpus", catalog=catalog))
    labels = {label.href for label in read_document(Lock, tmp_path / "corpus" / "lock.json").labels}
    planned = {str(row["href"]) for row in rows_of(tmp_path / "corpus")}
    assert labels & planned, "label maps are read while planning only"
    build(few(recipe(), tmp_path / "corpus", catalog=catalog))
    rows = {str(row.pop("href")): row for row in rows_of(tmp_path / "corpus")}
    used = {file.href for file in read_document(Lock, tmp_path / "corpus" / "lock.json").files}
    assert planned < rows.keys() <= used
    assert rows.keys() >= used - labels
    for href, row in rows.items():
        size = (world / href).stat().st_size
        assert row == {"size_bytes": size, "etag": '"1"', "modified": None, "sha256": None}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({"ETag": '"1"', "Last-Modified": MONDAY}, {"ETag": '"2"', "Last-Modified": MONDAY}, True),
        ({"ETag": '"1"', "Last-Modified": MONDAY}, {"ETag": 'W/"1"', "Last-Modified": TUESDAY}, False),
        ({"Last-Modified": MONDAY}, {"Last-Modified": TUESDAY}, True),
        ({"ETag": '"1"'}, {"Last-Modified": TUESDAY}, True),
        ({}, {"ETag": '"2"'}, False),
        ({}, {}, False),
    ],
)
def test_a_rebuild_names_changed_files(
    before: Headers,
    after: Headers,
    changed: bool,
    catalog: str,
    versions: dict[str, Headers],
    recipe: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, copy = tmp_path / "corpus", tmp_path / "copy"
    versions[".tif"] = before
    build(few(recipe(), out, catalog=catalog))
    content, (href, ids) = files(out), first_file(out)
    unseal(out)
    shutil.copytree(out, copy)
    set_first(versions, href, after)

    # With --locked, the samples of the file fail, and can be retried once it is restored.
    again = few(recipe(), out, catalog=catalog, locked=True)
    if changed:
        with raises(SealingFailed, exit_code=1):
            build(again)
        ledger = pq.read_table(out / "ledger.parquet").to_pylist()
        assert {row["id"]: row["reason"] for row in ledger if row["stage"] == "extract"} == dict.fromkeys(
            ids, "changed"
        )
        versions[href] = before
    build(few(recipe(), out, catalog=catalog, locked=True, retry=True))
    assert files(out) == content
    versions[href] = after

    # Without it, they are written, and a warning names the file.
    with caplog.at_level(logging.WARNING):
        build(few(recipe(), copy, catalog=catalog))
    named = [record.getMessage() for record in caplog.records if href in record.getMessage()]
    assert len(named) == changed
    (row,) = [row for row in rows_of(copy) if row["href"] == href]
    assert row["etag"] == after.get("ETag")


def test_attempts_of_several_runs_are_listed(
    catalog: str, versions: dict[str, Headers], gone: set[str], recipe: Write, tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    gone.add("/B03.tif")
    with raises(SealingFailed):
        build(few(recipe(), out, catalog=catalog))
    gone.clear()
    versions["/B04.tif"] = versions.pop(".tif")
    versions[".tif"] = {"ETag": '"2"'}
    build(few(recipe(), out, catalog=catalog, retry=True))
    etags = {href: [row["etag"] for row in rows_of(out) if row["href"] == href] for href in hrefs(out)}
    assert {tuple(values) for href, values in etags.items() if href.endswith("/B04.tif")} == {('"1"',)}
    assert {tuple(values) for href, values in etags.items() if href.endswith("/B03.tif")} == {('"2"',)}
    assert {tuple(values) for href, values in etags.items() if href.endswith("/vv.tif")} == {('"1"',)}


def hrefs(corpus: Path) -> set[str]:
    return {str(row["href"]) for row in rows_of(corpus)}


def test_a_damaged_table_is_named(sealed: Path, recipe: Write, tmp_path: Path) -> None:
    out = Path(shutil.copytree(sealed, tmp_path / "corpus"))
    unseal(out)
    (out / "inputs.parquet").write_bytes(b"PAR1")
    with raises(InvalidCorpus, name="inputs.parquet"):
        build(few(recipe(), out, locked=True))
