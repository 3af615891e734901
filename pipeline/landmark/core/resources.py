"""Find the files that come with landmark: recipes, taxonomies, profiles."""

import difflib
from contextlib import suppress
from pathlib import Path

from landmark.core.errors import UnknownName

_PACKAGE = Path(__file__).resolve().parents[1]

# Singular nouns of the kinds whose folder's name is not their plural.
_KIND_NOUNS = {"manifests": "recipe", "taxonomies": "taxonomy", "taxonomies/captions": "language"}


def resource_dir(name: str) -> Path:
    """Folder of a kind of resource: inside the package in a wheel, in the repository's root in a checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parents[1] / name


def available(kind: str) -> list[str]:
    """Names of the resources of a kind, sorted."""
    return sorted(path.stem for path in resource_dir(kind).glob("*.yaml"))


def find_resource(kind: str, name: str) -> Path:
    """Path of a resource by name, or the path itself.

    Args:
        kind: Folder of the resources, such as `taxonomies/captions`.
        name: Name without suffix, or path of a .yaml file.

    Raises:
        UnknownName: no such file; the remedy lists the available names.
    """
    is_path = name.endswith((".yaml", ".yml"))
    path = Path(name) if is_path else resource_dir(kind) / f"{name}.yaml"
    with suppress(OSError):  # no file can have the name, as it is too long
        if path.is_file():
            return path
    if is_path:
        raise UnknownName("no such file", file=name)
    names = available(kind)
    close = difflib.get_close_matches(name, names, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    remedy = f"{suggestion}available: {', '.join(names) or 'none'}, or the path of a .yaml file"
    noun = _KIND_NOUNS.get(kind, kind.split("/")[-1].rstrip("s"))
    raise UnknownName(f"no {noun} of this name", value=name, remedy=remedy)
