"""Events of Copernicus EMS Rapid Mapping packages: one per area of an activation, from its latest products."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from landmark.config.paths import lexical_path
from landmark.core.errors import InputError
from landmark.domain.event import AOI, Event, EventPart
from landmark.events.activations import read_activations
from landmark.events.areas import Area, AreaReader, ProductMap
from landmark.events.files import VectorFile
from landmark.events.packages import group_products
from landmark.events.result import ReadResult, merge_results
from landmark.events.rules import OBSERVED, EventRules, slug
from landmark.events.source import EventSource


def read_packages(files: Sequence[VectorFile], source: EventSource, rules: EventRules) -> ReadResult:
    """Read the events of all areas of all activations in some files.

    Raises:
        InputError: there is no package, a value is unknown, or the start of an activation is unknown.
    """
    assert source.ems is not None
    products, activations = group_products(files, source.ems), read_activations(files)
    if not products:
        value, remedy = (
            ", ".join(file.label for file in files[:3]) or None,
            "give packages or the folder that holds them",
        )
        key = f"events.{source.name}.files"
        raise InputError("no layer of a Copernicus EMS package", key=key, value=value, remedy=remedy)
    results = []
    for code in sorted({code for code, _ in products}):
        reader = AreaReader(source.ems, rules.vocabulary, activations.get(code), [])
        names = sorted(area for activation, area in products if activation == code)
        areas = {name: reader.read(f"{code.upper()} {name.upper()}", products[code, name]) for name in names}
        activation = _ActivationReader(code, source.name, reader, rules)
        results.append(activation.read({name: area for name, area in areas.items() if area is not None}))
    return merge_results(results)


class _ActivationReader:
    """Turns the areas of one activation into events."""

    def __init__(self, code: str, source: str, reader: AreaReader, rules: EventRules) -> None:
        self._code, self._source, self._rules = code, source, rules
        self._notes, self._activation = reader.notes, reader.activation

    def read(self, areas: Mapping[str, Area]) -> ReadResult:
        events, repaired = [], {}
        for name, type_, only in self._typed_areas(areas):
            id_ = slug(self._code, name, *([] if only else [type_]))
            product = self._select_product(id_, type_, areas[name])
            if product is not None and self._rules.includes(type_):
                events.append(self._event(id_, type_, product))
                repaired[id_] = product.repaired
        files = () if self._activation is None else (lexical_path(self._activation.path),)
        names = frozenset({self._code, *(slug(self._code, name) for name in areas), *repaired})
        return ReadResult(tuple(events), tuple(self._notes), files, repaired, names)

    def _typed_areas(self, areas: Mapping[str, Area]) -> Iterator[tuple[str, str, bool]]:
        """(area, event type, whether it is the area's only one); areas without a type get the activation's."""
        default = self._default_type(areas)
        for name, area in areas.items():
            types = sorted(area.extent.affected) or ([default] if default else [])
            yield from ((name, type_, len(types) == 1) for type_ in types)
            if not types:
                code = self._code.upper()
                self._notes.append(
                    f"{code} {name.upper()}: unknown event type; skipped. Add the activation's other areas, or its"
                    f" document (landmark events fetch copernicus-ems --code {code})"
                )

    def _default_type(self, areas: Mapping[str, Area]) -> str | None:
        """The event type of the activation's document, or else the most frequent type of its areas."""
        if self._activation is not None:
            type_ = self._activation.event_type(self._rules.vocabulary, kind=self._activation.kind)
            if isinstance(type_, str):
                return type_
        counts = Counter(type_ for area in areas.values() for type_ in area.extent.affected)
        return min(counts, key=lambda type_: (-counts[type_], type_), default=None)

    def _select_product(self, id_: str, type_: str, area: Area) -> ProductMap | None:
        """The product that an event is taken from, None (with a note) if there is none."""
        if not self._rules.needs_grade(type_):
            if (reason := _unclear_extent(area)) is None:
                return area.extent
            self._notes.append(f"{id_}: {reason}; skipped")
            return None
        if area.damage is None:
            self._notes.append(f"{id_}: damage is not graded, and an extent is no damage; skipped")
        return area.damage

    def _event(self, id_: str, type_: str, product: ProductMap) -> Event:
        graded = self._rules.needs_grade(type_)
        names = {grade: grade for grade in self._rules.vocabulary.grades} if graded else {OBSERVED: type_}
        parts = {part: product.affected_area(name) for part, name in names.items()} | {AOI: product.certain_area()}
        activation_start = None if self._activation is None else self._activation.start
        start, stated = self._rules.stated_dates(id_, self._code) or (activation_start, None)
        if start is None:
            code = self._code.upper()
            raise InputError(
                "unknown start of the event: packages hold the times of images only",
                key=f"events.{self._source}.dates",
                value=code,
                remedy=f"set `dates: {{{code}: 2018-10-29}}`, with its own day, in the recipe's entry, or fetch the"
                f" activation's document with `landmark events fetch copernicus-ems --code {code}`",
            )
        return Event(
            id=id_,
            group=self._code,
            type=type_,
            source=self._source,
            product=product.product,
            start=start,
            end=self._rules.resolve_end(type_, start, stated=stated, observed=product.image_time),
            observed=product.image_time,
            parts=tuple(EventPart(name, shape) for name, shape in parts.items() if shape is not None),
        )


def _unclear_extent(area: Area) -> str | None:
    """Reason why an area without an extent is not a true negative; None if it has an extent or is a true negative."""
    if area.extent.affected:
        return None
    if area.extent.has_points_or_lines:
        return "mapped as points or lines only"
    return "damage is graded, but no extent is outlined" if area.damage and area.damage.has_damage else None
