"""A loopback server that imitates public event feeds, and fails on request."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_CATEGORIES = {"EMSR900": "Flood", "EMSR901": "Wildfire", "EMSR902": "Earthquake"}


class Feeds:
    """Contents, requests and planned failures of the services.

    Attributes:
        requests: All requests as (path, query).
        quakes: Features of the earthquake service.
        quake_count: Its count of features; None for the true one.
        packages: Path → bytes of the mapping service's packages.
        burnt: Features of the fire service.
        cut: Number of downloads that stop in the middle.
        busy: Number of requests that are answered with 503 first.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.quakes: list[dict[str, Any]] = []
        self.quake_count: int | None = None
        self.packages: dict[str, bytes] = {}
        self.burnt: list[dict[str, Any]] = []
        self.cut = self.busy = 0
        self.url = ""

    def paths(self, end: str) -> list[dict[str, str]]:
        """Queries of the requests whose path has a given end."""
        return [query for path, query in self.requests if path.endswith(end)]

    def respond(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of a request."""
        self.requests.append((path, query))
        if self.busy:
            self.busy -= 1
            return 503, b"come back"
        if path in self.packages:
            return 200, self.packages[path]
        services = {"count": self._count, "query": self._query, "public-activations-info": self._list}
        services |= {"public-activations": self._activation_of, "effis": self._burnt}
        name = path.strip("/").rpartition("/")[2]
        status, body = services[name](query) if name in services else (404, {"detail": "Not found."})
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    def _matching(self, query: dict[str, str]) -> list[dict[str, Any]]:
        threshold = float(query.get("minmagnitude", "-9"))
        return [quake for quake in self.quakes if (quake["properties"]["mag"] or -9) >= threshold]

    def _count(self, query: dict[str, str]) -> tuple[int, Any]:
        if query["starttime"] > "2100":
            return 400, b"Error 400: Bad Request\n\nBad starttime value"
        count = len(self._matching(query)) if self.quake_count is None else self.quake_count
        return 200, {"count": count, "maxAllowed": 20000}

    def _query(self, query: dict[str, str]) -> tuple[int, Any]:
        first, limit = int(query["offset"]) - 1, int(query["limit"])
        return 200, {"type": "FeatureCollection", "features": self._matching(query)[first : first + limit]}

    def _activation(self, code: str) -> dict[str, Any]:
        number = int(code[-1])
        return {
            "code": code,
            "category": _CATEGORIES[code],
            "eventTime": f"2018-10-{10 + number}T06:00:00",
            "centroid": f"SRID=4326;POINT ({11 + number} 45)",
        }

    def _list(self, query: dict[str, str]) -> tuple[int, Any]:
        first, limit = int(query["offset"]), int(query["limit"])
        codes = sorted(_CATEGORIES, reverse=True)
        return 200, {"count": len(codes), "results": [self._activation(code) for code in codes[first : first + limit]]}

    def _activation_of(self, query: dict[str, str]) -> tuple[int, Any]:
        if query["code"] not in _CATEGORIES:
            return 200, {"count": 0, "results": []}
        products = [
            {"type": Path(path).name.split("_")[2], "downloadPath": f"{self.url}{path}" if "MONIT" in path else path}
            for path in sorted(self.packages)
            if query["code"] in path
        ]
        waiting = {"type": "DEL", "downloadPath": None, "version": {"statusCode": "W"}}
        aois = [{"name": "Place", "number": 1, "products": [*products, waiting]}]
        return 200, {"count": 1, "results": [{**self._activation(query["code"]), "aois": aois}]}

    def _burnt(self, query: dict[str, str]) -> tuple[int, Any]:
        assert query["typename"] == "ms:modis.ba.poly" and query["outputformat"] == "geojson"
        return 200, {"type": "FeatureCollection", "features": self.burnt}


@contextmanager
def serving(feeds: Feeds) -> Iterator[Feeds]:
    """Serve the feeds on a loopback port, with the address in `url`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            status, body = feeds.respond(parts.path, query)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            if parts.path in feeds.packages and feeds.cut:
                feeds.cut -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    feeds.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield feeds
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
