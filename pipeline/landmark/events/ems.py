"""Copernicus EMS Rapid Mapping packages → events: one for an area of an activation, as its latest products show it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from landmark.core.errors import InputError
from landmark.domain.event import AOI, Event, Part
from landmark.events.activations import activations
from landmark.events.areas import Area, AreaReader, Shown
from landmark.events.files import Found
from landmark.events.packages import products
from landmark.events.read import OBSERVED, Asked, Read, combined, slug
from landmark.events.source import EventSource


def read_packages(found: Sequence[Found], source: EventSource, asked: Asked) -> Read:
    """The events of all areas of all activations in some files.

    Raises:
        InputError: no package, an unknown word, or an activation nobody says the start of.
    """
    assert source.ems is not None
    rounds, told = products(found, source.ems), activations(found)
    if not rounds:
        seen = ", ".join(one.label for one in found[:3]) or "nothing"
        raise InputError(f"events: {source.name}: no layer of a Copernicus EMS package is among the files: {seen}")
    reads = []
    for code in sorted({code for code, _ in rounds}):
        reader = AreaReader(source.ems, asked.words, told.get(code), [])
        names = sorted(area for other, area in rounds if other == code)
        areas = {name: reader.area(f"{code.upper()} {name.upper()}", rounds[code, name]) for name in names}
        activation = _Events(code, source.name, reader, asked)
        reads.append(activation.read({name: area for name, area in areas.items() if area is not None}))
    return combined(reads)


class _Events:
    """The events of one activation."""

    def __init__(self, code: str, source: str, reader: AreaReader, asked: Asked) -> None:
        self._code, self._source, self._reader, self._asked = code, source, reader, asked

    def read(self, areas: Mapping[str, Area]) -> Read:
        events, repaired = [], {}
        for name, type_, alone in self._typed(areas):
            id_ = slug(self._code, name, *([] if alone else [type_]))
            shown = self._shown(id_, type_, areas[name])
            if shown is not None and self._asked.keeps(type_):
                events.append(self._event(id_, type_, shown))
                repaired[id_] = shown.repaired
        told = self._reader.told
        return Read(tuple(events), tuple(self._reader.notes), () if told is None else (told.path.resolve(),), repaired)

    def _typed(self, areas: Mapping[str, Area]) -> Iterator[tuple[str, str, bool]]:
        """(area, type, whether it is its only one); the activation's type where an area does not say its own."""
        usual = self._usual(areas)
        for name, area in areas.items():
            types = sorted(area.extent.ground) or ([usual] if usual else [])
            yield from ((name, type_, len(types) == 1) for type_ in types)
            if not types:
                code = self._code.upper()
                self._reader.notes.append(
                    f"{code} {name.upper()}: no product tells what happened; left out. Read the activation's other"
                    f" areas too, or its document (landmark events fetch copernicus-ems --code {code})"
                )

    def _usual(self, areas: Mapping[str, Area]) -> str | None:
        """What the service says the activation was for, else what most of its areas show."""
        if (told := self._reader.told) is not None:
            said = told.means(self._asked.words, kind=told.kind)
            if isinstance(said, str):
                return said
        seen = Counter(type_ for area in areas.values() for type_ in area.extent.ground)
        return min(seen, key=lambda one: (-seen[one], one), default=None)

    def _shown(self, id_: str, type_: str, area: Area) -> Shown | None:
        """The product an event is drawn from."""
        if not self._asked.by_grade(type_):
            if (why := _unclear(area)) is None:
                return area.extent
            self._reader.notes.append(f"{id_}: {why}; left out")
            return None
        if area.damage is None:
            self._reader.notes.append(f"{id_}: nobody graded damage there, and an extent is no damage; left out")
        return area.damage

    def _event(self, id_: str, type_: str, shown: Shown) -> Event:
        names = (
            {grade: grade for grade in self._asked.words.grades} if self._asked.by_grade(type_) else {OBSERVED: type_}
        )
        ground = {part: shown.shape(name) for part, name in names.items()} | {AOI: shown.looked_at()}
        told = self._reader.told
        start, stated = self._asked.stated(id_, self._code) or (None if told is None else told.start, None)
        if start is None:
            raise InputError(self._undated())
        return Event(
            id=id_,
            group=self._code,
            type=type_,
            source=self._source,
            product=shown.product,
            start=start,
            end=self._asked.end(type_, start, stated=stated, seen=shown.image),
            observed=shown.image,
            parts=tuple(Part(name, shape) for name, shape in ground.items() if shape is not None),
        )

    def _undated(self) -> str:
        code = self._code.upper()
        return (
            f"events: {code}: its packages tell when images were taken, not when the event began: write"
            f" `dates: {{{code}: 2018-10-29}}`, with its own day, into this entry of the recipe's `events`, or fetch"
            f" the activation's document beside them with `landmark events fetch copernicus-ems --code {code}`"
        )


def _unclear(area: Area) -> str | None:
    """Why an area without an extent is no true negative either; None where it has one, or is one."""
    if area.extent.ground:
        return None
    if area.extent.marked:
        return "marked by points or lines alone"
    return "damage is graded, but no extent is outlined" if area.damage and area.damage.harmed else None
