"""A build from a STAC API and a blob store that checks tokens equals the build from the same archive on disk."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.executor import ExecutorConfig
from landmark.workflow.build import BuildRequest, build
from tests.services.client import Services
from tests.services.tokens import HOUR, token_service

Write = Callable[..., Path]


def build_from(archive: Services, recipe: Path, out: Path, tokens: str, *options: str) -> tuple[int, str]:
    """Run `landmark build` against the services in a subprocess: exit code, and stdout followed by stderr."""
    env = {**os.environ, "PC_SDK_SAS_URL": tokens, "GDAL_HTTP_PROXY": archive.blobs}
    command = [sys.executable, "-m", "landmark", "build", str(recipe), "--catalog", archive.api, "--out", str(out)]
    done = subprocess.run([*command, *options], env=env, capture_output=True, text=True, cwd=recipe.parent)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.long
def test_a_build_from_api_and_blobs_equals_the_build_from_disk_although_a_token_expires(
    archive: Services, recipe: Write, tmp_path: Path
) -> None:
    by_path = build(BuildRequest(load_recipe(str(recipe())), tmp_path / "path", ExecutorConfig(2)))
    refused = archive.refusals()
    # The third token has already expired when it is issued: requests with it are refused and signed again.
    with token_service(lambda number: -5 if number == 2 else HOUR) as tokens:
        code, output = build_from(archive, recipe(), tmp_path / "api", tokens.url, "--workers", "2")
    assert code == 0, output
    by_api = landmark.open(tmp_path / "api").manifest
    assert (by_api.content_digest, by_api.ids_digest, by_api.counts) == (
        by_path.content_digest,
        by_path.ids_digest,
        by_path.counts,
    )
    assert by_api.counts["failed"] == 0 and by_api.lock_digest != by_path.lock_digest
    assert archive.refusals() > refused, "no token was refused"
    files = b"".join(path.read_bytes() for path in (tmp_path / "api").rglob("*") if path.is_file())
    assert b"127.0.0.1" not in files
    assert all(secret not in output.encode() + files for secret in (b"sig=", b"%3D"))
