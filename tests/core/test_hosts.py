"""Which hosts and addresses an untrusted document may lead to: by name, by address, and by redirect."""

import pickle
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from landmark.core.errors import InputError
from landmark.core.hosts import TRUSTED, HostRules, host_of, is_private, is_private_literal, open_manager
from landmark.core.http import open_session
from tests.parts import raises
from tests.services.served import Answer, served

RULES = HostRules(trusted=False, hosts=("example.org", "*.example.net", "bucket", "2001:db8::1"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "2002:7f00:1::",
        "2002:a00:1::1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "::127.0.0.1", "2001:db8::1", "2001::1",
    ],
)  # fmt: skip
def test_addresses_outside_the_public_internet_are_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::"])
def test_addresses_of_the_public_internet_are_not_private(address: str) -> None:
    assert not is_private(address)


@pytest.mark.parametrize(
    "href",
    [
        "https://example.org/a", "HTTPS://EXAMPLE.ORG./a", "http://example.org:8080/a", "https://a.example.net/b@c",
        "https://a.b.example.net/", "s3://bucket/a.tif", "http://[2001:db8::1]/a",
    ],
)  # fmt: skip
def test_allowed_hosts_may_be_named(href: str) -> None:
    RULES.check_href(href)


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.org/", "https://example.org.evil.org/", "https://evilexample.net/", "https://example.net/",
        "https://example.org@evil.org/", "https://user:word@example.org/", "https://evil.org\\@example.org/",
        "https://evil.org\\.example.net/", "https://example.org%2eevil.org/", "https://example.org:80@evil.org/",
        "https://evil.org#@example.org/", "https://evil.org?@example.org/", "https://examplé.org/", "https:///a",
        "https://\u0435xample.org/", "https://xn--xample-9cf.org/", "https://example.org\t.evil.org/", "https://[::1]/",
        "https://example.org\n/", "http://2130706433/", "http://0x7f.1/", "http://017700000001/", "http://[bad/",
        "s3://elsewhere/a.tif", "gs://example/a", "ftp://example.org/a", "gopher://example.org/", "zip+https://example.org/a",
        "file:///etc/hostname", "FILE:///etc/hostname", "/etc/hostname", "etc/hostname", "//example.org/a", "C:\\a.tif",
        "/vsicurl/https://example.org/a", "/vsizip//etc/a.zip/b.tif", "//vsimem/a", "file:///vsimem/a", "", "data:,a",
        "GTIFF_DIR:1:/etc/a.tif", "NETCDF:/etc/a.nc:b", "<VRTDataset/>",
    ],
)  # fmt: skip
def test_other_hosts_files_and_spellings_are_refused(href: str) -> None:
    with pytest.raises(InputError) as caught:
        RULES.check_href(href)
    assert caught.value.key in ("hosts", "href") and caught.value.remedy is not None


@pytest.mark.parametrize("href", ["/vsicurl/http://a/b", "file:///vsizip/a.zip/b", "zip+file:///a.zip!b", "oss://a/b"])
def test_places_that_only_gdal_knows_are_refused_of_any_document(href: str) -> None:
    with raises(InputError, key="href", value=href):
        TRUSTED.check_href(href)


@pytest.mark.parametrize("href", ["/data/a.tif", "a.tif", "file:///a.tif", "http://10.0.0.1/a", "s3://any/a"])
def test_trusted_documents_name_any_host_and_file(href: str) -> None:
    TRUSTED.check_href(href)


def test_documents_linked_from_trusted_documents_are_held_to_their_own_host() -> None:
    linked = HostRules(hosts=("example.net",)).for_document("https://example.org/a.json")
    assert (linked.trusted, linked.hosts, linked.private) == (False, ("example.net", "example.org"), False)
    assert linked.for_document("/a.json") is linked
    assert TRUSTED.for_document("/a.json") is TRUSTED
    assert pickle.loads(pickle.dumps(linked)) == linked


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80/", True), ("http://[::1]/", True), ("http://localhost/", True),
        ("http://10.1.1.1/", True),
        ("http://2130706433/", False), ("http://example.org/", False), ("http://8.8.8.8/", False),
    ],
)  # fmt: skip
def test_only_a_plain_private_address_in_a_url_allows_private_addresses(url: str, expected: bool) -> None:
    assert is_private_literal(url) == TRUSTED.for_document(url).private == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
