"""Limits of what one file, document or response may make landmark read. `docs/core.md` has them as a table.

They are far above real data: the European CORINE is 8 GB unpacked, a country's outline has 200,000 vertices.
"""

from pathlib import Path

from landmark.core.errors import InputError

# Documents that people write (recipes, taxonomies, profiles) and JSON documents (STAC, GeoJSON regions, responses).
YAML_BYTES = 2_000_000
YAML_VALUES = 200_000  # counted with what aliases repeat
JSON_BYTES = 500_000_000
DEPTH = 100  # of lists and mappings in one another

# Archives, all members together, nested zips included.
ZIP_BYTES = 20_000_000_000
ZIP_RATIO = 2_000  # of unpacked to packed bytes
ZIP_MEMBERS = 10_000
ZIP_DEPTH = 4
DOWNLOAD_BYTES = ZIP_BYTES

# Geometries.
FOOTPRINT_VERTICES = 20_000
REGION_VERTICES = 2_000_000
EVENT_VERTICES = 20_000_000  # of a layer
# Polygons with more vertices are simplified before they are enlarged; invalid ones with more are mended by area.
EXACT_VERTICES = 2_000

# Tables of points, and regular expressions that people write.
GAZETTEER_BYTES = 1_000_000_000
PATTERN_CHARS = 1_000

# Mistakes of one file that are printed.
PRINTED_PROBLEMS = 100


def check_file_size(path: Path, limit: int) -> None:
    """Require that a file that is read at once has at most `limit` bytes.

    Raises:
        InputError: it has more.
        OSError: it cannot be read.
    """
    if (size := path.stat().st_size) > limit:
        raise InputError(f"has {size} bytes, more than {limit}", file=path, remedy="split it, or write less into it")
