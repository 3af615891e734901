"""`import landmark` is cheap: reading a corpus needs neither the build's libraries nor torch's."""

import subprocess
import sys


def test_importing_landmark_loads_no_heavy_library() -> None:
    code = "import sys, landmark; print({'torch', 'dask', 'distributed', 'rasterio', 'scipy'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
