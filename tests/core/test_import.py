"""`import landmark` and `landmark --help` are cheap: what loads a library is the first thing that needs it."""

import subprocess
import sys

import pytest

# Of the command line; typer loads pydantic to parse a command's own options.
LIGHT = {"landmark", "typer", "rich", "pygments", "markdown_it", "mdurl", "attr", "annotated_doc", "shellingham"}


@pytest.mark.parametrize(
    "code",
    ["import landmark", "import landmark.cli.main as cli; cli.app(['--help'], standalone_mode=False)"],
)
def test_libraries_are_loaded_on_first_use(code: str) -> None:
    script = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert {name for name in loaded - LIGHT if not name.startswith("_sysconfigdata")} <= sys.stdlib_module_names
