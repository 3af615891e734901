"""Writes packages and vectors as services publish them, and reads them back."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas
import pandas
import shapely
from shapely.geometry.base import BaseGeometry

from landmark.domain.event import Events
from landmark.events.files import event_files
from landmark.events.load import read_events
from landmark.events.read import Read
from landmark.events.source import load_source

# Where the shapes below lie: near Padova. An area of interest 0.1 degrees wide, and ground inside it.
AOI = shapely.box(11.8, 45.3, 11.9, 45.4)
WEST, EAST = shapely.box(11.81, 45.31, 11.84, 45.34), shapely.box(11.86, 45.36, 11.89, 45.39)
# Its sides cross: not valid, and two triangles when repaired.
BOWTIE = shapely.Polygon([(11.82, 45.32), (11.84, 45.34), (11.84, 45.32), (11.82, 45.34)])
FLOOD = {"event_type": "5-Flood", "obj_desc": "Riverine flood", "notation": "Not Applicable", "dmg_src_id": 2}
FIRE = {"event_type": "Wildfire", "obj_desc": "Forest fire", "notation": "Burnt area", "dmg_src_id": 1}


def layer(path: Path, shapes: Iterable[BaseGeometry | None], *rows: Mapping[str, Any], crs: Any = 4326) -> Path:
    """A layer in EPSG:4326 or another system; one row of attributes serves all shapes, or each has its own."""
    shapes = list(shapes)
    values = list(rows) * len(shapes) if len(rows) == 1 else list(rows)
    frame = geopandas.GeoDataFrame(pandas.DataFrame(values), geometry=shapes, crs=4326).to_crs(crs)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_file(path, engine="pyogrio", driver="GeoJSON" if path.suffix == ".json" else None)
    return path


def table(path: Path, *rows: Mapping[str, Any]) -> Path:
    """A table without shapes, .dbf."""
    import pyogrio

    path.parent.mkdir(parents=True, exist_ok=True)
    pyogrio.write_dataframe(pandas.DataFrame(list(rows)), path, driver="ESRI Shapefile")
    return path


def flood(folder: Path, name: str = "EMSR900_01PLACE_DEL_v1", *, shapes: Iterable[BaseGeometry] = (WEST,)) -> Path:
    """A delineation of 2018's naming."""
    layer(folder / f"{name}_observed_event_a.shp", shapes, FLOOD)
    layer(folder / f"{name}_area_of_interest_a.shp", [AOI], {"emsr_id": "emsr900", "locality": "Place"})
    return folder


def grading(folder: Path, grades: Mapping[str, BaseGeometry], name: str = "EMSR901_AOI01_GRA_PRODUCT") -> Path:
    """A grading of 2020's naming, GeoJSON."""
    rows = [{"damage_gra": grade, "dmg_src_id": 3} for grade in grades]
    layer(folder / f"{name}_builtUpA_r1_v1.json", grades.values(), *rows)
    layer(folder / f"{name}_areaOfInterestA_r1_v1.json", [AOI], {"emsr_id": "EMSR901"})
    return folder


def activation(folder: Path, code: str, category: str, start: str = "2018-10-29T06:00:00") -> Path:
    """The service's own document of an activation."""
    path = folder / f"{code}.json"
    answer = {"count": 1, "results": [{"code": code, "category": category, "eventTime": start, "aois": []}]}
    path.write_text(json.dumps(answer))
    return path


def zipped(package: Path, files: Iterable[Path], inside: str = "") -> Path:
    """Files in a zip, in a folder inside it where one is named."""
    package.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(files):
            archive.write(file, f"{inside}{file.name}")
    return package


def read(*paths: Path, source: str = "copernicus-ems", **asked: Any) -> Read:
    """The events of files, as a recipe's entry asks for them."""
    entry = Events.model_validate({"source": source, "files": [str(path) for path in paths], **asked})
    return read_events(entry, load_source(source), event_files(entry, Path.cwd))
