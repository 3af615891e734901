"""Orders of label maps at a service that verifies signatures, forgets orders, truncates downloads and moves files."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from landmark.core.errors import AccessRefused, DownloadPending, InputError, OrderFailed
from landmark.core.resources import available
from landmark.core.yaml_files import load_model
from landmark.labels.download_profile import DownloadProfile, read_key
from landmark.labels.order import fetch_map
from tests.labels.clms import DATASET, FILE, MAP, Clms, package, serving, write_profile

Fetch = Callable[..., Path]
NAME = "U2018_CLC2018_V2020_20u1.tif"


@pytest.fixture
def clms() -> Iterator[Clms]:
    clms = Clms()
    with serving(clms):
        yield clms


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "labels"


@pytest.fixture
def fetch(clms: Clms, out: Path, tmp_path: Path) -> Fetch:
    """Order the service's map; keywords change the service key."""

    def run(*, year: int = 2018, wait_s: float = 60, lines: list[str] | None = None, **changes: Any) -> Path:
        key = tmp_path / "key.json"
        key.write_text(json.dumps(clms.service_key() | changes))
        profile = load_model(DownloadProfile, "profiles/downloads", str(write_profile(clms, tmp_path / "corine.yaml")))
        progress = (lines if lines is not None else []).append
        return fetch_map(profile, read_key(key, profile), out, year=year, wait_s=wait_s, progress=progress)

    return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_map_is_downloaded_with_a_checksum_file(fetch: Fetch, out: Path, clms: Clms) -> None:
    lines: list[str] = []
    path = fetch(lines=lines)
    assert path == out / NAME
    assert path.read_bytes() == MAP
    assert files(out) == {NAME, "corine-2018.sha256"}
    check = subprocess.run(["sha256sum", "--check", "corine-2018.sha256"], cwd=out, capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    assert [line.rsplit(" ", 1)[-1] for line in lines[1:]] == ["Queued", "In_progress", "Finished_ok"]
    assert clms.orders == 1


def test_only_a_missing_or_damaged_map_is_ordered_again(fetch: Fetch, out: Path, clms: Clms) -> None:
    fetch()
    before = len(clms.requests)
    fetch()
    assert len(clms.requests) == before
    (out / NAME).write_bytes(b"damaged")
    assert hashlib.sha256(fetch().read_bytes()).digest() == hashlib.sha256(MAP).digest()
    assert clms.orders == 2


def test_the_largest_map_of_a_nested_package_is_unpacked(fetch: Fetch, out: Path, clms: Clms) -> None:
    inner = package(DATA_0_U2018_CLC2018_V2020_20u1__tif=MAP, DATA_0_French_DOMs_0_U2018_FR_GLP__tif=MAP[:90])
    clms.package = package(Results_0_u2018_clc2018_v2020_20u1_raster100m__zip=inner)
    assert fetch().read_bytes() == MAP
    assert files(out) == {NAME, "corine-2018.sha256"}


def test_an_order_is_resumed_after_the_wait(fetch: Fetch, out: Path, clms: Clms) -> None:
    clms.states = ["In_progress"]
    with pytest.raises(DownloadPending):
        fetch(wait_s=0)
    assert files(out) == {"corine-2018.order"}
    clms.states = ["Finished_ok"]
    assert fetch().read_bytes() == MAP
    assert clms.orders == 1


def test_a_truncated_download_leaves_no_file_and_resumes(fetch: Fetch, out: Path, clms: Clms) -> None:
    clms.truncated = 9
    with pytest.raises(DownloadPending):
        fetch()
    clms.truncated = 0
    assert files(out) == {"corine-2018.order"}
    assert fetch().read_bytes() == MAP
    assert clms.orders == 1


def test_an_expired_access_token_is_renewed(fetch: Fetch, clms: Clms) -> None:
    clms.token_uses = 1
    assert fetch().read_bytes() == MAP
    assert clms.count("/@@oauth2-token") == 4  # one for the order, three for its state


def test_a_token_that_is_never_accepted_is_an_error(fetch: Fetch, clms: Clms) -> None:
    clms.token_uses = 0
    with pytest.raises(AccessRefused) as caught:
        fetch()
    assert caught.value.file == f"{clms.url}/api"


def test_a_revoked_key_is_an_error(fetch: Fetch, out: Path, clms: Clms) -> None:
    clms.refuse_grant = True
    with pytest.raises(AccessRefused) as caught:
        fetch()
    assert caught.value.file == f"{clms.url}/@@oauth2-token"
    assert files(out) == set()


def test_the_signature_of_another_key_is_refused(fetch: Fetch) -> None:
    with pytest.raises(AccessRefused):
        fetch(private_key=Clms("another").pem)


@pytest.mark.parametrize("status", ["Finished_nok", "Rejected", "Cancelled"])
def test_after_a_failed_order_the_next_run_places_a_new_order(status: str, fetch: Fetch, out: Path, clms: Clms) -> None:
    clms.states, clms.message = ["Queued", status], "Error: disk quota"
    with pytest.raises(OrderFailed):
        fetch()
    assert files(out) == set()
    clms.states = ["Finished_ok"]
    assert fetch().read_bytes() == MAP
    assert clms.orders == 2


def test_an_order_that_the_service_does_not_have_is_placed_again(fetch: Fetch, out: Path, clms: Clms) -> None:
    out.mkdir()
    (out / "corine-2018.order").write_text("999\n")
    with pytest.raises(OrderFailed):
        fetch()
    assert fetch().read_bytes() == MAP


@pytest.mark.parametrize("content", [b"not a zip file", package(a__txt=b"words"), None])
def test_a_damaged_empty_or_deleted_package_fails_the_order(
    content: bytes | None, fetch: Fetch, out: Path, clms: Clms
) -> None:
    clms.package, clms.deleted = content or clms.package, content is None
    with pytest.raises(OrderFailed):
        fetch()
    assert files(out) == set()


def test_a_rejected_order_lists_the_files_on_offer(fetch: Fetch, clms: Clms) -> None:
    clms.refuse_order = True
    with pytest.raises(OrderFailed) as caught:
        fetch()
    assert caught.value.remedy is not None and "new-id" in caught.value.remedy


def test_a_broken_or_unreachable_service_leaves_the_order_pending(fetch: Fetch, clms: Clms) -> None:
    clms.broken = True
    with pytest.raises(DownloadPending):
        fetch()
    with pytest.raises(DownloadPending) as caught:
        fetch(token_uri="http://127.0.0.1:9/token")
    assert caught.value.file == "http://127.0.0.1:9/token"


def test_a_missing_key_is_an_error_with_instructions(tmp_path: Path) -> None:
    profile = load_model(DownloadProfile, "profiles/downloads", "corine")
    for path in (None, tmp_path / "none.json"):
        with pytest.raises(InputError) as caught:
            read_key(path, profile)
        assert (caught.value.file, caught.value.value) == ("--key", path and str(path))
        assert caught.value.remedy is not None and profile.get_key in caught.value.remedy


@pytest.mark.parametrize("text", ["{", "[]", '{"client_id": "c", "private_key": "SECRET"}'])
def test_an_invalid_key_is_refused_and_never_printed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_key(path, load_model(DownloadProfile, "profiles/downloads", "corine"))
    assert caught.value.value == str(path)
    assert "SECRET" not in str(caught.value)


def test_a_key_that_is_not_rsa_is_refused(fetch: Fetch) -> None:
    with pytest.raises(InputError) as caught:
        fetch(private_key="-----BEGIN nonsense")
    assert (caught.value.file, caught.value.key) == ("--key", "private_key")


def test_a_year_without_an_edition_is_refused(fetch: Fetch) -> None:
    with pytest.raises(InputError) as caught:
        fetch(year=2019)
    assert (caught.value.file, caught.value.value) == ("--year", 2019)


def test_shipped_profiles_are_valid() -> None:
    for name in available("profiles/downloads"):
        profile = load_model(DownloadProfile, "profiles/downloads", name)
        assert profile.name == name
        assert profile.api.startswith("https://")
    corine = load_model(DownloadProfile, "profiles/downloads", "corine")
    assert corine.edition(2018).model_dump() == {"dataset": DATASET, "file": FILE}
