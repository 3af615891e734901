"""Ordering a label map: against a service that checks signatures, forgets, breaks off and moves."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from landmark.core.errors import AccessRefused, DownloadPending, InputError, LandmarkError, OrderFailed
from landmark.core.yaml_files import available, load_model
from landmark.labels.download_profile import DownloadProfile, read_key
from landmark.labels.order import fetch_map
from tests.labels.clms import DATASET, FILE, MAP, Clms, package, profile, serving

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
def order(clms: Clms, out: Path, tmp_path: Path) -> Fetch:
    """Orders the map of the service; keywords change the person's key."""

    def run(*, year: int = 2018, wait_s: float = 60, said: list[str] | None = None, **changes: Any) -> Path:
        key = tmp_path / "key.json"
        key.write_text(json.dumps(clms.service_key() | changes))
        download = load_model(DownloadProfile, "profiles/downloads", str(profile(clms, tmp_path / "corine.yaml")))
        told = (said if said is not None else []).append
        return fetch_map(download, read_key(key, download), out, year=year, wait_s=wait_s, progress=told)

    return run


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_map_arrives_whole_with_a_digest_that_sha256sum_checks(order: Fetch, out: Path, clms: Clms) -> None:
    said: list[str] = []
    path = order(said=said)
    assert path == out / NAME
    assert path.read_bytes() == MAP
    assert files(out) == {NAME, "corine-2018.sha256"}
    done = subprocess.run(["sha256sum", "--check", "corine-2018.sha256"], cwd=out, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.rsplit(" ", 1)[-1] for line in said[1:]] == ["Queued", "In_progress", "Finished_ok"]
    assert clms.orders == 1


def test_a_map_that_is_there_is_not_ordered_again_and_one_that_is_damaged_is(
    order: Fetch, out: Path, clms: Clms
) -> None:
    order()
    before = len(clms.asked)
    order()
    assert len(clms.asked) == before
    (out / NAME).write_bytes(b"spoiled")
    assert hashlib.sha256(order().read_bytes()).digest() == hashlib.sha256(MAP).digest()
    assert clms.orders == 2


def test_a_package_in_a_package_is_opened_and_the_largest_map_is_kept(order: Fetch, out: Path, clms: Clms) -> None:
    inner = package(DATA_0_U2018_CLC2018_V2020_20u1__tif=MAP, DATA_0_French_DOMs_0_U2018_FR_GLP__tif=MAP[:90])
    clms.package = package(Results_0_u2018_clc2018_v2020_20u1_raster100m__zip=inner)
    assert order().read_bytes() == MAP
    assert files(out) == {NAME, "corine-2018.sha256"}


def test_a_wait_that_is_too_short_goes_on_with_the_same_order(order: Fetch, out: Path, clms: Clms) -> None:
    clms.states = ["In_progress"]
    with pytest.raises(DownloadPending, match=r"In_progress after 0 min; run the same command again"):
        order(wait_s=0)
    assert files(out) == {"corine-2018.order"}
    clms.states = ["Finished_ok"]
    assert order().read_bytes() == MAP
    assert clms.orders == 1


def test_a_download_that_breaks_off_leaves_nothing_and_goes_on(order: Fetch, out: Path, clms: Clms) -> None:
    clms.cut = 1
    with pytest.raises(DownloadPending, match="run the same command again"):
        order()
    assert files(out) == {"corine-2018.order"}
    assert order().read_bytes() == MAP
    assert clms.orders == 1


def test_an_access_token_that_expires_on_the_way_is_renewed(order: Fetch, clms: Clms) -> None:
    clms.token_uses = 1
    assert order().read_bytes() == MAP
    assert clms.count("/@@oauth2-token") == 4  # one for each request: the order and three questions


def test_a_token_that_is_never_accepted_is_told(order: Fetch, clms: Clms) -> None:
    clms.token_uses = 0
    with pytest.raises(AccessRefused, match=r"Access token expired.*EU Login"):
        order()


def test_a_revoked_key_is_told_with_the_way_to_a_new_one(order: Fetch, out: Path, clms: Clms) -> None:
    clms.refuse_grant = True
    with pytest.raises(AccessRefused, match=r"No such service key.*expired or been revoked.*API Tokens"):
        order()
    assert files(out) == set()


