"""What can be wrong in the crosswalk of a label source."""

from collections.abc import Iterator

from landmark.domain.taxonomy import Crosswalk, SourceClass, Taxonomy, words_of
from landmark.domain.taxonomy import plain as plain_word
from landmark.lint.targets import Said, twice


def of_crosswalk(crosswalk: Crosswalk, taxonomy: Taxonomy, finer: Crosswalk | None, *, stem: str) -> Iterator[Said]:
    """The mistakes of a crosswalk into a taxonomy; `finer`: the scheme it joins; `stem`: its file's name."""
    if crosswalk.name != stem:
        yield (
            "name",
            f"{crosswalk.name!r} is not the file's name {stem!r}, by which recipes know it; make them the same",
        )
    for key in ("title", "licence", "attribution"):
        if not str(getattr(crosswalk, key)).strip():
            yield key, "is empty; say it"
    if crosswalk.count is not None and crosswalk.count != len(crosswalk.classes):
        yield (
            "count",
            f"the scheme has {crosswalk.count} classes, {len(crosswalk.classes)} are here; add or remove some",
        )
    yield from _targets(crosswalk, taxonomy)
    yield from _codes(crosswalk)
    yield from _looks(crosswalk)
    yield from _levels(crosswalk)
    yield from _merges(crosswalk, finer)


def _targets(crosswalk: Crosswalk, taxonomy: Taxonomy) -> Iterator[Said]:
    crises = 0
    for code, entry in crosswalk.classes.items():
        if entry.drop is not None and not entry.drop.strip():
            yield f"classes.{code}.drop", "gives no reason; say why the class is dropped"
        if entry.to is None:
            continue
        if entry.to not in taxonomy.classes:
            known = ", ".join(taxonomy.classes)
            yield f"classes.{code}.to", f"{taxonomy.name} has no class {entry.to!r}; it has {known}"
        elif taxonomy.classes[entry.to].event:
            crises += 1
            if not crosswalk.undated:
                yield (
                    f"classes.{code}.to",
                    f"{entry.to!r} comes from events only; drop the class, or say `undated: true` if that is meant",
                )
    if crosswalk.undated and not crises:
        yield "undated", "true, but no code leads to a class of events; take it out"


def _codes(crosswalk: Crosswalk) -> Iterator[Said]:
    """Every code, key, name and word means one class."""
    classes = crosswalk.classes
    codes = [(f"classes.{code}", str(code)) for code in classes]
    codes += [(f"classes.{code}.alias", str(e.alias)) for code, e in classes.items() if e.alias is not None]
    codes += [(key, str(code)) for key in ("nodata", "alias_nodata") for code in getattr(crosswalk, key)]
    yield from twice(codes)
    yield from twice((f"classes.{code}.key", entry.key) for code, entry in classes.items())
    yield from twice(
        [(f"classes.{code}.words", word) for code, entry in classes.items() for word in sorted(words_of(entry))]
        + [("word_nodata", plain_word(word)) for word in crosswalk.word_nodata]
    )
    aliased = [code for code, entry in classes.items() if entry.alias is not None]
    for code in classes.keys() - set(aliased) if aliased else ():
        yield f"classes.{code}.alias", "is missing, and other classes have one; give it"


def _looks(crosswalk: Crosswalk) -> Iterator[Said]:
    for code, entry in crosswalk.classes.items():
        if not entry.name.strip():
            yield f"classes.{code}.name", "is empty; take the name of the source's legend"
        if entry.colour is None:
            yield f"classes.{code}.colour", "is missing; take the colour of the source's legend"
    coloured = ((f"classes.{code}.colour", entry.colour) for code, entry in crosswalk.classes.items() if entry.colour)
    yield from twice(coloured)


def _levels(crosswalk: Crosswalk) -> Iterator[Said]:
    """Codes are as long as they are said to be, and start with the codes of named groups."""
    if crosswalk.digits is not None:
        for code in crosswalk.classes:
            if len(str(code)) != crosswalk.digits:
                yield f"classes.{code}", f"has not the {crosswalk.digits} digits of `digits`; correct one of them"
    if not crosswalk.groups:
        return
    starts = {int(str(code)[:size]) for code in crosswalk.classes for size in range(1, len(str(code)))}
    for start in sorted(starts - crosswalk.groups.keys()):
        yield f"groups.{start}", "is missing, and codes start with it; name the group"
    for start in sorted(crosswalk.groups.keys() - starts):
        yield f"groups.{start}", f"{crosswalk.groups[start]!r} is the start of no code; take it out"


def _merges(crosswalk: Crosswalk, finer: Crosswalk | None) -> Iterator[Said]:
    """Every code of the finer scheme is joined once or left out, and joined codes lead to one target or say why."""
    if crosswalk.merge_of is None:
        for code in (code for code, entry in crosswalk.classes.items() if entry.merges):
            yield f"classes.{code}.merges", "joins classes, but `merge_of` does not say of which source; name it"
        return
    if finer is None:
        yield "merge_of", f"there is no source {crosswalk.merge_of!r}; name one of taxonomies/"
        return
    joined = [(f"classes.{code}.merges", part) for code, entry in crosswalk.classes.items() for part in entry.merges]
    joined += [("unmerged", part) for part in crosswalk.unmerged]
    for key, part in joined:
        if part not in finer.classes:
            yield key, f"{finer.name} has no code {part}; it has {min(finer.classes)} to {max(finer.classes)}"
    yield from twice((key, f"{finer.name} {part}") for key, part in joined)
    for part in sorted(finer.classes.keys() - {part for _, part in joined}):
        yield "unmerged", f"lacks {part}, {finer.classes[part].name!r} of {finer.name}, which no class joins; add it"
    for code, entry in crosswalk.classes.items():
        yield from _mixed(code, entry, finer)


def _mixed(code: int, entry: SourceClass, finer: Crosswalk) -> Iterator[Said]:
    targets = {finer.classes[part].to for part in entry.merges if part in finer.classes}
    if entry.to is not None and targets - {entry.to} and not entry.mixes:
        others = ", ".join(sorted(str(target) for target in targets))
        yield (
            f"classes.{code}.to",
            f"{entry.to!r}, but its parts lead to {others} in {finer.name}; drop it, or say in `mixes` why one holds",
        )
    if entry.mixes and not targets - {entry.to}:
        yield f"classes.{code}.mixes", "but all its parts lead to the same class; take it out"