def test_hosts_are_refused_by_the_address_that_they_resolve_to(host: str) -> None:
    with raises(InputError, key="hosts", value=host):
        HostRules(trusted=False, hosts=(host,)).check_addresses(host)
    HostRules(trusted=False, hosts=(host,), private=True).check_addresses(host)


# -- Requests ----------------------------------------------------------------------------------------------------------


def is_elsewhere(address: str) -> bool:
    """Stands for the private addresses, in whose place tests have another one of loopback."""
    return address != "127.0.0.1"


PUBLIC = HostRules(trusted=False, hosts=("127.0.0.1", "127.0.0.2", "localhost"), is_private=is_elsewhere)


class Pair:
    """A server at 127.0.0.1 that redirects to where a test says, and one at 127.0.0.2 that nobody may ask."""

    def __init__(self) -> None:
        self.target, self.url, self.elsewhere = "", "", ""
        self.requested: list[str] = []

    def redirect(self, method: str, path: str, body: bytes) -> Answer:
        return (200, {}, b"{}") if path == "/here" else (302, {"Location": self.target}, b"")

    def note(self, method: str, path: str, body: bytes) -> Answer:
        self.requested.append(path)
        return 200, {}, b"secret"


@pytest.fixture
def pair() -> Iterator[Pair]:
    state = Pair()
    with served(state.redirect) as state.url, served(state.note, "127.0.0.2") as state.elsewhere:
        yield state


def request(kind: str, url: str, rules: HostRules) -> int:
    if kind == "session":
        with open_session(rules=rules) as session:
            return session.get(url).status_code
    return int(open_manager(rules, None).request("GET", url, retries=5).status)


KINDS = pytest.mark.parametrize("kind", ["session", "manager"])


@KINDS
def test_redirects_to_allowed_hosts_are_followed(pair: Pair, kind: str) -> None:
    for target in ("/here", f"{pair.url}/here"):
        pair.target = target
        assert request(kind, pair.url, replace(PUBLIC, hosts=("127.0.0.1",))) == 200


@KINDS
@pytest.mark.parametrize("named", [True, False])
def test_redirects_elsewhere_are_refused_before_they_are_requested(pair: Pair, kind: str, named: bool) -> None:
    pair.target = f"{pair.elsewhere}/a"
    with raises(InputError, key="hosts", value="127.0.0.2"):
        request(kind, pair.url, PUBLIC if named else replace(PUBLIC, hosts=("127.0.0.1",)))
    assert pair.requested == []
    assert request(kind, pair.url, replace(PUBLIC, private=True)) == 200 and pair.requested == ["/a"]


@KINDS
@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://127.0.0.1/a", "//user@127.0.0.2/", "http:\\\\127.0.0.2"]
)
def test_odd_redirects_are_refused(pair: Pair, kind: str, target: str) -> None:
    pair.target = target
    with pytest.raises(Exception) as caught:  # of the libraries, which know no such scheme either
        request(kind, pair.url, PUBLIC)
    assert type(caught.value).__module__.split(".")[0] in ("landmark", "requests", "urllib3") and pair.requested == []


def test_trusted_public_hosts_redirect_to_no_private_host(pair: Pair) -> None:
    pair.target = f"{pair.elsewhere}/a"
    with raises(InputError, key="hosts", value="127.0.0.2"):
        request("session", pair.url, replace(TRUSTED, is_private=is_elsewhere))
    assert pair.requested == [] and request("session", pair.url, TRUSTED) == 200


@KINDS
def test_a_name_with_a_new_address_is_refused_before_anything_is_sent(
    pair: Pair, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look-up of a connection finds a public address, the second one another."""
    look_ups, port = iter(["127.0.0.1", "127.0.0.2"]), int(pair.elsewhere.rsplit(":", 1)[1])
    real = socket.getaddrinfo

    def rebind(host: str, *arguments: object, **options: object) -> object:
        return real(next(look_ups) if host == "localhost" else host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    with raises(InputError, key="hosts", value="127.0.0.2"):
        request(kind, f"http://localhost:{port}/a", PUBLIC)
    assert pair.requested == []


def test_a_host_that_clients_would_read_differently_has_no_name() -> None:
    rules = TRUSTED.for_document("https://exämple.org/a.json")  # its own host has none either
    with raises(InputError, key="hosts"):
        rules.check_href("https://a.org b/")
    assert host_of("https://a.org\\@b.org/") == host_of("https://a.org b/") == host_of("not a url") == ""
