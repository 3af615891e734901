"""What files of `taxonomies/` say, as tables: one file, a crosswalk, what two files say differently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from landmark.core.errors import InputError
from landmark.core.yaml_files import find, load, whole
from landmark.domain.taxonomy import Crosswalk, SourceClass, Taxonomy
from landmark.domain.vocabulary import Dropped, Notations

_KIND = "taxonomies"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that all have the same keys, in the order of the columns."""

    title: str
    rows: tuple[Row, ...] = field(default=())

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.rows[0]) if self.rows else ()


def show(source: str, target: str | None = None) -> Table:
    """A file as a table; with a target, where each code of a source leads there.

    Raises:
        InputError: the source leads nowhere near that target.
    """
    one = _opened(source)
    if target is None:
        return Table(_title(one), tuple(_rows(one)))
    other = _opened(target)
    if isinstance(one, Crosswalk) and isinstance(other, Taxonomy) and one.target == other.name:
        return Table(f"{one.title} → {other.name}", tuple(_rows(one)))
    if isinstance(one, Crosswalk) and isinstance(other, Crosswalk) and other.merge_of == one.name:
        return Table(f"{one.title} → {other.title}", tuple(_joined(one, other)))
    raise InputError(
        f"show {source} {target}: {source} does not lead to {target}; try `landmark taxonomy show {source}`"
    )


def diff(one: str, other: str) -> Table:
    """What two files of a kind say differently of the classes both have, and which classes only one has.

    Raises:
        InputError: they are of different kinds.
    """
    files = _opened(one), _opened(other)
    if type(files[0]) is not type(files[1]):
        raise InputError(f"diff {one} {other}: one is a crosswalk and the other is none; name two files of a kind")
    left, right = ({_key(row): row for row in _rows(file)} for file in files)
    return Table(f"{one} ≠ {other}", tuple(_differing(left, right, one, other)))


def _differing(left: Mapping[str, Row], right: Mapping[str, Row], one: str, other: str) -> Iterator[Row]:
    for key in [*left, *(key for key in right if key not in left)]:
        mine, theirs = left.get(key), right.get(key)
        if mine is None or theirs is None:
            yield {"class": key, "what": f"only in {one if mine else other}", one: _short(mine), other: _short(theirs)}
        elif mine.get("to") != theirs.get("to"):
            yield {"class": key, "what": "to", one: _short(mine), other: _short(theirs)}
        else:
            for column in (column for column in mine if mine[column] != theirs.get(column)):
                yield {"class": key, "what": column, one: mine[column], other: theirs.get(column)}


def _key(row: Row) -> str:
    return str(row.get("word") or row["key"])


def _short(row: Row | None) -> str | None:
    if row is None:
        return None
    return row.get("to") or (f"dropped: {row['drop']}" if row.get("drop") else row.get("en"))


def _opened(name: str) -> Crosswalk | Taxonomy | Notations:
    value = whole(_KIND, find(_KIND, name))
    if "event_types" in value:
        return load(Notations, _KIND, name)
    return load(Crosswalk, _KIND, name) if "target" in value else load(Taxonomy, _KIND, name)


def _title(file: Crosswalk | Taxonomy | Notations) -> str:
    return file.name if isinstance(file, Taxonomy) else f"{file.title} → {file.target}"


def _rows(file: Crosswalk | Taxonomy | Notations) -> Iterator[Row]:
    if isinstance(file, Crosswalk):
        return _codes(file)
    return _classes(file) if isinstance(file, Taxonomy) else _words(file)


def _codes(crosswalk: Crosswalk) -> Iterator[Row]:
    for code, entry in crosswalk.classes.items():
        row = {"code": code, "alias": entry.alias, "key": entry.key, "name": entry.name, "colour": entry.colour}
        yield {name: said for name, said in row.items() if name != "alias" or crosswalk.aliases} | _lead(entry)


def _lead(entry: SourceClass) -> Row:
    return {"to": entry.to, "drop": entry.drop}


def _joined(finer: Crosswalk, coarser: Crosswalk) -> Iterator[Row]:
    """Each code of the finer scheme and the class of the coarser one that joins it."""
    joins = {part: entry for entry in coarser.classes.values() for part in entry.merges}
    for code, entry in finer.classes.items():
        into = joins.get(code)
        lead = {"to": into.key, "drop": None} if into else {"to": None, "drop": f"{coarser.name} has no such class"}
        yield {"code": code, "key": entry.key, "name": entry.name, "colour": entry.colour, **lead}


def _classes(taxonomy: Taxonomy) -> Iterator[Row]:
    for key, entry in taxonomy.classes.items():
        names = {lang: entry.name.get(lang) for lang in taxonomy.languages}
        parents = " < ".join(taxonomy.lineage(key))
        given = "events" if entry.event else "land cover"
        yield {"key": key, **names, "colour": entry.colour, "parents": parents, "given by": given}


def _words(notations: Notations) -> Iterator[Row]:
    for table in ("event_types", "kinds", "notations"):
        for word, meant in getattr(notations, table).items():
            dropped = isinstance(meant, Dropped)
            said = {"to": None, "drop": meant.drop} if dropped else {"to": meant, "drop": None}
            yield {"table": table, "word": word, "key": None, **said}
    for word, grade in notations.gradings.items():
        yield {"table": "gradings", "word": word, "key": grade.key, "to": grade.to, "drop": grade.drop}
