"""A small sealed corpus, and the small world behind a URL whose files can be made to answer 404."""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build


class Archive(http.server.SimpleHTTPRequestHandler):
    """Answers byte ranges; paths that end in a name in `gone` answer 404, in `shifted` with later ranges, honestly.

    A path in `replaced` has so many requests answered from each of some files in turn, and then from the last one.
    """

    gone: ClassVar[set[str]] = set()
    shifted: ClassVar[set[str]] = set()
    replaced: ClassVar[dict[str, list[tuple[int, Path]]]] = {}

    def send_head(self) -> object:
        path = Path(self.translate_path(self.path))
        if any(self.path.endswith(name) for name in self.gone):
            return self.send_error(404)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None or not path.is_file():
            return super().send_head()
        path = self._version(path)
        first, size = int(match[1]), path.stat().st_size
        first += 10 * (first > 0 and any(self.path.endswith(name) for name in self.shifted))
        last = min(int(match[2] or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        for name, value in self.validators(path).items():
            self.send_header(name, value)
        self.end_headers()
        with path.open("rb") as file:
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))
        return None

    def _version(self, path: Path) -> Path:
        """The file that a request for a path is answered from."""
        versions = self.replaced.get(self.path, [])
        if versions:
            left, path = versions[0]
            versions[0] = left - 1, path
            if left <= 1 and len(versions) > 1:
                versions.pop(0)
        return path

    def validators(self, path: Path) -> dict[str, str]:
        """Headers that identify the version of a file."""
        return {"ETag": f'"{path.name}-{path.stat().st_mtime_ns}"'}

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path, handler: type[Archive]) -> Iterator[str]:
    """URL of a server of a folder's files."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(world: Path) -> Iterator[str]:
    """URL of the small world."""
    with serve(world, Archive) as address:
        yield address


@pytest.fixture
def gone() -> Iterator[set[str]]:
    """Endings of paths that answer 404 during a test."""
    yield Archive.gone
    Archive.gone.clear()


@pytest.fixture
def shifted() -> Iterator[set[str]]:
    """Endings of paths whose blocks are answered with another range during a test."""
    yield Archive.shifted
    Archive.shifted.clear()


@pytest.fixture
def replaced() -> Iterator[dict[str, list[tuple[int, Path]]]]:
    """Path → the files that its requests are answered from, and how many each, during a test."""
    yield Archive.replaced
    Archive.replaced.clear()


def few(recipe: Path, out: Path, **changes: Any) -> BuildRequest:
    """A build of three cells in this process."""
    return BuildRequest(load_recipe(str(recipe), limit=3), out, ExecutorConfig(), **changes)


@pytest.fixture(scope="session")
def _sealed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed") / "corpus"


@pytest.fixture
def sealed(_sealed_folder: Path, recipe: Callable[..., Path]) -> Path:
    """A corpus of three cells, built once; tests that change it copy it first."""
    if not _sealed_folder.exists():
        build(few(recipe(), _sealed_folder))
    return _sealed_folder
