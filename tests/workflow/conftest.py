"""A small sealed corpus, and an archive behind a URL that answers byte ranges and now and then loses a file."""

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build


class Archive(http.server.SimpleHTTPRequestHandler):
    """Answers byte ranges; a path whose end is in `gone` is not found."""

    gone: ClassVar[set[str]] = set()

    def send_head(self) -> object:
        path = Path(self.translate_path(self.path))
        if any(self.path.endswith(name) for name in self.gone):
            return self.send_error(404)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or not path.is_file():
            return super().send_head()
        first, size = int(asked[1]), path.stat().st_size
        last = min(int(asked[2] or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(first)
            self.wfile.write(file.read(last - first + 1))
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(world: Path) -> Iterator[str]:
    """Where the small world is served."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Archive, directory=str(world))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def gone() -> Iterator[set[str]]:
    """Ends of the paths the archive has lost for now."""
    yield Archive.gone
    Archive.gone.clear()


def few(recipe: Path, out: Path, **changes: Any) -> BuildRequest:
    """A build of three cells in this process."""
    return BuildRequest(load_recipe(str(recipe), limit=3), out, ExecutorConfig(), **changes)


@pytest.fixture(scope="session")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed") / "corpus"


@pytest.fixture
def sealed(_place: Path, recipe: Callable[..., Path]) -> Path:
    """The corpus of three cells, built once and undisturbed: copy it before you hurt it."""
    if not _place.exists():
        build(few(recipe(), _place))
    return _place
