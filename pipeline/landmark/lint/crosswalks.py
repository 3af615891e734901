"""Problems of crosswalks that loading does not check."""

from collections.abc import Iterator
from typing import Any

from landmark.core.errors import InputError
from landmark.core.plural import plural
from landmark.domain.taxonomy import Crosswalk, SourceClass, Taxonomy, ambiguous_codes, duplicates
from landmark.labels.label_rules import crosswalk_problems


def lint_crosswalk(
    crosswalk: Crosswalk, taxonomy: Taxonomy, detailed: Crosswalk | None, *, file: str, stem: str
) -> Iterator[InputError]:
    """Problems of a crosswalk.

    Args:
        crosswalk: The crosswalk.
        taxonomy: Its target.
        detailed: The source whose classes it merges, None if it merges none or there is no such source.
        file: Its file, for errors.
        stem: Name of the file without the suffix.
    """
    if stem not in (crosswalk.name, f"{crosswalk.name}-to-{crosswalk.target}"):
        remedy = f"rename it to the file's name {stem}, which recipes use"
        yield InputError("differs from the file's name", key="name", value=crosswalk.name, remedy=remedy)
    for key in ("title", "licence", "attribution"):
        if not str(getattr(crosswalk, key)).strip():
            yield InputError("is empty", key=key, remedy="fill it in")
    if crosswalk.count is not None and crosswalk.count != len(crosswalk.classes):
        problem = f"the file has {plural(len(crosswalk.classes), 'class', 'classes')}"
        yield InputError(problem, key="count", value=crosswalk.count, remedy="add or remove classes")
    yield from crosswalk_problems(crosswalk, taxonomy, file)
    yield from ambiguous_codes(crosswalk)
    yield from _targets(crosswalk, taxonomy)
    yield from _aliases(crosswalk)
    yield from _legend(crosswalk)
    yield from _groups(crosswalk)
    yield from _merges(crosswalk, detailed)


def _targets(crosswalk: Crosswalk, taxonomy: Taxonomy) -> Iterator[InputError]:
    for code, entry in crosswalk.classes.items():
        if entry.drop is not None and not entry.drop.strip():
            yield InputError("gives no reason", key=f"classes.{code}.drop", remedy="state why the class is dropped")
    targets = [taxonomy.classes[entry.to] for entry in crosswalk.classes.values() if entry.to in taxonomy.classes]
    if crosswalk.undated and not any(target.event for target in targets):
        yield InputError("no code gives an event class", key="undated", value=True, remedy="remove it")


def _aliases(crosswalk: Crosswalk) -> Iterator[InputError]:
    if any(entry.alias is not None for entry in crosswalk.classes.values()):
        for code, entry in crosswalk.classes.items():
            if entry.alias is None:
                remedy = "add it: other classes have one"
                yield InputError("is missing", key=f"classes.{code}.alias", remedy=remedy)


def _legend(crosswalk: Crosswalk) -> Iterator[InputError]:
    for code, entry in crosswalk.classes.items():
        for key, value in (("name", entry.name.strip()), ("colour", entry.colour)):
            if not value:
                yield InputError("is missing", key=f"classes.{code}.{key}", remedy="take it from the source's legend")
    yield from duplicates((f"classes.{code}.colour", entry.colour) for code, entry in crosswalk.classes.items())


def _groups(crosswalk: Crosswalk) -> Iterator[InputError]:
    """Codes with a wrong number of digits, prefixes of codes without a name, and names of no prefix."""
    if crosswalk.digits is not None:
        for code in crosswalk.classes:
            if len(str(code)) != crosswalk.digits:
                problem = f"has not {crosswalk.digits} digits"
                yield InputError(problem, key=f"classes.{code}", value=code, remedy="correct it, or `digits`")
    if not crosswalk.groups:
        return
    prefixes = {int(str(code)[:size]) for code in crosswalk.classes for size in range(1, len(str(code)))}
    for prefix in sorted(prefixes - crosswalk.groups.keys()):
        yield InputError("is missing, but codes start with it", key=f"groups.{prefix}", remedy="name the group")
    for prefix in sorted(crosswalk.groups.keys() - prefixes):
        name = crosswalk.groups[prefix]
        yield InputError("no code starts with it", key=f"groups.{prefix}", value=name, remedy="remove it")


def _merges(crosswalk: Crosswalk, detailed: Crosswalk | None) -> Iterator[InputError]:
    """Codes of the detailed source that are unknown, duplicate or missing, and classes of several targets."""
    if crosswalk.merge_of is None:
        for code, entry in crosswalk.classes.items():
            if entry.merges:
                remedy = "name the source of the merged codes in `merge_of`"
                yield InputError("has no source", key=f"classes.{code}.merges", value=list(entry.merges), remedy=remedy)
        return
    if detailed is None:
        remedy = "name a crosswalk of taxonomies/"
        yield InputError("no such source", key="merge_of", value=crosswalk.merge_of, remedy=remedy)
        return
    merged = [(f"classes.{code}.merges", part) for code, entry in crosswalk.classes.items() for part in entry.merges]
    merged += [("unmerged", part) for part in crosswalk.unmerged]
    for key, part in merged:
        if part not in detailed.classes:
            remedy = f"its codes are {min(detailed.classes)} to {max(detailed.classes)}"
            yield InputError(f"unknown code of {detailed.name}", key=key, value=part, remedy=remedy)
    yield from duplicates(merged)
    for part in sorted(detailed.classes.keys() - {part for _, part in merged}):
        problem = f"lacks the code {part} ({detailed.classes[part].name}) of {detailed.name}, which no class merges"
        yield InputError(problem, key="unmerged", value=part, remedy="add it here or to a class")
    for code, entry in crosswalk.classes.items():
        yield from _mixes(f"classes.{code}", entry, detailed)


def _mixes(key: str, entry: SourceClass, detailed: Crosswalk) -> Iterator[InputError]:
    targets: set[Any] = {detailed.classes[part].to for part in entry.merges if part in detailed.classes} - {entry.to}
    if entry.to is not None and targets and not entry.mixes:
        problem = f"merged codes of {detailed.name} have other targets: {', '.join(sorted(map(str, targets)))}"
        remedy = "drop the class, or state in `mixes` why this target is right"
        yield InputError(problem, key=f"{key}.to", value=entry.to, remedy=remedy)
    if entry.mixes and not targets:
        problem = "all merged codes have the same target"
        yield InputError(problem, key=f"{key}.mixes", value=entry.mixes, remedy="remove it")
