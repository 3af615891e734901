"""Corpora below a URL: the same samples as in a folder, from every store, and every damage by file and remedy."""

import dataclasses
import json
import os
import pickle
import shutil
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import landmark
from landmark.core.errors import GenerationReplaced, InputError, InvalidCorpus
from landmark.core.ranges.store_file import open_bucket
from landmark.corpus import remote_shards
from landmark.corpus.reader import Corpus
from tests.conftest import require
from tests.parts import raises
from tests.raster.conftest import short_timeouts as short_timeouts
from tests.raster.faults import Fault, clipped, garbled, new_version, refuse, restated, unranged
from tests.raster.serving import Files, serving
from tests.services.keeper import AZURITE
from tests.services.stores import azurite, moto
from tests.train.toy import build_toy

pytestmark = pytest.mark.usefixtures("short_timeouts")

TRAIN = "shards/g0000/s2-train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose shards have up to three row groups."""
    return build_toy(tmp_path_factory.mktemp("remote") / "corpus", counts={"train": 150, "val": 8})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LANDMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclasses.dataclass(frozen=True)
class Served:
    """A copy of a corpus on a server."""

    files: Files
    name: str

    @property
    def url(self) -> str:
        return self.files.href(self.name)

    @property
    def folder(self) -> Path:
        return self.files.folder / self.name

    def plan(self, path: str, fault: Fault, **conditions: Any) -> None:
        self.files.plan(f"{self.name}/{path}", fault, **conditions)

    def n_requests(self, path: str) -> int:
        return len(self.files.requests(f"{self.name}/{path}"))


@pytest.fixture
def served(toy: Path, files: Files, request: pytest.FixtureRequest) -> Served:
    """The corpus under a URL of the test's own."""
    name = urllib.parse.quote(request.node.name, safe="").translate(str.maketrans("%[]", "---"))
    shutil.copytree(toy, files.folder / name)
    return Served(files, name)


def same(first: Corpus, second: Corpus) -> bool:
    """Whether two corpora have the same samples, one by one and in batches."""
    pairs = zip(first, second, strict=True)
    arrays = [(getattr(a, name), getattr(b, name)) for a, b in pairs for name in ("s1", "s2", "mask")]
    alike = all(np.array_equal(a, b, equal_nan=a is not None and a.dtype.kind == "f") for a, b in arrays)
    batches = zip(*(corpus.loader(batch=16, seed=1) for corpus in (first, second)), strict=True)
    return alike and first.table == second.table and all(same_batch(a, b) for a, b in batches)


def same_batch(first: Any, second: Any) -> bool:
    return first.ids == second.ids and all(
        np.array_equal(values, second.pixels[sensor].groups[name])
        for sensor, pixels in first.pixels.items()
        for name, values in pixels.groups.items()
    )


# -- the same samples from everywhere ----------------------------------------------------------------------------------


def upload(folder: Path, store: Any) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            obstore.put(store, f"some/prefix/{path.relative_to(folder)}", path.read_bytes())


