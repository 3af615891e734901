"""Client of the Copernicus Land Monitoring Service: sign in, place orders, get their state, download packages."""

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
from landmark.labels.download_profile import DownloadProfile, MapEdition, ServiceKey

# The service responds slowly. Orders are never repeated: only requests without side effects are retried.
_TIMEOUT_S = (10, 120)
_RETRY = RETRY.new(
    total=4,
    read=None,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=Retry.DEFAULT_ALLOWED_METHODS,
    raise_on_status=False,
)
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The service accepts assertions of at most an hour; local clocks may be slightly ahead of the service's.
_ASSERTION_S, _CLOCK_SKEW_S = 3_600, 10


@dataclass(frozen=True, slots=True)
class OrderState:
    """State of an order."""

    status: str
    message: str
    url: str

    @property
    def waiting(self) -> bool:
        """Whether the service is still preparing the package."""
        return self.status in ("Queued", "In_progress")

    @property
    def ready(self) -> bool:
        """Whether the package is available at `url`."""
        return self.status == "Finished_ok" and self.url != ""


class OrderService:
    """A signed-in session. An expired access token is renewed once per request.

    Raises, in every method:
        AccessRefused: the service does not accept the key.
        DownloadPending: no response, or an unintelligible one.
    """

    def __init__(self, profile: DownloadProfile, key: ServiceKey) -> None:
        self.poll_s = profile.poll_s
        self._profile, self._key, self._token = profile, key, ""
        self._session = open_session(_RETRY, _TIMEOUT_S)

    def place_order(self, edition: MapEdition) -> str:
        """Place an order and return its id.

        Raises:
            OrderFailed: rejected; the remedy lists what the service offers instead.
        """
        body = {"Datasets": [{"DatasetID": edition.dataset, "FileID": edition.file}]}
        response = self._request("POST", "@datarequest_post", json=body)
        if response.status_code >= 400:
            problem = f"order rejected: {_reason(response)}"
            raise OrderFailed(problem, file=self._profile.api, remedy=self._describe_offers(edition))
        tasks = _json(response).get("TaskIds") or []
        if not tasks or "TaskID" not in tasks[0]:
            problem = f"order accepted, but the response has no task id: {response.text[:200]}"
            raise OrderFailed(problem, file=self._profile.api)
        return str(tasks[0]["TaskID"])

    def order_state(self, order: str) -> OrderState:
        """Get the state of an order; its status is `Unknown` if the service does not have it."""
        response = self._request("GET", "@datarequest_search")
        if response.status_code >= 400:
            problem = f"orders cannot be listed: {_reason(response)}"
            raise DownloadPending(problem, file=self._profile.api, remedy=RESUME_HINT)
        entry = _json(response).get(order) or {"Status": "Unknown", "Message": "the service has no such order"}
        message = str(entry.get("Message") or "no reason given")
        return OrderState(str(entry.get("Status", "Unknown")), message, str(entry.get("DownloadURL") or ""))

    def download(self, url: str, file: IO[bytes]) -> None:
        """Download a package into a file. The token is sent to the API's own host only.

        Raises:
            OrderFailed: the package was deleted (they are kept for three days).
        """
        is_own_host = urlsplit(url).netloc == urlsplit(self._profile.api).netloc
        headers = {"Authorization": f"Bearer {self._token}"} if is_own_host else {}
        try:
            http_download(self._session, url, file, headers)
        except requests.HTTPError as error:
            status = error.response.status_code
            if status in (403, 404, 410):
                problem = f"the package is no longer available ({status})"
                raise OrderFailed(
                    problem, file=url, remedy="run the same command again to place a new order"
                ) from error
            raise DownloadPending(_reason(error.response), file=url, remedy=RESUME_HINT) from error
        except IncompleteDownload as error:
            raise DownloadPending(f"incomplete download: {error}", file=url, remedy=RESUME_HINT) from error

    def _request(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        for _ in range(2):
            if not self._token:
                self._token = self._sign_in()
            headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
            response = self._send(method, f"{self._profile.api}/{endpoint}", headers=headers, **options)
            if response.status_code != 401:
                return response
            self._token = ""
        problem = f"the service's own access token is refused: {_reason(response)}"
        raise AccessRefused(problem, file=self._profile.api, remedy=self._new_key_remedy)

    def _sign_in(self) -> str:
        """Get an access token by a signed assertion (RFC 7523)."""
        key, now = self._key, int(time.time())
        claims = {
            "iss": key.client_id,
            "sub": key.user_id,
            "aud": key.token_uri,
            "iat": now - _CLOCK_SKEW_S,
            "exp": now - _CLOCK_SKEW_S + _ASSERTION_S,
        }
        try:
            assertion = jwt.encode(claims, key.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            remedy = "save the service's JSON unchanged"
            raise InputError("not an RSA key in PEM", file="--key", key="private_key", remedy=remedy) from error
        response = self._send("POST", key.token_uri, data={"grant_type": _GRANT, "assertion": assertion})
        if 400 <= response.status_code < 500:
            problem = f"the key is refused: {_reason(response)}"
            raise AccessRefused(problem, file=key.token_uri, remedy=self._new_key_remedy)
        token = _json(response).get("access_token")
        if not token:
            problem = f"no access token in the response: {_reason(response)}"
            raise DownloadPending(problem, file=key.token_uri, remedy=RESUME_HINT)
        return str(token)

    @property
    def _new_key_remedy(self) -> str:
        return f"if the key has expired or was revoked, get a new one: {self._profile.get_key}"

    def _describe_offers(self, edition: MapEdition) -> str:
        """Remedy for an outdated profile, from the service's public catalogue."""
        query = {"portal_type": "DataSet", "UID": edition.dataset, "metadata_fields": ["UID", "downloadable_files"]}
        headers = {"Accept": "application/json"}
        response = self._send("GET", f"{self._profile.api}/@search", params=query, headers=headers)
        items = _json(response).get("items") or [] if response.ok else []
        datasets = [item for item in items if item.get("UID") == edition.dataset]
        files = [file for dataset in datasets for file in (dataset.get("downloadable_files") or {}).get("items") or []]
        profile = f"the profile {self._profile.name}"
        if not files:
            return f"the catalogue no longer lists dataset {edition.dataset}: correct `dataset` in {profile}"
        offers = ", ".join(f"{file.get('@id')} ({file.get('format')}, {file.get('area')})" for file in files)
        return f"correct `file` in {profile}; the service offers {offers}"

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, url, **options)
        except requests.RequestException as error:
            raise DownloadPending(f"cannot be reached: {error}", file=url, remedy=RESUME_HINT) from error


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        value = response.json()
    except requests.JSONDecodeError as error:
        problem = f"response {response.status_code} is not JSON"
        raise DownloadPending(problem, file=response.url, remedy=RESUME_HINT) from error
    return value if isinstance(value, dict) else {}


def _reason(response: requests.Response) -> str:
    """Status and the service's explanation, in one line."""
    try:
        body = response.json()
    except requests.JSONDecodeError:
        body = {}
    keys = ("error", "error_description", "message", "msg")
    parts = [str(body[key]) for key in keys if body.get(key)] if body else []
    return f"{response.status_code} {' - '.join(parts) or response.reason}"
