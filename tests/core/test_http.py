"""Downloads are the whole file, as it is stored."""

from pathlib import Path

import pytest
import requests

from landmark.core.http import IncompleteDownload, download, open_session
from tests.raster.faults import Fault, compressed, cut, restated
from tests.raster.serving import serving

CONTENT = bytes(range(256)) * 40


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
