"""Threads of OpenMP wait without spinning, unless the environment says otherwise."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import os, sys
import landmark, landmark.cli.train, landmark.cli.validate, landmark.cli.evaluate
import landmark.train
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"])
"""


@pytest.mark.parametrize(
    ("variables", "expected"), [({}, "PASSIVE 0"), ({"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "9"}, "ACTIVE 9")]
)
def test_openmp_is_configured_before_torch_is_loaded(variables: dict[str, str], expected: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", _PROGRAM]
    result = subprocess.run(command, env=inherited | variables, capture_output=True, text=True, check=True)
    assert result.stdout.split() == expected.split()
