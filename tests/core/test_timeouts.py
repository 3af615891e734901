"""The measure of all waits for servers comes from the environment."""

import os
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "landmark", "build", "demo", "--catalog", "http://127.0.0.1:9/", "--workers", "0"]


@pytest.mark.parametrize("value", ["nan", "soon"])
def test_a_timeout_that_is_no_positive_number_is_refused(value: str) -> None:
    result = subprocess.run(PROGRAM, env={**os.environ, "LANDMARK_TIMEOUT_S": value}, capture_output=True, text=True)
    assert result.returncode == 2
    assert "LANDMARK_TIMEOUT_S" in result.stderr and "Traceback" not in result.stderr