def test_a_key_of_another_pair_is_refused_by_its_signature(order: Fetch, clms: Clms) -> None:
    with pytest.raises(AccessRefused, match="Signature verification failed"):
        order(private_key=Clms("another").pem)


@pytest.mark.parametrize("status", ["Finished_nok", "Rejected", "Cancelled"])
def test_an_order_that_fails_is_forgotten_so_that_the_next_run_orders_anew(
    status: str, order: Fetch, out: Path, clms: Clms
) -> None:
    clms.states, clms.message = ["Queued", status], "Error: disk quota"
    with pytest.raises(OrderFailed, match=rf"ended as {status}: .*order anew"):
        order()
    assert files(out) == set()
    clms.states = ["Finished_ok"]
    assert order().read_bytes() == MAP
    assert clms.orders == 2


def test_an_order_the_service_has_forgotten_is_placed_anew(order: Fetch, out: Path, clms: Clms) -> None:
    out.mkdir()
    (out / "corine-2018.order").write_text("999\n")
    with pytest.raises(OrderFailed, match="knows no such order"):
        order()
    assert order().read_bytes() == MAP


def test_a_package_that_is_gone_is_ordered_anew(order: Fetch, out: Path, clms: Clms) -> None:
    clms.gone = True
    with pytest.raises(OrderFailed, match=r"gone \(404\)"):
        order()
    assert files(out) == set()


@pytest.mark.parametrize(("spoiled", "said"), [(b"no zip at all", "damaged"), (package(a__txt=b"words"), "no .tif")])
def test_a_package_that_holds_no_map_is_told(spoiled: bytes, said: str, order: Fetch, out: Path, clms: Clms) -> None:
    clms.package = spoiled
    with pytest.raises(OrderFailed, match=said):
        order()
    assert files(out) == set()


def test_a_file_the_service_no_longer_has_is_told_with_what_it_has(order: Fetch, clms: Clms) -> None:
    clms.refuse_order = True
    with pytest.raises(OrderFailed, match=r"FileID is not valid.*new-id \(Geotiff, u2018_clc2018_v2021_raster100m\)"):
        order()


def test_a_service_that_answers_no_json_or_not_at_all_is_told(order: Fetch, clms: Clms) -> None:
    clms.silent = True
    with pytest.raises(DownloadPending, match=r"answers 200 without JSON"):
        order()
    with pytest.raises(DownloadPending, match=r"cannot be reached"):
        order(token_uri="http://127.0.0.1:9/token")


def test_without_a_key_the_way_to_one_is_said(tmp_path: Path) -> None:
    download = load_model(DownloadProfile, "profiles/downloads", "corine")
    with pytest.raises(InputError, match=r"needs your own key.*EU Login.*API Tokens"):
        read_key(None, download)
    with pytest.raises(InputError, match="cannot be read"):
        read_key(tmp_path / "none.json", download)


@pytest.mark.parametrize("text", ["{", "[]", '{"client_id": "c", "private_key": "SECRET"}'])
def test_what_is_no_key_is_refused_and_never_shown(text: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a service key") as caught:
        read_key(path, load_model(DownloadProfile, "profiles/downloads", "corine"))
    assert "SECRET" not in str(caught.value)


def test_a_key_that_is_no_rsa_key_is_refused(order: Fetch) -> None:
    with pytest.raises(InputError, match="not an RSA key in PEM"):
        order(private_key="-----BEGIN nonsense")


def test_a_year_without_an_edition_is_refused_with_those_there_are(order: Fetch) -> None:
    with pytest.raises(InputError, match=r"--year 2019.*2000, 2006, 2012, 2018"):
        order(year=2019)


def test_every_shipped_download_is_well_formed() -> None:
    for name in available("profiles/downloads"):
        download = load_model(DownloadProfile, "profiles/downloads", name)
        assert download.name == name
        assert download.api.startswith("https://")
    assert load_model(DownloadProfile, "profiles/downloads", "corine").edition(2018).model_dump() == {
        "dataset": DATASET,
        "file": FILE,
    }


def test_refusals_end_the_command_as_they_say() -> None:
    codes: dict[type[LandmarkError], int] = {AccessRefused: 2, OrderFailed: 1, DownloadPending: 1}
    assert {error: error.exit_code for error in codes} == codes
