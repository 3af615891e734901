"""The part of the executor that runs in workers as source text, whatever landmark a worker has, or none.

Imports the standard library and Dask's worker only, inside its functions.
"""

from typing import Any

# Libraries that read or compute pixels, and the versions of C libraries inside them: module and attribute.
PIXEL_LIBRARIES = ("numpy", "rasterio", "pyproj", "shapely", "pyarrow", "imagecodecs", "tifffile")
C_LIBRARIES = {
    "GDAL": ("rasterio", "__gdal_version__"),
    "PROJ": ("pyproj", "proj_version_str"),
    "GEOS": ("shapely", "geos_version_string"),
}


def fingerprint() -> dict[str, str]:
    """What a process computes samples with: landmark's version, a digest of its code, and versions of libraries."""
    import importlib
    from importlib.metadata import PackageNotFoundError, version

    versions = landmark_code()
    for name in PIXEL_LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    for name, (module, attribute) in C_LIBRARIES.items():
        try:
            versions[name] = str(getattr(importlib.import_module(module), attribute))
        except Exception as error:
            versions[name] = f"cannot be loaded: {error}"
    return versions


def landmark_code() -> dict[str, str]:
    """Version of landmark, and a digest of its Python and YAML files; found without importing it."""
    import hashlib
    import re
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("landmark")
    if spec is None or spec.origin is None:
        return {"landmark": "not installed"}
    root, digest = Path(spec.origin).parent, hashlib.sha256()
    # A wheel also holds the resources of the repository, which workers do not read.
    paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.suffix in (".py", ".yaml")}
    for name in sorted(name for name in paths if name.split("/")[0] not in ("taxonomies", "manifests")):
        digest.update(f"{name} {hashlib.sha256(paths[name].read_bytes()).hexdigest()}\n".encode())
    match = re.search(r'^__version__ = "(.*)"', Path(spec.origin).read_text(), re.MULTILINE)
    return {"landmark": match[1] if match else "unknown", "code of landmark": digest.hexdigest()[:12]}


def differences(expected: dict[str, str]) -> "list[tuple[str, str, str]]":
    """(what, client's value, this process's value) of each difference.

    The values are those of the process's first call: what it has imported since does not change with the files.
    """
    from distributed import Worker

    if not hasattr(Worker, "landmark_fingerprint"):
        Worker.landmark_fingerprint = fingerprint()
    present = Worker.landmark_fingerprint
    missing = "not installed"
    return [
        (name, value, present.get(name, missing))
        for name, value in expected.items()
        if present.get(name, missing) != value
    ]


def call(expected: dict[str, str], pickled: bytes) -> "tuple[str, list[tuple[str, str, str]], Any]":
    """Call a pickled function on a pickled task, unless this worker differs: (address, differences, result)."""
    import pickle

    from distributed import get_worker

    address: str = get_worker().address
    if differing := differences(expected):
        return address, differing, None
    function, task = pickle.loads(pickled)
    return address, [], function(task)