@pytest.fixture(params=["https", "unranged", "s3", "az", "gs"])
def url(request: pytest.FixtureRequest, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of the corpus in a store."""
    if request.param in ("https", "unranged", "gs"):
        served = request.getfixturevalue("served")
        if request.param != "https":
            fault = unranged if request.param == "unranged" else restated(Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")
            for path in toy.rglob("*"):
                served.plan(str(path.relative_to(toy)), fault)
        monkeypatch.setenv("GOOGLE_BASE_URL", served.files.url)
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
        yield f"gs://{served.name}" if request.param == "gs" else f"{served.url}/?token=secret"
        return
    require(request.param == "s3" or AZURITE.exists(), "needs Azurite; say `make services` and run `make test` again")
    with moto("box") if request.param == "s3" else azurite(tmp_path / "blobs", "box") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        upload(toy, open_bucket(request.param, "box"))
        yield f"{request.param}://box/some/prefix/"
        open_bucket.cache_clear()


def test_a_corpus_below_a_url_has_the_samples_of_the_folder(toy: Path, url: str) -> None:
    local, remote = landmark.open(toy), landmark.open(url)
    assert same(local, remote)
    copied = pickle.loads(pickle.dumps(remote.select(split="val")))
    assert copied[copied.ids[0]].fields == local[copied.ids[0]].fields
    assigned = pickle.loads(pickle.dumps(remote.assign(lon=np.arange(len(remote))).select(split="val")))
    assert [assigned[id].lon for id in assigned.ids] == assigned.rows.tolist()
    assert remote.files(sensor="s2", split="train") == [f"{url.partition('?')[0].rstrip('/')}/{TRAIN}"]
    assert "secret" not in repr(remote)


def test_what_is_in_the_cache_is_not_downloaded_again(served: Served, toy: Path) -> None:
    first = landmark.open(served.url)
    assert same(landmark.open(toy), first)
    first.chips.files.close()
    before = served.n_requests("index.parquet"), served.n_requests(TRAIN)
    for batch in landmark.open(served.url).select(sensor="s2", split="train").loader(batch=16):
        assert len(batch.ids)
    assert (served.n_requests("index.parquet"), served.n_requests(TRAIN)) == before
    assert served.n_requests("corpus.json") == 2


@pytest.mark.parametrize("gigabytes", ["0", "0.000001", None], ids=["off", "tiny", "unwritable"])
def test_without_room_for_a_cache_pages_are_read_singly(
    gigabytes: str | None, served: Served, toy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gigabytes is None:
        cache.write_text("no folder")
    else:
        monkeypatch.setenv("LANDMARK_CACHE_GB", gigabytes)
    assert same(landmark.open(toy), landmark.open(served.url))


@pytest.mark.parametrize(
    "url",
    ["https://user:key@host/x", "s3://", "s3://bucket/x?y=1", "ftp://host/x", "/vsis3/bucket", "https://host/x#y"],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises((InputError, InvalidCorpus)) as caught:
        landmark.open(url)
    assert "key@" not in str(caught.value)


@pytest.mark.parametrize("text", ["-1", "much", "nan"])
def test_a_cache_of_no_size_is_refused(text: str, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARK_CACHE_GB", text)
    with raises(InputError, key="LANDMARK_CACHE_GB", value=text):
        landmark.open(served.url)


def test_a_forked_process_is_refused(served: Served) -> None:
    corpus = landmark.open(served.url)
    if not (child := os.fork()):
        try:
            with raises(InputError, key="path"):
                _ = corpus[corpus.ids[0]]
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- damage ------------------------------------------------------------------------------------------------------------


def read_all(url: str) -> None:
    corpus = landmark.open(url).select(sensor="s2", split="train")
    for _ in range(2):
        for batch in corpus.loader(batch=8):
            assert len(batch.ids) in (8, 6)


@pytest.mark.parametrize(
    "path, fault, conditions",
    [
        ("corpus.json", refuse(503), {"times": 1}),
        ("index.parquet", clipped, {"times": 1}),
        (TRAIN, refuse(429, Retry_After="0"), {"times": 3}),
        (TRAIN, clipped, {"times": 3}),
        (TRAIN, garbled(range(2**20)), {"times": 1}),
    ],
    ids=["busy", "cut index", "rate limit", "cut", "garbled"],
)
def test_faults_that_pass_are_survived(path: str, fault: Fault, conditions: dict[str, int], served: Served) -> None:
    served.plan(path, fault, **conditions)
    read_all(served.url)


@pytest.mark.parametrize(
    "path, fault",
    [
        ("corpus.json", refuse(404)),
        ("corpus.json", refuse(403)),
        ("corpus.json", garbled(range(10))),
        ("index.parquet", refuse(404)),
        ("index.parquet", garbled(range(100, 2**20))),
        ("index.parquet", clipped),
        (TRAIN, refuse(404)),
        (TRAIN, refuse(403)),
        (TRAIN, refuse(500)),
        (TRAIN, clipped),
        (TRAIN, garbled(range(2**20))),
        (TRAIN, new_version(bytes(2**20), '"other"')),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_faults_that_stay_are_errors_of_the_file(path: str, fault: Fault, served: Served) -> None:
    served.plan(path, fault)
    with pytest.raises(InvalidCorpus) as caught:
        read_all(served.url)
    assert caught.value.file == served.files.href(f"{served.name}/{path}") and caught.value.remedy


def test_a_shard_that_is_replaced_in_mid_epoch_is_an_error(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARK_CACHE_GB", "0")  # or else all row groups are here before the last batches are made
    batches = iter(landmark.open(served.url).select(sensor="s2", split="train").loader(batch=8))
    next(batches)
    shard = served.folder / TRAIN
    served.plan(TRAIN, new_version(bytes(shard.stat().st_size), '"other"'))
    with raises(InvalidCorpus, file=served.files.href(f"{served.name}/{TRAIN}")):
        for batch in batches:
            assert len(batch.ids)


def test_a_newer_generation_is_named(served: Served) -> None:
    corpus = landmark.open(served.url)
    manifest = json.loads((served.folder / "corpus.json").read_text())
    for shard in manifest["shards"]:
        shard["path"] = shard["path"].replace("g0000", "g0001")
        shard["generation"] = 1
    (served.folder / "corpus.json").write_text(json.dumps(manifest))
    shutil.move(served.folder / "shards/g0000", served.folder / "shards/g0001")
    with raises(GenerationReplaced, file=served.url):
        _ = corpus[corpus.ids[0]]


def test_pixels_that_differ_from_the_index_are_an_error_of_the_sample(served: Served) -> None:
    """The server's shard is intact by itself: only the digests of the index tell."""
    path = served.folder / "index.parquet"
    table = pq.read_table(path)
    place, row = next(
        (number, row)
        for number, row in enumerate(table.select(["id", "sensor", "split", "sha256"]).to_pylist())
        if (row["sensor"], row["split"]) == ("s2", "train")
    )
    digests = table["sha256"].to_pylist()
    digests[place] = "0" * 64
    column = table.schema.get_field_index("sha256")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(digests)), path)
    href = served.files.href(f"{served.name}/{TRAIN}")
    with raises(InvalidCorpus, file=href, value=row["id"]):
        _ = landmark.open(served.url)[row["id"]]
    with raises(InvalidCorpus, file=href, value=row["id"]):
        read_all(served.url)


