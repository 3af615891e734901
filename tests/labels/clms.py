"""A land monitoring service on loopback that answers as its documentation says and verifies signatures."""

import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

DATASET, FILE = "0407d497d3c44bcd93ce8fd5bf78596a", "3d9e2413-46ca-4f6e-abf8-b6eb429a4e48"
MAP = b"II*\x00" + bytes(range(256)) * 4_000


def package(**members: bytes) -> bytes:
    """A zip file; in the keywords that name its members, `__` is a dot and `_0_` a slash."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_0_", "/").replace("__", "."), data)
    return content.getvalue()


@cache
def private_key(owner: str) -> rsa.RSAPrivateKey:
    """A cached key pair; generating one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Clms:
    """State of the service, its requests, and the faults to simulate.

    Attributes:
        requests: Every request as (method, path).
        states: The order's `Status` at each request; the last one stays.
        refuse_grant: The key was revoked.
        token_uses: Number of requests after which a token expires.
        refuse_order: The file has another id now.
        truncated: Number of downloads that are truncated.
        deleted: The package was deleted.
        broken: Responses are not JSON.
    """

    def __init__(self, owner: str = "ada") -> None:
        self.key = private_key(owner)
        self.requests: list[tuple[str, str]] = []
        self.states = ["Queued", "In_progress", "Finished_ok"]
        self.message = "Download process finished successfully"
        self.package = package(Results_0_DATA_0_U2018_CLC2018_V2020_20u1__tif=MAP, Results_0_readme__txt=b"words")
        self.refuse_grant = self.refuse_order = self.deleted = self.broken = False
        self.token_uses, self.truncated, self.orders, self._tokens = 1_000, 0, 0, 0
        self._uses_left: dict[str, int] = {}
        self.url = ""

    @property
    def pem(self) -> str:
        """The private key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    def service_key(self) -> dict[str, Any]:
        """The key file that the service issues."""
        return {
            "client_id": "c1",
            "ip_range": None,
            "issued": "2026-01-01T00:00:00",
            "key_id": "k1",
            "private_key": self.pem,
            "title": "landmark",
            "token_uri": f"{self.url}/@@oauth2-token",
            "user_id": "ada",
        }

    def count(self, path: str) -> int:
        """Number of requests for a path."""
        return sum(urlsplit(url).path == path for _, url in self.requests)

    def grant(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        try:
            assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            claims = jwt.decode(
                form["assertion"][0],
                self.key.public_key(),
                algorithms=["RS256"],
                audience=f"{self.url}/@@oauth2-token",
                issuer="c1",
                options={"require": ["iss", "sub", "aud", "iat", "exp"]},
            )
        except jwt.PyJWTError as error:
            return 401, {"error": "invalid_grant", "error_description": str(error)}
        if self.refuse_grant or claims["sub"] != "ada" or claims["exp"] - claims["iat"] > 3_600:
            return 401, {"error": "invalid_grant", "error_description": "No such service key"}
        self._tokens += 1
        self._uses_left[f"t{self._tokens}"] = self.token_uses
        return 200, {"access_token": f"t{self._tokens}", "expires_in": 3600, "token_type": "Bearer"}

    def use_token(self, header: str | None) -> bool:
        token = (header or "").removeprefix("Bearer ")
        self._uses_left[token] = self._uses_left.get(token, 0) - 1
        return self._uses_left[token] >= 0

    def order(self, value: Any) -> tuple[int, Any]:
        if self.refuse_order or value != {"Datasets": [{"DatasetID": DATASET, "FileID": FILE}]}:
            return 400, {"status": "error", "msg": "Error, the FileID is not valid."}
        self.orders += 1
        return 201, {"ErrorTaskIds": [], "TaskIds": [{"TaskID": f"6526748759{self.orders}"}]}

    def search(self) -> tuple[int, Any]:
        status = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        task: dict[str, Any] = {"Datasets": [{"DatasetID": DATASET}], "Status": status, "UserID": "ada"}
        if status.startswith("Finished"):
            task |= {"Message": self.message, "FileSize": len(self.package)}
        if status == "Finished_ok":
            task["DownloadURL"] = f"{self.url}/results/4050.zip"
        return 200, {f"6526748759{self.orders}": task}

    def catalogue(self) -> tuple[int, Any]:
        file = {"@id": "new-id", "area": "u2018_clc2018_v2021_raster100m", "format": "Geotiff"}
        item = {"@type": "DataSet", "UID": DATASET, "title": "CLC 2018", "downloadable_files": {"items": [file]}}
        return 200, {"@id": f"{self.url}/api/@search", "items": [item]}


class _Handler(http.server.BaseHTTPRequestHandler):
    clms: Clms

    def do_POST(self) -> None:
        clms, body = self.clms, self.rfile.read(int(self.headers["Content-Length"]))
        clms.requests.append(("POST", self.path))
        if self.path == "/@@oauth2-token":
            self._answer(*clms.grant(parse_qs(body.decode())))
        elif not clms.use_token(self.headers["Authorization"]):
            self._answer(401, {"error": "Access token expired"})
        else:
            self._answer(*clms.order(json.loads(body)))

    def do_GET(self) -> None:
        clms, path = self.clms, urlsplit(self.path).path
        clms.requests.append(("GET", self.path))
        if path == "/api/@search":
            self._answer(*clms.catalogue())
        elif path == "/results/4050.zip":
            self._package()
        elif clms.broken:
            self._answer(200, None)
        elif not clms.use_token(self.headers["Authorization"]):
            self._answer(401, {"error": "Access token expired"})
        else:
            self._answer(*clms.search())

    def _package(self) -> None:
        clms, size = self.clms, len(self.clms.package)
        if clms.deleted:
            self._answer(404, {"message": "Not Found"})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        clms.truncated -= 1
        self.wfile.write(clms.package[: size // 2] if clms.truncated >= 0 else clms.package)

    def _answer(self, status: int, value: Any) -> None:
        body = b"<html>We will be back soon</html>" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(clms: Clms) -> Iterator[None]:
    """Run the service inside the block."""
    handler = type("Handler", (_Handler,), {"clms": clms})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        clms.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def write_profile(clms: Clms, path: Path) -> Path:
    """Write the shipped profile with this service's address and a short polling interval."""
    shipped = Path(__file__).parents[2] / "pipeline/landmark/profiles/downloads/corine.yaml"
    value = yaml.safe_load(shipped.read_text()) | {"api": f"{clms.url}/api", "poll_s": 0.01}
    path.write_text(yaml.safe_dump(value))
    return path
