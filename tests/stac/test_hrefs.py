"""Queries of hrefs: what selects a file is kept and reaches it; what may be a credential is never stored."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import landmark as package
from landmark.stac.hrefs import unsigned_href
from tests.conftest import Run
from tests.stac.items import collected, items_of

FILE = "https://example.org/a/B04.tif"
COLLECTIONS = ("sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("version=3", "?version=3"),
        ("raw=1", "?raw=1"),
        ("versionId=3HL4kqtJlcpXroDTDmJ-rmSpXd3dIbrHY-MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo", None),
        ("file=S2A_MSIL2A_20210612T101031_R022_T32TPR_B04.tif&raw", None),
        ("", ""),
        ("se=2026-11-05&sp=rl&sv=2025-07-05&sr=c&sig=c2VjcmV0", ""),
        ("version=3&sig=c2VjcmV0&se=2026", "?version=3"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F2&X-Amz-Signature=ab12&versionId=7", "?versionId=7"),
        ("AWSAccessKeyId=AKIA&Signature=x&Expires=1", ""),
        ("X-Goog-Signature=ab&generation=17", "?generation=17"),
        ("access_token=x", ""),
        ("api_key=x", ""),
        ("auth=x&raw=1", "?raw=1"),
        ("x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", ""),
        ("q=9f86d081884c7d659a2feaa0c55ad015", ""),
    ],
)
def test_only_credentials_are_removed(query: str, expected: str | None) -> None:
    assert unsigned_href(f"{FILE}?{query}") == FILE + (f"?{query}" if expected is None else expected)


class Versions(http.server.SimpleHTTPRequestHandler):
    """Serves a file only with `?version=3`."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if query != "version=3":
            self.send_error(404)
            return
        data = Path(self.translate_path(path)).read_bytes()
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = data[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def versions(world: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Versions, directory=str(world))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("remote", [True, False])
def test_a_query_reaches_the_file_and_is_recorded(
    remote: bool, versions: str, recipe: Callable[..., Path], landmark: Run, world: Path, tmp_path: Path
) -> None:
    items = [item for name in COLLECTIONS for item in items_of(world, name)]
    for item in items:
        for asset in item["assets"].values():
            place = asset["href"].replace(str(world), versions) if remote else asset["href"]
            asset["href"] = f"{place}?version=3&sig=c2VjcmV0"
    file, out = collected(tmp_path / "archive", items), tmp_path / "corpus"
    code, _, err = landmark("build", recipe(catalog=str(file)), "--limit", 2, "--workers", 0, "--out", out)
    assert code == 0, err
    assert landmark("check", out, "--workers", 0, "--fail-on", "error")[0] == 0
    lock = (out / "lock.json").read_text()
    hrefs = [entry["href"] for entry in json.loads(lock)["files"]]
    assert "sig=" not in lock and all(href.endswith("?version=3") == remote for href in hrefs)
    assert len(package.open(out)) == 8