def test_paths_outside_are_refused(served: Served) -> None:
    manifest = json.loads((served.folder / "corpus.json").read_text())
    manifest["shards"][0]["path"] = "shards/g0000/../../../x.parquet"
    (served.folder / "corpus.json").write_text(json.dumps(manifest))
    with raises(InvalidCorpus, file=f"{served.url}/corpus.json", key="shards.0.path"):
        landmark.open(served.url)


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"x" * 1000)])
def test_a_damaged_cache_is_downloaded_again(
    harm: Callable[[Path], object], served: Served, toy: Path, cache: Path
) -> None:
    first = landmark.open(served.url)
    assert same(landmark.open(toy), first)
    first.chips.files.close()
    for path in [*cache.glob("row-groups/*"), *cache.glob("corpora/*/*")]:
        if path.suffix != ".lock":
            size = path.stat().st_size
            harm(path)
            if path.parent.name == "row-groups" and path.stat().st_size:
                path.write_bytes(b"x" * size)
    assert same(landmark.open(toy), landmark.open(served.url))


def test_pages_that_nobody_reads_do_not_pile_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARK_CACHE_GB", "0")
    monkeypatch.setattr(remote_shards, "_MAX_HELD_BYTES", 10_000)
    corpus = landmark.open(served.url).select(sensor="s2", split="train")
    corpus.chips.prefetch(corpus.rows.tolist(), [0, 1, 2])
    files = corpus.chips.files
    assert isinstance(files, remote_shards.RemoteShardFiles)
    assert files.held_bytes <= 10_000
    for batch in corpus.loader(batch=8):
        assert len(batch.ids)


def test_no_server_is_an_error_in_time() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/corpus"
    with raises(InvalidCorpus, file=f"{url}/corpus.json"):
        landmark.open(url)
