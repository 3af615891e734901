"""Downloads are the whole file, as it is stored."""

from pathlib import Path

import pytest
import requests

from landmark.core import http, time_limit
from landmark.core.http import RETRY, IncompleteDownload, download, open_session
from tests.raster.faults import Fault, clipped, compressed, cut, dripping, hung_up, in_turn, refuse, restated
from tests.raster.serving import serving

CONTENT = bytes(range(256)) * 40
JSON = b'{"features": [' + b"1, " * 100 + b"1]}"
AS_JSON = restated(200, Content_Type="application/json")


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    monkeypatch.setattr(http, "BACKOFF_S", (0.0,) * len(http.BACKOFF_S))


@pytest.mark.parametrize(
    ("fault", "complete"),
    [
        (None, True),
        (compressed, True),
        (restated(200, Content_Encoding="gzip"), False),
        (restated(206, Content_Range="bytes 0-10239/99999"), False),
        (cut(100), False),
    ],
)
def test_a_download_is_complete_or_an_error(tmp_path: Path, fault: Fault | None, complete: bool) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with serving(tmp_path) as files, open_session() as session, (tmp_path / "b.bin").open("w+b") as copy:
        if fault is not None:
            files.plan("a.bin", fault)
        if complete:
            download(session, files.href("a.bin"), copy)
            copy.seek(0)
            assert copy.read() == CONTENT
            assert session.get(files.href("a.bin")).content == CONTENT
        else:
            with pytest.raises(IncompleteDownload):
                download(session, files.href("a.bin"), copy)
            with pytest.raises(requests.RequestException):
                session.get(files.href("a.bin"))


@pytest.mark.parametrize("times", [6, None])
@pytest.mark.parametrize(
    "fault",
    [
        refuse(503),
        hung_up,
        in_turn(AS_JSON, cut(100)),
        in_turn(AS_JSON, clipped),
        restated(200, Content_Encoding="gzip"),
    ],
)
def test_a_document_that_is_cut_is_requested_as_often_as_from_a_busy_server(
    tmp_path: Path, fault: Fault, times: int | None
) -> None:
    (tmp_path / "a.json").write_bytes(JSON)
    with serving(tmp_path) as files, open_session(RETRY.new(backoff_factor=0)) as session:
        files.plan("a.json", fault, times=times)
        if times is None:
            with pytest.raises(requests.RequestException):
                session.get(files.href("a.json"))
        else:
            assert len(session.get(files.href("a.json")).json()["features"]) == 101
        assert len(files.requests("a.json")) == 7


def test_requests_with_side_effects_are_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(JSON)
    with serving(tmp_path) as files, open_session(RETRY.new(allowed_methods=["POST"])) as session:
        files.plan("a.json", cut(100))
        with pytest.raises(requests.RequestException):
            session.get(files.href("a.json"))
        assert len(files.requests("a.json")) == 1


def test_a_download_that_is_cut_is_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    with serving(tmp_path) as files, open_session() as session, (tmp_path / "b.bin").open("w+b") as copy:
        copy.write(b"before")
        files.plan("a.bin", cut(100), times=5)
        download(session, files.href("a.bin"), copy)
        copy.seek(0)
        assert copy.read() == b"before" + CONTENT


def test_a_server_that_drips_is_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_bytes(JSON)
    monkeypatch.setattr(time_limit, "RESPONSE_S", 0.5)
    with serving(tmp_path) as files, open_session(RETRY.new(backoff_factor=0)) as session:
        files.plan("a.json", dripping)
        with pytest.raises(requests.RequestException):
            session.get(files.href("a.json"))
        assert len(files.requests("a.json")) == http.MAX_TIMEOUTS
