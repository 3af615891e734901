"""nginx on loopback: serves a folder with the latency named in the URL, and counts requests and bytes.

`http://127.0.0.1:PORT/30/B02.tif` is `B02.tif` after 30 ms, `/0/B02.tif` without latency. A server written in Python
would be the bottleneck.
"""

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MODULES = (Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules"))
_START_S = 10

# One process: it serves from the page cache with sendfile, and its counters are plain numbers.
_CONF = """\
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
daemon off;
master_process off;
error_log stderr error;
pid {scratch}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush off;
  keepalive_requests 1000000;
  open_file_cache max=1000;
  client_body_temp_path {scratch}/body;
  proxy_temp_path {scratch}/proxy;
  fastcgi_temp_path {scratch}/fastcgi;
  uwsgi_temp_path {scratch}/uwsgi;
  scgi_temp_path {scratch}/scgi;
  init_by_lua_block {{ requests, bytes = 0, 0 }}
  server {{
    listen 127.0.0.1:{port};
    location = /counts {{
      content_by_lua_block {{ ngx.print('{{"requests": ', requests, ', "bytes": ', bytes, '}}') }}
    }}
    location ~ ^/(?<latency_ms>[0-9]+)/(?<path>.+)$ {{
      alias {folder}/$path;
      access_by_lua_block {{
        local wait_ms = tonumber(ngx.var.latency_ms)
        if wait_ms > 0 then ngx.sleep(wait_ms / 1000) end
      }}
      log_by_lua_block {{
        requests = requests + 1
        bytes = bytes + tonumber(ngx.var.body_bytes_sent)
      }}
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and bytes the server has answered."""

    requests: int
    bytes: int

    def __sub__(self, before: "Counts") -> "Counts":
        return Counts(self.requests - before.requests, self.bytes - before.bytes)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int

    def root(self, latency_ms: int, *, uncached: bool = False) -> str:
        """Return the root URL of responses with a latency; `uncached` gives another URL of the same files."""
        return f"http://127.0.0.1:{self.port}/{'0' if uncached else ''}{latency_ms}/"

    def counts(self) -> Counts:
        """Return the counts so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counts") as answer:
            return Counts(**json.load(answer))


def missing() -> str | None:
    """Return what must be installed for the server, None if nothing is missing."""
    return None if shutil.which("nginx") and _modules() else "nginx with its Lua module (bench/install.sh)"


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder while the context is open.

    Raises:
        RuntimeError: nginx is missing or did not start.
    """
    if requirement := missing():
        raise RuntimeError(f"needs {requirement}")
    server = Server(_free_port())
    with tempfile.TemporaryDirectory(prefix="landmark-nginx-") as scratch:
        conf = Path(scratch, "nginx.conf")
        conf.write_text(_CONF.format(modules=_modules(), scratch=scratch, port=server.port, folder=folder.resolve()))
        process = subprocess.Popen(["nginx", "-e", "stderr", "-p", scratch, "-c", str(conf)])
        try:
            _await_start(server, process)
            yield server
        finally:
            process.terminate()
            process.wait()


def _modules() -> Path | None:
    return next((folder for folder in _MODULES if (folder / "ngx_http_lua_module.so").exists()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_start(server: Server, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            server.counts()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nginx did not start on port {server.port}: exit code {process.poll()}")
