"""Stores of clouds on loopback: moto for S3, and Azurite for Azure."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.keeper import AZURITE, KEY, START_S, free_ports

_SIGNATURE = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@contextmanager
def moto(bucket: str) -> Iterator[dict[str, str]]:
    """Run S3 with an empty bucket; yields the environment variables of its clients."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], f"{url}/moto-api/"):
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/{bucket}", method="PUT", headers={"Authorization": _SIGNATURE})
        ).close()
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        yield {"AWS_ENDPOINT_URL": url, **keys}


@contextmanager
def azurite(folder: Path, container: str) -> Iterator[dict[str, str]]:
    """Run a blob store with an empty container; yields the environment variables of its clients."""
    from azure.storage.blob import ContainerClient

    (port,) = free_ports(1)
    url, accounts = f"http://127.0.0.1:{port}", {"AZURITE_ACCOUNTS": f"account:{KEY}"}
    at = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "-l", str(folder)]
    with _running([str(AZURITE), *at, "--skipApiVersionCheck", "--disableTelemetry"], url, accounts):
        with ContainerClient(f"{url}/account", container, credential=KEY) as client:
            client.create_container()
        names = {"ACCOUNT_NAME": "account", "ACCOUNT_KEY": KEY, "ENDPOINT": f"{url}/account"}
        yield {f"AZURE_STORAGE_{name}": value for name, value in names.items()}


@contextmanager
def _running(command: Sequence[str], url: str, environment: dict[str, str] | None = None) -> Iterator[None]:
    with subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _await(process, url)
            yield
        finally:
            process.kill()


def _await(process: "subprocess.Popen[bytes]", url: str) -> None:
    end_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end_s:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not start")
