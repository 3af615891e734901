"""Editions of label files: times in names of files and layers, and layers and attributes of vector files by year."""

import datetime as dt
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely

from landmark.core.errors import InputError
from landmark.core.time import parse_utc
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.raster.vector import UnreadableVector, VectorLayer, list_layers, read_polygons

log = logging.getLogger(__name__)

_REMEDY = "give the file as `{path: …, year: …}` in `files` of the recipe"
_LAYER_REMEDY = "give each as `{path: …, layer: …, year: …}` in `files` of the recipe"
# Year, None if unknown → attribute with its codes.
_Fields = dict[int | None, str]
_LayerFields = tuple[VectorLayer, _Fields]
# Attributes with the year of each polygon.
_YEAR_FIELDS = re.compile(r"(?:\w*_)?(?:year|edition|ann[ée]e|mill[ée]sime|jahr|año|anno)", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d{2}")
# Years of two digits are 1950 to 2049.
_CENTURY_START = 50


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A label file on this machine.

    Attributes:
        path: Absolute, by the names that the user gave.
        layer: The only layer to read; None for all with codes, except those of changes.
        year: Year of its labels, as the recipe states it for this file.
        default_year: Year that the recipe states for the files that have none of their own.
    """

    path: Path
    layer: str | None = None
    year: int | None = None
    default_year: int | None = None

    @property
    def stated_year(self) -> int | None:
        """The year that the recipe states."""
        return self.year or self.default_year


@dataclass(frozen=True, slots=True)
class CodedLayer:
    """A layer, its attribute with codes, and the edition these describe."""

    layer: VectorLayer
    field: str
    edition: LabelEdition


@dataclass(frozen=True, slots=True)
class _NameTimes:
    """Times in a name, without duplicates: years, or text of days; and the version, if it has one."""

    years: tuple[int, ...] = ()
    days: tuple[str, ...] = ()
    version: str | None = None


def holds_changes(name: str, crosswalk: Crosswalk) -> bool:
    """Whether a file or layer of this name holds changes between two editions."""
    return crosswalk.files.changes is not None and re.search(crosswalk.files.changes, name) is not None


def file_edition(file: LocalFile, crosswalk: Crosswalk) -> LabelEdition:
    """Edition by, in this order: `year` of the file, one day in its name, `year` of the entry, one year in its name.

    Raises:
        InputError: the name has several times or none, or no such day exists.
    """
    times = _times(file.path.stem, crosswalk)
    version = times.version or crosswalk.files.version
    if len(times.days) == 1 and not file.year:
        time = _moment(times.days[0], file.path)
        return LabelEdition(crosswalk.name, version, time, time)
    if file.stated_year:
        return _year_edition(crosswalk, version, file.stated_year)
    if len(times.years) == 1:
        return _year_edition(crosswalk, version, times.years[0])
    if several := times.days or times.years:
        raise InputError("several times in the file's name", file=file.path, value=list(several), remedy=_REMEDY)
    raise InputError("neither year nor day in the file's name", file=file.path, remedy=_REMEDY)


def coded_layers(file: LocalFile, crosswalk: Crosswalk) -> list[CodedLayer]:
    """The layers of a vector file with codes and their editions; none if all hold changes between editions.

    The year is that of the attribute, the layer's name or the file's name, in this order. A stated year selects among
    them; with a stated layer, it replaces them.

    Raises:
        InputError: unreadable; no layer with codes and polygons; or the year of one is unknown or ambiguous.
    """
    layers = _with_polygons(_with_codes(_listed_layers(file, crosswalk), file, crosswalk), file)
    candidates = [(layer, fields) for layer, fields in layers if not _is_change(layer, fields, file, crosswalk)]
    for layer in (layer for layer, fields in layers if (layer, fields) not in candidates):
        log.warning("%s: layer %s holds changes between editions and is left out", file.path, layer.name)
    chosen = [coded for layer, fields in candidates if (coded := _dated_layer(layer, fields, file, crosswalk))]
    for coded in chosen:
        _check_polygon_years(coded.layer, file)
    if candidates and not chosen:
        years = sorted({year for _, fields in candidates for year in fields if year})
        problem = f"no layer of this year; the codes are of {', '.join(map(str, years))}"
        raise InputError(problem, file=file.path, key="labels.files", value=file.stated_year, remedy=_LAYER_REMEDY)
    return chosen


def _check_polygon_years(layer: VectorLayer, file: LocalFile) -> None:
    """Refuse a layer in which polygons of different years, by an attribute, overlap."""
    for field in filter(_YEAR_FIELDS.fullmatch, layer.fields):
        assert layer.bounds is not None
        try:
            shapes, values = read_polygons(layer.path, layer.name, field, layer.bounds)
        except UnreadableVector as error:
            raise InputError(f"layer {layer.name} cannot be read: {error}", file=file.path) from error
        matches = [_YEAR.match(str(value)) for value in values]
        years = np.array([int(match[0]) if match else 0 for match in matches], int)
        if len(np.unique(years[years > 0])) < 2:
            continue
        points, polygons = shapely.STRtree(shapes).query(shapely.point_on_surface(shapes), predicate="within")
        first, second = years[points], years[polygons]
        if len(overlapping := np.unique(first[(first != second) & (first > 0) & (second > 0)])):
            problem = f"polygons of several years in the attribute {field} of layer {layer.name} overlap"
            remedy = f'write each year to its own file (ogr2ogr -where "{field} = {overlapping[-1]}")'
            raise InputError(problem, file=file.path, key="labels.files", value=overlapping.tolist(), remedy=remedy)


def _listed_layers(file: LocalFile, crosswalk: Crosswalk) -> list[VectorLayer]:
    try:
        layers = list_layers(file.path)
    except UnreadableVector as error:
        raise InputError(f"cannot be read as polygons of {crosswalk.name}: {error}", file=file.path) from error
    if file.layer is None:
        return layers
    if named := [layer for layer in layers if layer.name.casefold() == file.layer.casefold()]:
        return named
    remedy = f"the file has {', '.join(layer.name for layer in layers) or 'none'}"
    raise InputError("no such layer", file=file.path, key="labels.files", value=file.layer, remedy=remedy)


def _with_codes(layers: Sequence[VectorLayer], file: LocalFile, crosswalk: Crosswalk) -> list[_LayerFields]:
    coded = [(layer, fields) for layer in layers if (fields := _code_fields(layer, crosswalk))]
    if not coded:
        present = ", ".join(sorted({field for layer in layers for field in layer.fields})) or "none"
        accepted = ", ".join(crosswalk.files.fields) or "none"
        problem = (
            f"no layer has a field with codes of {crosswalk.name}: accepted are {accepted}; the file has {present}"
        )
        remedy = f"add the field to `files.fields` of taxonomies/{crosswalk.name}.yaml"
        raise InputError(problem, file=file.path, value=[layer.name for layer in layers], remedy=remedy)
    return coded


def _with_polygons(layers: Sequence[_LayerFields], file: LocalFile) -> list[_LayerFields]:
    """The layers with polygons; told which are left out."""
    contents = [f"{layer.name}: {layer.content}" for layer, _ in layers if layer.bounds is None]
    if len(contents) == len(layers):
        problem, remedy = "no layer with codes holds polygons", "give a file of polygons"
        raise InputError(problem, file=file.path, value=contents, remedy=remedy)
    if contents:
        log.warning("%s: layers without polygons are left out: %s", file.path, "; ".join(contents))
    return [(layer, fields) for layer, fields in layers if layer.bounds is not None]


def _code_fields(layer: VectorLayer, crosswalk: Crosswalk) -> _Fields:
    """The attribute with codes of each year; that of None if no attribute names a year."""
    fields: _Fields = {}
    for pattern in crosswalk.files.fields:
        for field in layer.fields:
            match = re.fullmatch(pattern, field, re.IGNORECASE)
            if match or field.casefold() == pattern.casefold():
                fields.setdefault(_full_year(match["year"] if match and "year" in match.re.groupindex else None), field)
    return {year: field for year, field in fields.items() if year is not None} or fields


def _is_change(layer: VectorLayer, fields: _Fields, file: LocalFile, crosswalk: Crosswalk) -> bool:
    if file.layer is not None:
        return False
    return holds_changes(layer.name, crosswalk) or (len(fields) > 1 and file.stated_year not in fields)


def _dated_layer(layer: VectorLayer, fields: _Fields, file: LocalFile, crosswalk: Crosswalk) -> CodedLayer | None:
    """The layer with its edition, None if it is of another year than the stated one."""
    stem, field = file.path.stem, next(iter(fields.values()))
    times = _times(layer.name, crosswalk)
    version = times.version or _times(stem, crosswalk).version or crosswalk.files.version
    # A file's name does not contradict an attribute; that of the file itself is considered last.
    of_file = layer.name == (stem if None in fields else layer.path.stem)
    years = {year for year in (*fields, *(() if of_file else times.years)) if year is not None}
    if file.stated_year and file.stated_year in fields:
        field, year = fields[file.stated_year], file.stated_year
    elif len(fields) == 1 and file.stated_year and (file.stated_year in years or (file.layer and file.year)):
        year = file.stated_year
    elif len(years) == 1 and not file.stated_year:
        (year,) = years
    elif not years:
        return CodedLayer(layer, field, replace(file_edition(file, crosswalk), version=version))
    elif file.stated_year and file.layer is None:
        return None
    else:
        problem = f"layer {layer.name} has codes or names of several years, or of another than the stated one"
        raise InputError(problem, file=file.path, value=sorted(years), remedy=_LAYER_REMEDY)
    return CodedLayer(layer, field, _year_edition(crosswalk, version, year))


def _times(name: str, crosswalk: Crosswalk) -> _NameTimes:
    """Times in a name, by the first of the crosswalk's patterns that matches."""
    for pattern in crosswalk.files.dates:
        if groups := [match.groupdict() for match in re.finditer(pattern, name)]:
            texts = [_without_separators(group.get("datetime")) for group in groups]
            days = {text[:8]: text for text in reversed(texts) if text}
            years = {year: None for group in groups if (year := _full_year(group.get("year")))}
            return _NameTimes(tuple(years), tuple(reversed(days.values())), groups[0].get("version"))
    return _NameTimes()


def _without_separators(text: str | None) -> str:
    return re.sub(r"[-_]", "", text or "")


def _full_year(text: str | None) -> int | None:
    if text is None or len(text) > 2:
        return None if text is None else int(text)
    return int(text) + (1900 if int(text) >= _CENTURY_START else 2000)


def _moment(text: str, path: Path) -> dt.datetime:
    try:
        return parse_utc(text, "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")
    except ValueError as error:
        raise InputError("the date in the file's name does not exist", file=path, value=text) from error


def _year_edition(crosswalk: Crosswalk, version: str, year: int) -> LabelEdition:
    start, end = dt.datetime(year, 1, 1, tzinfo=dt.UTC), dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    return LabelEdition(crosswalk.name, version, start, end)
