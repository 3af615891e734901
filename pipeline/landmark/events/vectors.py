"""Any file of vectors → events, by a mapping of its attributes."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from landmark.core.errors import InputError
from landmark.domain.event import NEAR, Event, Part, moment
from landmark.events.files import Found
from landmark.events.read import OBSERVED, Asked, Read, combined, sane, slug
from landmark.events.shapes import Features, circle, layer_names, points, read_features, union
from landmark.events.source import NUMBERS, EventSource, Time, Vectors, Word


def read_vectors(found: Sequence[Found], source: EventSource, asked: Asked) -> Read:
    """The events of all layers of all files; features of one layer and id are one event.

    Raises:
        InputError: a layer lacks an attribute, a value cannot be understood, or a point has no `within_km`.
    """
    assert source.vectors is not None
    _check_grades(source.vectors, source.name, asked)
    reads = []
    for one in found:
        if one.path.suffix.lower() == ".dbf":
            continue
        for layer in layer_names(one.path, one.label, shaped=True):
            features = read_features(one.path, layer, one.label)
            reads.append(_Layer(features, source.vectors, source.name, one, asked).read())
    if not reads:
        raise InputError(f"events: {source.name}: no file of vectors is among the files given")
    return combined(reads)


@dataclass(frozen=True, slots=True)
class _Row:
    """What a feature says; None where it says nothing."""

    id: str
    group: str
    type: str
    start: dt.datetime | None
    end: dt.datetime | None
    observed: dt.datetime | None
    product: str
    magnitude: float | None
    part: str
    place: int


class _Layer:
    """The features of one layer, as a mapping reads them."""

    def __init__(self, features: Features, mapping: Vectors, source: str, found: Found, asked: Asked) -> None:
        self._features, self._mapping, self._source = features, mapping, source
        self._label, self._asked = found.label, asked
        self._left_out: Counter[str] = Counter()
        self._named: dict[tuple[tuple[str, ...], str], tuple[str, ...]] = {}

    def read(self) -> Read:
        rows: dict[str, list[_Row]] = {}
        for row in self._rows():
            rows.setdefault(row.id, []).append(row)
        events = [event for id_ in sorted(rows) if (event := self._event(rows[id_])) is not None]
        notes = [f"{self._label}: {count} features left out: {why}" for why, count in sorted(self._left_out.items())]
        repaired = {id_: int(self._features.invalid[[row.place for row in rows[id_]]].sum()) for id_ in sorted(rows)}
        if self._features.repaired:
            notes.append(f"{self._label}: {self._features.repaired} polygons repaired")
        return Read(tuple(events), tuple(notes), repaired={event.id: repaired[event.id] for event in events})

    def _rows(self) -> list[_Row]:
        mapping, count = self._mapping, len(self._features)
        ids, groups = self._values(self._first(mapping.id)), self._values(mapping.group)
        telling = [mapping.id.index(name) for name in mapping.telling]
        products = self._values(mapping.product)
        types = [mapping.type] * count if isinstance(mapping.type, str) else self._words(mapping.type)
        parts = [OBSERVED] * count if mapping.grade is None else self._words(mapping.grade)
        times = [self._times(time, last=time is mapping.end) for time in (mapping.start, mapping.end, mapping.observed)]
        magnitudes = self._numbers(mapping.magnitude)
        rows = []
        for place in range(count):
            said, type_, magnitude = ids[place], types[place], magnitudes[place]
            if telling and not any(said[one] for one in telling):
                self._left_out[f"none of {', '.join(mapping.telling)} says which event"] += 1
            elif not telling and not all(said):
                self._left_out[f"{mapping.id[said.index('')]} does not say which event"] += 1
            elif type_ is None or parts[place] is None:
                self._left_out["of no type or grade that is mapped"] += 1
            elif self._wanted(type_, magnitude):
                id_ = self._id(mapping.id, said)
                group = self._id(mapping.group, groups[place]) if any(groups[place]) else id_
                product = " ".join(filter(None, products[place])) or id_
                start, end, seen = (column[place] for column in times)
                part = str(parts[place])
                rows.append(_Row(id_, group, type_, start, end, seen, product, magnitude, part, place))
        return rows

    def _wanted(self, type_: str, magnitude: float | None) -> bool:
        if type_ not in self._asked.types:
            known = ", ".join(self._asked.types)
            raise InputError(f"events: {self._source}: `type`: {type_!r} is none of those in types.yaml, {known}")
        if not self._asked.keeps(type_):
            return False
        if (least := self._asked.entry.min_magnitude) is None or (magnitude is not None and magnitude >= least):
            return True
        self._left_out[f"weaker than magnitude {least:g}, or of unknown magnitude"] += 1
        return False

    def _event(self, rows: Sequence[_Row]) -> Event | None:
        first = rows[0]
        start, end = self._asked.stated(first.id, first.group) or (
            min((row.start for row in rows if row.start), default=None),
            max((row.end for row in rows if row.end), default=None),
        )
        if start is None:
            self._left_out[f"no start; state it as `dates: {{{first.id}: …}}`"] += len(rows)
            return None
        if end is not None and end < start:
            self._left_out["an end before the start (the event is kept, its end is not)"] += len(rows)
            end = None
        seen = max((row.observed for row in rows if row.observed), default=None)
        end = self._asked.end(first.type, start, stated=end, seen=seen)
        centre, parts = self._ground(rows)
        if not parts:
            self._left_out["no polygon and no point"] += len(rows)
            return None
        return Event(
            id=first.id,
            group=first.group,
            type=first.type,
            source=self._source,
            product=first.product,
            start=start,
            end=end,
            observed=seen,
            parts=parts,
            epicentre=centre,
            magnitude=max((row.magnitude for row in rows if row.magnitude is not None), default=None),
        )

    def _ground(self, rows: Sequence[_Row]) -> tuple[tuple[float, float] | None, tuple[Part, ...]]:
        shapes = {
            name: self._features.shapes[[row.place for row in rows if row.part == name]] for name in self._parts(rows)
        }
        ground = {name: union(found) for name, found in shapes.items()}
        if ground.get(OBSERVED) is not None and self._asked.by_grade(rows[0].type):
            raise InputError(
                f"events: {self._label}: {rows[0].id}: a polygon of an {rows[0].type} is damage only where it says a"
                f" grade: add `grade` to taxonomies/events/{self._source}.yaml"
            )
        centres = points(np.concatenate(list(shapes.values())))
        centre = None if not len(centres) else (float(shapely.get_x(centres[0])), float(shapely.get_y(centres[0])))
        if centre is not None:
            if (radius := self._asked.entry.within_km) is None:
                raise InputError(
                    f"events: {self._label}: {rows[0].id} is a point: say `within_km` in this entry of the recipe's"
                    " `events`, the radius of the ground that is near it"
                )
            ground[NEAR] = circle(*centre, radius)
        return centre, tuple(Part(name, shape) for name, shape in ground.items() if shape is not None)

    def _parts(self, rows: Sequence[_Row]) -> list[str]:
        """Names of the parts, the worst grade first."""
        return sorted({row.part for row in rows}, key=(*self._asked.words.grades, OBSERVED).index)

    def _id(self, names: tuple[str, ...], said: tuple[str, ...]) -> str:
        """The id that values of some attributes make, never that of other values: case alone makes no other."""
        id_, values = slug(self._mapping.prefix, *filter(None, said)), ", ".join(said)
        first = self._named.setdefault((names, id_), said)
        if slug(*said) and [one.casefold() for one in first] == [one.casefold() for one in said]:
            return id_
        wrong = f"like {', '.join(first)!r} makes the id {id_!r}" if slug(*said) else "makes no id"
        raise InputError(
            f"events: {self._label}: {', '.join(names)}: {values!r} {wrong}: only Latin letters and digits count; name"
            f" an attribute with numbers in taxonomies/events/{self._source}.yaml"
        )

    def _values(self, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        """For each feature the values of some attributes, empty where it has none."""
        columns = [[_text(value) for value in self._features.values((name,))] for name in names]
        return list(zip(*columns, strict=True)) if columns else [()] * len(self._features)

    def _numbers(self, names: tuple[str, ...]) -> list[float | None]:
        if not names:
            return [None] * len(self._features)
        said = self._features.values(self._first(names))
        try:
            return [None if one is None else float(one) for one in said]
        except (TypeError, ValueError) as error:
            raise InputError(f"events: {self._label}: {names[0]} holds what is no number: {error}") from error

    def _words(self, word: Word) -> list[str | None]:
        meant = {name.casefold(): value for name, value in word.values.items()}
        said = [_text(value) for value in self._features.values(self._first(word.fields))]
        if unknown := Counter(one for one in said if one.casefold() not in meant and word.others == "error"):
            name, count = min(unknown.items())
            raise InputError(
                f"events: {self._label}: {word.fields[0]}: {name!r} ({count} features) is not among the mapped words"
                f" {', '.join(word.values)}; add it to `values`, or say `others: drop`"
            )
        return [meant.get(one.casefold()) for one in said]

    def _times(self, time: Time | None, *, last: bool) -> list[dt.datetime | None]:
        if time is None or not any(name.lower() in self._features.fields for name in time.fields):
            return [None] * len(self._features)
        columns = [self._features.values((name,)) for name in time.fields]
        said = [next((one for one in row if _text(one)), None) for row in zip(*columns, strict=True)]
        return [None if one is None else self._moment(one, time, last=last) for one in said]

    def _moment(self, value: Any, time: Time, *, last: bool) -> dt.datetime:
        for form in time.formats:
            if (read := _moment(value, form, last=last)) is not None:
                return sane(read, f"{self._label}: {time.fields[0]}")
        raise InputError(
            f"events: {self._label}: {time.fields[0]}: {value!r} is no moment written as {' or '.join(time.formats)};"
            f" add its format to taxonomies/events/{self._source}.yaml"
        )

    def _first(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if not any(name.lower() in self._features.fields for name in names):
            there = ", ".join(self._features.fields) or "none"
            raise InputError(f"events: {self._label}: has no attribute {' or '.join(names)}, only {there}")
        return names


def _check_grades(mapping: Vectors, source: str, asked: Asked) -> None:
    known, said = asked.words.grades, () if mapping.grade is None else mapping.grade.values.values()
    if unknown := [grade for grade in said if grade not in known]:
        raise InputError(
            f"events: {source}: grade: values: {unknown[0]!r} is no grade of damage, only {', '.join(known)}; what is"
            " none needs no word where `others: drop` is said"
        )


def _moment(value: Any, form: str, *, last: bool) -> dt.datetime | None:
    """A value read as a format says; a day alone is its first moment, or its last.

    The last is also meant by an exact midnight, as which files without a type for days write them.
    """
    try:
        read = _read(value, form)
        return read + dt.timedelta(days=1, microseconds=-1) if last and read.time() == dt.time() else read
    except (ValueError, OverflowError, OSError):
        return None


def _read(value: Any, form: str) -> dt.datetime:
    if form in NUMBERS:
        return dt.datetime.fromtimestamp(float(value) * NUMBERS[form], dt.UTC)
    if form == "iso":
        return moment(str(value))
    read = dt.datetime.strptime(_text(value), form)
    whole = read.replace(tzinfo=read.tzinfo or dt.UTC).astimezone(dt.UTC)
    return whole if "%H" in form else moment(whole.date().isoformat())


def _text(value: Any) -> str:
    """A value as a person would write it: 7 for 7.0, nothing for nothing."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
