"""The Copernicus Land Monitoring Service over HTTP: sign in, order, ask, download."""

import time
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import jwt
import requests
from urllib3 import Retry

from landmark.core.errors import AccessRefused, DownloadPending, InputError, OrderFailed
from landmark.core.http import RESUME_HINT, RETRY, IncompleteDownload, open_session
from landmark.core.http import download as http_download
from landmark.labels.download_profile import DownloadProfile, Edition, Key

# The service prepares an answer slowly. An order is never repeated: only requests without side effects are retried.
_TIMEOUT_S = (10, 120)
_RETRY = RETRY.new(
    total=4,
    read=None,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=Retry.DEFAULT_ALLOWED_METHODS,
    raise_on_status=False,
)
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The service takes an assertion for an hour at most; a clock may run a little ahead of the service's.
_ASSERTION_S, _SKEW_S = 3_600, 10


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

    def __init__(self, download: DownloadProfile, key: Key) -> None:
        self.poll_s = download.poll_s
        self._download, self._key, self._token = download, key, ""
        self._session = open_session(_RETRY, _TIMEOUT_S)

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
            raise DownloadPending(f"{self._download.api} does not tell of its orders: {_reason(answer)}; {RESUME_HINT}")
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
            http_download(self._session, url, into, headers)
        except requests.HTTPError as error:
            status = error.response.status_code
            if status in (403, 404, 410):
                problem = f"the package is no longer available ({status})"
                raise OrderFailed(problem, file=url, remedy="run the same command again to order anew") from error
            raise DownloadPending(_reason(error.response), file=url, remedy=RESUME_HINT) from error
        except IncompleteDownload as error:
            raise DownloadPending(f"incomplete download: {error}", file=url, remedy=RESUME_HINT) from error

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
            raise DownloadPending(f"{key.token_uri} gives no access token: {_reason(answer)}; {RESUME_HINT}")
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
            return self._session.request(method, url, **more)
        except requests.RequestException as error:
            raise DownloadPending(f"{url} cannot be reached: {error}; {RESUME_HINT}") from error


def _files(item: dict[str, Any]) -> list[dict[str, Any]]:
    return list((item.get("downloadable_files") or {}).get("items") or [])


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except requests.JSONDecodeError as error:
        raise DownloadPending(f"{answer.url} answers {answer.status_code} without JSON; {RESUME_HINT}") from error
    return value if isinstance(value, dict) else {}


def _reason(answer: requests.Response) -> str:
    """What a refusal says for itself, in one line."""
    try:
        said = answer.json()
    except requests.JSONDecodeError:
        said = {}
    told = [said[key] for key in ("error", "error_description", "message", "msg") if said.get(key)] if said else []
    return f"{answer.status_code} {' - '.join(map(str, told)) or answer.reason}"
