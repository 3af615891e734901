"""The Copernicus Land Monitoring Service over HTTP: sign in, order, ask, download."""

import time
from dataclasses import dataclass
from shutil import copyfileobj
from typing import IO, Any
from urllib.parse import urlsplit

import jwt
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from landmark.core.errors import AccessRefused, DownloadPending, InputError, OrderFailed
from landmark.labels.download_profile import Download, Edition, Key

_TIMEOUT_S = (10, 120)
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The service takes an assertion for an hour at most; a clock may run a little ahead of the service's.
_ASSERTION_S, _SKEW_S = 3_600, 10
_AGAIN = "run the same command again to go on"


@dataclass(frozen=True, slots=True)
class State:
    """How far an order is."""

    status: str
    message: str
    url: str

    @property
    def waiting(self) -> bool:
        """True while the service still works on it."""
        return self.status in ("Queued", "In_progress")

    @property
    def ready(self) -> bool:
        """True once the package lies at `url`."""
        return self.status == "Finished_ok" and self.url != ""


class Service:
    """A signed-in session. An access token that has expired is renewed once per request.

    Raises, in every method:
        AccessRefused: the service does not accept the key.
        DownloadPending: no answer, or none that can be understood.
    """

    def __init__(self, download: Download, key: Key) -> None:
        self.poll_s = download.poll_s
        self._download, self._key, self._token = download, key, ""
        self._session = requests.Session()
        # An order is never sent twice unasked: only reading is tried again.
        patient = Retry(
            total=4,
            connect=2,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            raise_on_status=False,
            retry_after_max=120,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=patient))

    def order(self, edition: Edition) -> str:
        """The task id of a new order.

        Raises:
            OrderFailed: refused; the message lists what the service offers instead.
        """
        asked = {"Datasets": [{"DatasetID": edition.dataset, "FileID": edition.file}]}
        answer = self._ask("POST", "@datarequest_post", json=asked)
        if answer.status_code >= 400:
            raise OrderFailed(f"{self._download.api} refuses the order: {_reason(answer)}; {self._offers(edition)}")
        tasks = _json(answer).get("TaskIds") or []
        if not tasks or "TaskID" not in tasks[0]:
            raise OrderFailed(f"{self._download.api} took the order, but names no task: {answer.text[:200]}")
        return str(tasks[0]["TaskID"])

    def state(self, task: str) -> State:
        """How far an order is; one the service does not know is `Unknown`."""
        answer = self._ask("GET", "@datarequest_search")
        if answer.status_code >= 400:
            raise DownloadPending(f"{self._download.api} does not tell of its orders: {_reason(answer)}; {_AGAIN}")
        said = _json(answer).get(task) or {"Status": "Unknown", "Message": "the service knows no such order"}
        message = str(said.get("Message") or "the service gives no reason")
        return State(str(said.get("Status", "Unknown")), message, str(said.get("DownloadURL") or ""))

    def download(self, url: str, into: IO[bytes]) -> None:
        """Write a package's bytes to a file; packages lie on other hosts, which get no token.

        Raises:
            OrderFailed: the package is gone (they are kept for three days).
        """
        own = urlsplit(url).netloc == urlsplit(self._download.api).netloc
        headers = {"Authorization": f"Bearer {self._token}"} if own else {}
        try:
            with self._session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as answer:
                if answer.status_code in (403, 404, 410):
                    raise OrderFailed(f"{url} is gone ({answer.status_code}); run the same command to order anew")
                if answer.status_code >= 400:
                    raise DownloadPending(f"{url}: {_reason(answer)}; {_AGAIN}")
                copyfileobj(answer.raw, into, 1 << 20)
                expected = int(answer.headers.get("Content-Length", into.tell()))
        except (requests.RequestException, HTTPError) as error:
            raise DownloadPending(f"{url}: the download was cut short: {error}; {_AGAIN}") from error
        if into.tell() != expected:
            raise DownloadPending(f"{url}: {into.tell()} of {expected} bytes came; {_AGAIN}")

    def _ask(self, method: str, endpoint: str, **more: Any) -> requests.Response:
        for _ in range(2):
            if not self._token:
                self._token = self._sign_in()
            headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
            answer = self._send(method, f"{self._download.api}/{endpoint}", headers=headers, **more)
            if answer.status_code != 401:
                return answer
            self._token = ""
        raise AccessRefused(f"{self._download.api} refuses its own access token: {_reason(answer)}; {self._new_key}")

    def _sign_in(self) -> str:
        """A fresh access token for the person's key, by a signed assertion (RFC 7523)."""
        key, now = self._key, int(time.time())
        who = {"iss": key.client_id, "sub": key.user_id, "aud": key.token_uri}
        claims = {**who, "iat": now - _SKEW_S, "exp": now - _SKEW_S + _ASSERTION_S}
        try:
            assertion = jwt.encode(claims, key.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            raise InputError(
                "--key: `private_key` is not an RSA key in PEM; save the service's JSON as it is"
            ) from error
        answer = self._send("POST", key.token_uri, data={"grant_type": _GRANT, "assertion": assertion})
        if 400 <= answer.status_code < 500:
            raise AccessRefused(f"{key.token_uri} refuses the key: {_reason(answer)}; {self._new_key}")
        token = _json(answer).get("access_token")
        if not token:
            raise DownloadPending(f"{key.token_uri} gives no access token: {_reason(answer)}; {_AGAIN}")
        return str(token)

    @property
    def _new_key(self) -> str:
        return f"it may have expired or been revoked; to get a new one, {self._download.get_key}"

    def _offers(self, edition: Edition) -> str:
        """What the service's public catalogue lists for the dataset, for the person who mends the profile."""
        query = {"portal_type": "DataSet", "UID": edition.dataset, "metadata_fields": ["UID", "downloadable_files"]}
        answer = self._send(
            "GET", f"{self._download.api}/@search", params=query, headers={"Accept": "application/json"}
        )
        items = _json(answer).get("items") or [] if answer.ok else []
        found = [file for item in items if item.get("UID") == edition.dataset for file in _files(item)]
        if not found:
            return f"its catalogue lists no dataset {edition.dataset} any more; look it up and change the profile"
        listed = ", ".join(f"{file.get('@id')} ({file.get('format')}, {file.get('area')})" for file in found)
        return f"it offers {listed}: change `file` in the profile {self._download.name}"

    def _send(self, method: str, url: str, **more: Any) -> requests.Response:
        try:
            return self._session.request(method, url, timeout=_TIMEOUT_S, **more)
        except requests.RequestException as error:
            raise DownloadPending(f"{url} cannot be reached: {error}; {_AGAIN}") from error


def _files(item: dict[str, Any]) -> list[dict[str, Any]]:
    return list((item.get("downloadable_files") or {}).get("items") or [])


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except requests.JSONDecodeError as error:
        raise DownloadPending(f"{answer.url} answers {answer.status_code} without JSON; {_AGAIN}") from error
    return value if isinstance(value, dict) else {}


def _reason(answer: requests.Response) -> str:
    """What a refusal says for itself, in one line."""
    try:
        said = answer.json()
    except requests.JSONDecodeError:
        said = {}
    told = [said[key] for key in ("error", "error_description", "message", "msg") if said.get(key)] if said else []
    return f"{answer.status_code} {' - '.join(map(str, told)) or answer.reason}"
