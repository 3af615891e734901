"""What the products of one area of an activation show: the extent of the event, and the damage it did."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from landmark.core.errors import InputError
from landmark.domain.vocabulary import Dropped, Notations
from landmark.events.activations import Activation, taken
from landmark.events.packages import Layer, Product
from landmark.events.read import sane
from landmark.events.shapes import Features, points, polygons, read_features, squares, union
from landmark.events.source import Packages

# A building told as a point is taken for the pixel it stands in.
_POINT_M = 10.0
# Key of the grade that says: looked at, and whole.
_WHOLE = "undamaged"

Meant = TypeVar("Meant")


@dataclass(slots=True)
class Shown:
    """What one product shows.

    Attributes:
        product: Its name.
        ground: Event type, or grade of damage → polygons.
        aoi: Polygons of the ground that was looked at.
        unsure: Polygons where nobody can say whether it is affected: clouds, other events, doubtful damage.
        marked: Whether the event is marked by points or lines, whose ground nobody outlined.
        harmed: Whether something is graded as other than whole: what harmed it was there, outlined or not.
        image: When the latest image was taken that it was drawn from, UTC.
        repaired: Polygons that were invalid in its files.
    """

    product: str
    ground: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    aoi: list[NDArray[Any]] = field(default_factory=list)
    unsure: list[NDArray[Any]] = field(default_factory=list)
    marked: bool = False
    harmed: bool = False
    image: dt.datetime | None = None
    repaired: int = 0

    def shape(self, name: str) -> BaseGeometry | None:
        """The ground of a type or grade."""
        return union(_together(self.ground.get(name, [])))

    def looked_at(self) -> BaseGeometry | None:
        """The ground where the product can tell affected from not affected."""
        aoi, unsure = union(_together(self.aoi)), union(_together(self.unsure))
        return aoi if aoi is None or unsure is None else union(np.array([shapely.difference(aoi, unsure)]))


@dataclass(frozen=True, slots=True)
class Area:
    """The extent of the event as the products of an area show it, perhaps nothing; the damage if somebody graded it."""

    extent: Shown
    damage: Shown | None


@dataclass(frozen=True, slots=True)
class AreaReader:
    """Reads the areas of one activation, each layer once.

    Attributes:
        notes: Lines for people are added here.
    """

    packages: Packages
    words: Notations
    told: Activation | None
    notes: list[str]
    _cache: dict[Layer, Features] = field(default_factory=dict)

    def area(self, name: str, rounds: Sequence[Product]) -> Area | None:
        """What an area's products, the latest round first, show; None where none is from after the event.

        Raises:
            InputError: a layer cannot be read, or holds a word nobody knows; with file and count.
        """
        after = [one for one in rounds if one.kind != "ref"]
        if not after:
            self.notes.append(f"{name}: only a reference product, from before the event; left out")
            return None
        extent = self._latest(name, after, role="observed", kinds=("del", "gra", "fep"))
        damage = self._latest(name, after, role="damage", kinds=("gra", "del"))
        seen = self._extent(name, extent) if extent else Shown(after[0].name)
        seen.marked = any(len(self._read(layer)) for one in after for layer in one.layers["marks"])
        graded = self._damage(name, damage) if damage else None
        self._frame(seen, [extent or after[0], *after, *rounds])
        if damage and graded:
            self._frame(graded, [damage, *after, *rounds])
        return Area(seen, graded)

    def _latest(self, name: str, rounds: Sequence[Product], *, role: str, kinds: Sequence[str]) -> Product | None:
        """The latest round with features of a role, of the first kind of product that has any."""
        for kind in kinds:
            ours = [one for one in rounds if one.kind == kind and one.layers[role]]
            for place, one in enumerate(ours):
                if any(np.any(~shapely.is_missing(self._read(layer).shapes)) for layer in one.layers[role]):
                    self.notes.extend(f"{name}: {other.name} shows nothing any more" for other in ours[:place])
                    self.notes.extend(f"{name}: {one.name} replaces {other.name}" for other in ours[place + 1 :])
                    return one
        return None

    def _extent(self, name: str, product: Product) -> Shown:
        shown, dropped = Shown(product.name, image=self._image(product, "observed")), Counter[str]()
        for layer in product.layers["observed"]:
            features = self._read(layer)
            said = (self.packages.event_type, self.packages.kind, self.packages.notation)
            rows = list(zip(*map(features.values, said), strict=True))
            for row in sorted(set(rows), key=str):
                shapes = polygons(features.shapes[[one == row for one in rows]])
                meant = _known(self._type, row, layer, rows.count(row))
                if isinstance(meant, Dropped):
                    dropped[meant.drop] += len(shapes)
                    shown.unsure.append(shapes)
                else:
                    shown.ground.setdefault(meant, []).append(shapes)
            shown.repaired += features.repaired
        self.notes.extend(f"{name}: {count} polygons left out: {why}" for why, count in sorted(dropped.items()))
        return self._told(name, shown)

    def _damage(self, name: str, product: Product) -> Shown:
        shown = Shown(product.name, image=self._image(product, "damage"))
        for layer in product.layers["damage"]:
            features = self._read(layer)
            said = features.values(self.packages.grade)
            for word in sorted(set(said), key=str):
                there = features.shapes[[one == word for one in said]]
                shapes = np.concatenate([polygons(there), squares(points(there), _POINT_M)])
                grade = _known(self.words.grade, word, layer, said.count(word))
                shown.harmed |= grade.key != _WHOLE and not self.words.is_unsaid(word)
                if grade.to is not None and grade.key is not None:
                    shown.ground.setdefault(grade.key, []).append(shapes)
                elif grade.key != _WHOLE:
                    shown.unsure.append(shapes)
            shown.repaired += features.repaired
        return self._told(name, shown)

    def _told(self, name: str, shown: Shown) -> Shown:
        if shown.repaired:
            self.notes.append(f"{name}: {shown.repaired} polygons repaired in {shown.product}")
        return shown

    def _frame(self, shown: Shown, rounds: Iterable[Product]) -> None:
        """Ground looked at: as the product itself says, else any other of the area, which has the same frame."""
        own, *others = rounds
        framed = next((one for one in (own, *others) if one.layers["aoi"]), own)
        shown.aoi.extend(polygons(self._read(layer).shapes) for layer in framed.layers["aoi"])
        shown.unsure.extend(polygons(self._read(layer).shapes) for layer in own.layers["blind"])

    def _image(self, product: Product, role: str) -> dt.datetime | None:
        """The latest image that a product's features name as their source (`dmg_src_id` → `src_id`)."""
        drawn = {_number(one) for layer in product.layers[role] for one in self._read(layer).values(("dmg_src_id",))}
        listed = [
            (source, when and sane(when, layer.found.label))
            for layer in product.layers["images"]
            for source, day, hour in zip(
                *(self._read(layer).values((name,)) for name in ("src_id", "src_date", "source_tm")), strict=True
            )
            for when in (taken(day, hour),)
        ]
        moments = [when for source, when in listed if when and _number(source) in drawn - {None}]
        return max(moments, default=None)

    def _type(self, row: tuple[Any, Any, Any]) -> str | Dropped:
        event_type, kind, notation = row
        if self.words.is_unsaid(event_type) and self.told is not None:
            return self.told.means(self.words, kind=kind, notation=notation)
        return self.words.event_type(event_type, kind, notation)

    def _read(self, layer: Layer) -> Features:
        if layer not in self._cache:
            self._cache[layer] = read_features(layer.found.path, layer.name, layer.found.label)
        return self._cache[layer]


def _known(look_up: Callable[[Any], Meant], word: Any, layer: Layer, count: int) -> Meant:
    try:
        return look_up(word)
    except InputError as error:
        raise InputError(
            f"events: {layer.found.label}: {count} features: {str(error).removeprefix('events: ')}"
        ) from error


def _together(shapes: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=object), *shapes])


def _number(value: Any) -> int | None:
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return None
