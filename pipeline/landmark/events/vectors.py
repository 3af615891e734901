"""Events of any vector file, by a mapping of its attributes."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from landmark.core.errors import InputError
from landmark.core.plural import plural
from landmark.core.time import parse_utc
from landmark.domain.event import NEAR, Event, EventPart
from landmark.events.files import VectorFile
from landmark.events.geometry import circle, points, union
from landmark.events.result import ReadResult, merge_results
from landmark.events.rules import OBSERVED, EventRules, check_year, slug
from landmark.events.source import EPOCH_UNITS_S, CategoryField, EventSource, TimeField, VectorMapping
from landmark.raster.features import Features


def read_vectors(files: Sequence[VectorFile], source: EventSource, rules: EventRules) -> ReadResult:
    """Read the events of all layers of all files; features of one layer and id are one event.

    Raises:
        InputError: a layer lacks an attribute, a value is invalid, or a point has no `within_km`.
    """
    assert source.vectors is not None
    _check_grades(source.vectors, source.name, rules)
    results = []
    for file in files:
        if file.path.suffix.lower() == ".dbf":
            continue
        for layer in file.layer_names(spatial_only=True):
            reader = _LayerReader(file.read(layer), source.vectors, source.name, file.label, rules)
            results.append(reader.read())
    if not results:
        key, remedy = f"events.{source.name}.files", "give a shapefile, GeoPackage, FlatGeobuf or GeoJSON"
        raise InputError("no vector file", key=key, remedy=remedy)
    return merge_results(results)


@dataclass(frozen=True, slots=True)
class _Row:
    """Attributes of a feature as the mapping reads them; `index` is its place in the layer."""

    id: str
    group: str
    type: str
    start: dt.datetime | None
    end: dt.datetime | None
    observed: dt.datetime | None
    product: str
    magnitude: float | None
    part: str
    index: int


class _LayerReader:
    """Turns the features of one layer into events."""

    def __init__(self, features: Features, mapping: VectorMapping, source: str, label: str, rules: EventRules) -> None:
        self._features, self._mapping, self._source = features, mapping, source
        self._label, self._rules = label, rules
        self._skipped: Counter[str] = Counter()
        self._id_values: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}

    def read(self) -> ReadResult:
        rows: dict[str, list[_Row]] = {}
        for row in self._rows():
            rows.setdefault(row.id, []).append(row)
        events = [event for id_ in sorted(rows) if (event := self._event(rows[id_])) is not None]
        notes = [
            f"{self._label}: {plural(count, 'feature')} skipped: {reason}"
            for reason, count in sorted(self._skipped.items())
        ]
        if count := int(self._features.repaired.sum()):
            notes.append(f"{self._label}: {plural(count, 'polygon')} repaired")
        repaired = {
            event.id: int(self._features.repaired[[row.index for row in rows[event.id]]].sum()) for event in events
        }
        names = frozenset(name for same_id in rows.values() for row in same_id for name in (row.id, row.group))
        return ReadResult(tuple(events), tuple(notes), repaired=repaired, names=names)

    def _rows(self) -> list[_Row]:
        mapping, size = self._mapping, len(self._features)
        ids, groups = self._texts(self._require(mapping.id)), self._texts(mapping.group)
        any_of = [mapping.id.index(name) for name in mapping.id_any_of]
        products = self._texts(mapping.product)
        types = [mapping.type] * size if isinstance(mapping.type, str) else self._categories(mapping.type)
        parts = [OBSERVED] * size if mapping.grade is None else self._categories(mapping.grade)
        times = [self._times(time, last=time is mapping.end) for time in (mapping.start, mapping.end, mapping.observed)]
        magnitudes = self._numbers(mapping.magnitude)
        rows = []
        for index in range(size):
            values, type_, part, magnitude = ids[index], types[index], parts[index], magnitudes[index]
            if any_of and not any(values[number] for number in any_of):
                self._skipped[f"no value of {', '.join(mapping.id_any_of)}"] += 1
            elif not any_of and not all(values):
                self._skipped[f"no value of {mapping.id[values.index('')]}"] += 1
            elif type_ is None or part is None:
                self._skipped["unmapped type or grade"] += 1
            elif self._includes(type_, magnitude):
                id_ = self._id(mapping.id, values)
                group = self._id(mapping.group, groups[index]) if any(groups[index]) else id_
                product = " ".join(filter(None, products[index])) or id_
                start, end, observed = (column[index] for column in times)
                rows.append(_Row(id_, group, type_, start, end, observed, product, magnitude, part, index))
        return rows

    def _includes(self, type_: str, magnitude: float | None) -> bool:
        if type_ not in self._rules.types:
            remedy = f"name one of taxonomies/events/types.yaml: {', '.join(self._rules.types)}"
            raise InputError(
                "unknown event type", file=f"{self._source}.yaml", key="vectors.type", value=type_, remedy=remedy
            )
        if not self._rules.includes(type_):
            return False
        threshold = self._rules.entry.min_magnitude
        if threshold is None or (magnitude is not None and magnitude >= threshold):
            return True
        self._skipped[f"magnitude unknown or below {threshold:g}"] += 1
        return False

    def _event(self, rows: Sequence[_Row]) -> Event | None:
        first = rows[0]
        start, end = self._rules.stated_dates(first.id, first.group) or (
            min((row.start for row in rows if row.start), default=None),
            max((row.end for row in rows if row.end), default=None),
        )
        if start is None:
            self._skipped[f"no start; state it as `dates: {{{first.id}: …}}`"] += len(rows)
            return None
        if end is not None and end < start:
            self._skipped["end before the start (the event is kept without it)"] += len(rows)
            end = None
        observed = max((row.observed for row in rows if row.observed), default=None)
        epicentre, parts = self._parts(rows)
        if not parts:
            self._skipped["no polygon and no point"] += len(rows)
            return None
        return Event(
            id=first.id,
            group=first.group,
            type=first.type,
            source=self._source,
            product=first.product,
            start=start,
            end=self._rules.resolve_end(first.type, start, stated=end, observed=observed),
            observed=observed,
            parts=parts,
            epicentre=epicentre,
            magnitude=max((row.magnitude for row in rows if row.magnitude is not None), default=None),
        )

    def _parts(self, rows: Sequence[_Row]) -> tuple[tuple[float, float] | None, tuple[EventPart, ...]]:
        """Epicentre (lon, lat) and parts of an event, the worst grade first."""
        names = sorted({row.part for row in rows}, key=(*self._rules.vocabulary.grades, OBSERVED).index)
        geometries = {
            name: self._features.geometries[[row.index for row in rows if row.part == name]] for name in names
        }
        areas = {name: union(parts) for name, parts in geometries.items()}
        if areas.get(OBSERVED) is not None and self._rules.needs_grade(rows[0].type):
            raise InputError(
                f"a polygon of type {rows[0].type} is damage only with a grade",
                file=self._label,
                value=rows[0].id,
                remedy=f"add `grade` to taxonomies/events/{self._source}.yaml",
            )
        centres = points(np.concatenate(list(geometries.values())))
        if not len(centres):
            return None, _event_parts(areas)
        if (radius_km := self._rules.entry.within_km) is None:
            remedy = "set `within_km` in this entry of the recipe's `events`, the radius of the part `near`"
            raise InputError("the event is a point", file=self._label, key="within_km", value=rows[0].id, remedy=remedy)
        epicentre = float(shapely.get_x(centres[0])), float(shapely.get_y(centres[0]))
        return epicentre, _event_parts({**areas, NEAR: circle(*epicentre, radius_km)})

    def _id(self, names: tuple[str, ...], values: tuple[str, ...]) -> str:
        """The id of some attribute values, refusing the same id for values that differ in more than case."""
        own, text = slug(*values), ", ".join(values)
        id_ = slug(self._mapping.prefix, *filter(None, values))
        first = self._id_values.setdefault((names, id_), values)
        if own and [value.casefold() for value in first] == [value.casefold() for value in values]:
            return id_
        problem = f"makes the same id as {', '.join(first)!r}: {id_!r}" if own else "makes an empty id"
        remedy = f"add an attribute with Latin letters or digits in taxonomies/events/{self._source}.yaml"
        raise InputError(problem, file=self._label, key=", ".join(names), value=text, remedy=remedy)

    def _texts(self, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The values of some attributes as text, per feature; empty text for missing values."""
        columns = [[_text(value) for value in self._features.values((name,))] for name in names]
        return list(zip(*columns, strict=True)) if columns else [()] * len(self._features)

    def _numbers(self, names: tuple[str, ...]) -> list[float | None]:
        if not names:
            return [None] * len(self._features)
        values = self._features.values(self._require(names))
        try:
            return [None if value is None else float(value) for value in values]
        except (TypeError, ValueError) as error:
            raise InputError(f"holds a value that is no number: {error}", file=self._label, key=names[0]) from error

    def _categories(self, category: CategoryField) -> list[str | None]:
        mapped = {name.casefold(): value for name, value in category.values.items()}
        values = [_text(value) for value in self._features.values(self._require(category.fields))]
        unknown = Counter(value for value in values if value.casefold() not in mapped)
        if unknown and category.unmapped == "error":
            value, count = min(unknown.items())
            raise InputError(
                f"unmapped value of {plural(count, 'feature')}",
                file=self._label,
                key=category.fields[0],
                value=value,
                remedy=f"add it to `values` ({', '.join(category.values)}), or set `unmapped: drop`",
            )
        return [mapped.get(value.casefold()) for value in values]

    def _times(self, field: TimeField | None, *, last: bool) -> list[dt.datetime | None]:
        if field is None or not any(map(self._features.has, field.fields)):
            return [None] * len(self._features)
        columns = [self._features.values((name,)) for name in field.fields]
        values = [next((value for value in row if _text(value)), None) for row in zip(*columns, strict=True)]
        return [None if value is None else self._time(value, field, last=last) for value in values]

    def _time(self, value: Any, field: TimeField, *, last: bool) -> dt.datetime:
        for time_format in field.formats:
            if (time := _parse_time(value, time_format, last=last)) is not None:
                return check_year(time, file=self._label, key=field.fields[0])
        raise InputError(
            f"not a time in the format {' or '.join(field.formats)}",
            file=self._label,
            key=field.fields[0],
            value=value,
            remedy=f"add its format to taxonomies/events/{self._source}.yaml",
        )

    def _require(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of some attributes, of which the layer has at least one."""
        if not any(map(self._features.has, names)):
            remedy = f"the layer has {', '.join(self._features.fields) or 'none'}"
            raise InputError("no such attribute", file=self._label, key=" or ".join(names), remedy=remedy)
        return names


def _event_parts(areas: dict[str, Any]) -> tuple[EventPart, ...]:
    return tuple(EventPart(name, area) for name, area in areas.items() if area is not None)


def _check_grades(mapping: VectorMapping, source: str, rules: EventRules) -> None:
    grades = rules.vocabulary.grades
    for grade in () if mapping.grade is None else mapping.grade.values.values():
        if grade not in grades:
            remedy = f"use {', '.join(grades)}; leave out values that are no damage, with `unmapped: drop`"
            raise InputError(
                "unknown grade", file=f"{source}.yaml", key="vectors.grade.values", value=grade, remedy=remedy
            )


def _parse_time(value: Any, time_format: str, *, last: bool) -> dt.datetime | None:
    """Parse a time, None if it is in another format.

    A day is its first moment, or with `last` its last one, and so is exact midnight: files without a type for days
    write them as midnight.
    """
    try:
        time = _parse_exact(value, time_format)
        return time + dt.timedelta(days=1, microseconds=-1) if last and time.time() == dt.time() else time
    except (ValueError, OverflowError, OSError):
        return None


def _parse_exact(value: Any, time_format: str) -> dt.datetime:
    if time_format in EPOCH_UNITS_S:
        return dt.datetime.fromtimestamp(float(value) * EPOCH_UNITS_S[time_format], dt.UTC)
    if time_format == "iso":
        return parse_utc(str(value))
    time = parse_utc(_text(value), time_format)
    return time if "%H" in time_format else parse_utc(time.date().isoformat())


def _text(value: Any) -> str:
    """A value as text: "7" for 7.0, "" for None."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
