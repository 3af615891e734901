"""Write packages and vector files as services publish them, and read them back."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas
import pandas
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.config.event_entries import EventEntry
from landmark.core.errors import InputError
from landmark.events.files import resolve_event_files
from landmark.events.load import read_events
from landmark.events.result import ReadResult
from landmark.events.source import load_source

# Near Padova: an area of interest 0.1 degrees wide, and two boxes inside it.
AOI = shapely.box(11.8, 45.3, 11.9, 45.4)
WEST, EAST = shapely.box(11.81, 45.31, 11.84, 45.34), shapely.box(11.86, 45.36, 11.89, 45.39)
# Invalid, as its sides cross; two triangles when repaired.
BOWTIE = shapely.Polygon([(11.82, 45.32), (11.84, 45.34), (11.84, 45.32), (11.82, 45.34)])
FLOOD = {"event_type": "5-Flood", "obj_desc": "Riverine flood", "notation": "Not Applicable", "dmg_src_id": 2}
FIRE = {"event_type": "Wildfire", "obj_desc": "Forest fire", "notation": "Burnt area", "dmg_src_id": 1}


def layer(path: Path, shapes: Iterable[BaseGeometry | None], *rows: Mapping[str, Any], crs: Any = 4326) -> Path:
    """Write a layer of shapes in EPSG:4326, with a row of attributes for all shapes, or one for each."""
    shapes = list(shapes)
    values = list(rows) * len(shapes) if len(rows) == 1 else list(rows)
    frame = geopandas.GeoDataFrame(pandas.DataFrame(values), geometry=shapes, crs=4326).to_crs(crs)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_file(path, engine="pyogrio", driver="GeoJSON" if path.suffix == ".json" else None)
    return path


def table(path: Path, *rows: Mapping[str, Any]) -> Path:
    """Write a table without geometries, .dbf."""
    import pyogrio

    path.parent.mkdir(parents=True, exist_ok=True)
    pyogrio.write_dataframe(pandas.DataFrame(list(rows)), path, driver="ESRI Shapefile")
    return path


def flood(folder: Path, name: str = "EMSR900_01PLACE_DEL_v1", *, shapes: Iterable[BaseGeometry] = (WEST,)) -> Path:
    """Write a flood delineation, named as in 2018."""
    layer(folder / f"{name}_observed_event_a.shp", shapes, FLOOD)
    layer(folder / f"{name}_area_of_interest_a.shp", [AOI], {"emsr_id": "emsr900", "locality": "Place"})
    return folder


def grading(folder: Path, grades: Mapping[str, BaseGeometry], name: str = "EMSR901_AOI01_GRA_PRODUCT") -> Path:
    """Write a grading as GeoJSON, named as in 2020."""
    rows = [{"damage_gra": grade, "dmg_src_id": 3} for grade in grades]
    layer(folder / f"{name}_builtUpA_r1_v1.json", grades.values(), *rows)
    layer(folder / f"{name}_areaOfInterestA_r1_v1.json", [AOI], {"emsr_id": "EMSR901"})
    return folder


def activation(folder: Path, code: str, category: str, start: str = "2018-10-29T06:00:00") -> Path:
    """Write the API's document of an activation."""
    path = folder / f"{code}.json"
    response = {"count": 1, "results": [{"code": code, "category": category, "eventTime": start, "aois": []}]}
    path.write_text(json.dumps(response))
    return path


def zipped(package: Path, files: Iterable[Path], inside: str = "") -> Path:
    """Zip files, optionally in a folder inside the zip."""
    package.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            archive.write(file, f"{inside}{file.name}")
    return package


def read(*paths: Path, source: str = "copernicus-ems", **entry_keys: Any) -> ReadResult:
    """Read the events of files with a recipe's entry."""
    entry = EventEntry.model_validate({"source": source, "files": [str(path) for path in paths], **entry_keys})
    return read_events(entry, load_source(source), resolve_event_files(entry, lambda _: Path.cwd()))


def read_error(*paths: Path, source: str = "copernicus-ems", **entry_keys: Any) -> InputError:
    """The error of files that cannot be read."""
    with pytest.raises(InputError) as caught:
        read(*paths, source=source, **entry_keys)
    return caught.value


def has_note(result: ReadResult, *words: str) -> bool:
    """Whether a note holds all of some names or counts."""
    return any(all(word in note for word in words) for note in result.notes)
