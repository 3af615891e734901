"""Tables of files of `taxonomies/`: one file, a mapping between two, the differences of two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from landmark.core.errors import InputError
from landmark.core.resources import find_resource
from landmark.core.yaml_files import Resources, load_extended, load_model
from landmark.domain.crosswalks import load_crosswalk
from landmark.domain.taxonomy import Crosswalk, Taxonomy
from landmark.domain.vocabulary import Ignored, Vocabulary

_KIND = "taxonomies"

Row = dict[str, Any]
File = Crosswalk | Taxonomy | Vocabulary


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with equal keys, in the order of the columns."""

    title: str
    rows: tuple[Row, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.rows[0]) if self.rows else ()


def show(source: str, target: str | None = None) -> Table:
    """A file as a table; with a target, where each code of a source is mapped in that.

    Raises:
        InputError: the source is not mapped to that target.
    """
    file = _load(source)
    if target is None:
        return Table(file.name if isinstance(file, Taxonomy) else f"{file.title} → {file.target}", tuple(_rows(file)))
    target_file = _load(target)
    taxonomy = target_file if isinstance(target_file, Taxonomy) else getattr(target_file, "as_target", None)
    if isinstance(file, Crosswalk) and taxonomy is not None:
        crosswalk = load_crosswalk(source, taxonomy.name, Resources(), "TARGET")
        if crosswalk.target == taxonomy.name:
            return Table(f"{file.title} → {taxonomy.name}", tuple(_rows(crosswalk)))
    if isinstance(file, Crosswalk) and isinstance(target_file, Crosswalk) and target_file.merge_of == file.name:
        return Table(f"{file.title} → {target_file.title}", tuple(_merged_codes(file, target_file)))
    remedy = f"try `landmark taxonomy show {source}`"
    raise InputError(f"{source} is not mapped to it", file="TARGET", value=target, remedy=remedy)


def diff(first: str, second: str) -> Table:
    """Differences of two files of one kind: in classes of both, and classes of only one.

    Raises:
        InputError: the files are of different kinds.
    """
    files = _load(first), _load(second)
    if type(files[0]) is not type(files[1]):
        remedy = "name two crosswalks, two taxonomies or two vocabularies"
        raise InputError(f"{first} and {second} are of different kinds", value=[first, second], remedy=remedy)
    left, right = ({str(row.get("word") or row["key"]): row for row in _rows(file)} for file in files)
    return Table(f"{first} ≠ {second}", tuple(_differences(left, right, first, second)))


def _differences(left: Mapping[str, Row], right: Mapping[str, Row], first: str, second: str) -> Iterator[Row]:
    for key in [*left, *(key for key in right if key not in left)]:
        left_row, right_row = left.get(key), right.get(key)
        if left_row is None or right_row is None:
            field = f"only in {first if left_row else second}"
            yield {"class": key, "field": field, first: _target(left_row), second: _target(right_row)}
        elif left_row.get("to") != right_row.get("to"):
            yield {"class": key, "field": "to", first: _target(left_row), second: _target(right_row)}
        else:
            for column in (column for column in left_row if left_row[column] != right_row.get(column)):
                yield {"class": key, "field": column, first: left_row[column], second: right_row.get(column)}


def _target(row: Row | None) -> str | None:
    if row is None:
        return None
    return row.get("to") or (f"dropped: {row['drop']}" if row.get("drop") else row.get("en"))


def _load(name: str) -> File:
    keys = load_extended(_KIND, find_resource(_KIND, name))
    if "event_types" in keys:
        return load_model(Vocabulary, _KIND, name)
    return load_model(Crosswalk, _KIND, name) if "target" in keys else load_model(Taxonomy, _KIND, name)


def _rows(file: File) -> Iterator[Row]:
    if isinstance(file, Crosswalk):
        return _codes(file)
    return _classes(file) if isinstance(file, Taxonomy) else _words(file)


def _codes(crosswalk: Crosswalk) -> Iterator[Row]:
    for code, entry in crosswalk.classes.items():
        alias = {"alias": entry.alias} if crosswalk.aliases else {}
        names = {"key": entry.key, "name": entry.name, "colour": entry.colour}
        yield {"code": code, **alias, **names, "to": entry.to, "drop": entry.drop}


def _merged_codes(detailed: Crosswalk, coarse: Crosswalk) -> Iterator[Row]:
    """Codes of a detailed source with the class of the coarse one that merges them."""
    merging = {part: entry for entry in coarse.classes.values() for part in entry.merges}
    for code, entry in detailed.classes.items():
        target = merging.get(code)
        to, drop = (target.key, None) if target else (None, f"{coarse.name} has no such class")
        yield {"code": code, "key": entry.key, "name": entry.name, "colour": entry.colour, "to": to, "drop": drop}


def _classes(taxonomy: Taxonomy) -> Iterator[Row]:
    for key, entry in taxonomy.classes.items():
        names = {lang: entry.name.get(lang) for lang in taxonomy.languages}
        parents = " < ".join(taxonomy.lineage(key))
        source = "events" if entry.event else "land cover"
        yield {"key": key, **names, "colour": entry.colour, "parents": parents, "source": source}


def _words(vocabulary: Vocabulary) -> Iterator[Row]:
    for table in ("event_types", "kinds", "comments"):
        for word, target in getattr(vocabulary, table).items():
            to, drop = (None, target.drop) if isinstance(target, Ignored) else (target, None)
            yield {"table": table, "word": word, "key": None, "to": to, "drop": drop}
    for word, grade in vocabulary.gradings.items():
        yield {"table": "gradings", "word": word, "key": grade.key, "to": grade.to, "drop": grade.drop}
