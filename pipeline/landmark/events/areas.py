"""Read the products of one area of a Copernicus EMS activation: extent of the event, and graded damage."""

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
from landmark.core.plural import plural
from landmark.domain.vocabulary import Ignored, Vocabulary
from landmark.events.activations import Activation, parse_image_time
from landmark.events.geometry import points, polygons, squares, union
from landmark.events.packages import Layer, Product
from landmark.events.rules import check_year
from landmark.events.source import EmsMapping
from landmark.raster.features import Features

# Edge of the square that represents a building mapped as a point: one pixel.
_POINT_M = 10.0
_UNDAMAGED = "undamaged"

Value = TypeVar("Value")


@dataclass(slots=True)
class ProductMap:
    """Contents of one product.

    Attributes:
        product: Name of the product.
        affected: Event type or grade of damage → polygons.
        aoi: Polygons of the analysed area.
        uncertain: Polygons that may or may not be affected: clouds, other events, doubtful damage.
        has_points_or_lines: Whether points or lines map the event, so that its extent is unknown.
        has_damage: Whether any feature is graded as damaged, even if doubtful or not outlined.
        image_time: Acquisition of the latest source image, UTC.
        repaired: Number of invalid polygons in its files.
    """

    product: str
    affected: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    aoi: list[NDArray[Any]] = field(default_factory=list)
    uncertain: list[NDArray[Any]] = field(default_factory=list)
    has_points_or_lines: bool = False
    has_damage: bool = False
    image_time: dt.datetime | None = None
    repaired: int = 0

    def affected_area(self, name: str) -> BaseGeometry | None:
        """Union of the polygons of an event type or grade of damage."""
        return union(_concatenate(self.affected.get(name, [])))

    def certain_area(self) -> BaseGeometry | None:
        """The analysed area less the uncertain one."""
        aoi, uncertain = union(_concatenate(self.aoi)), union(_concatenate(self.uncertain))
        return aoi if aoi is None or uncertain is None else union(np.array([shapely.difference(aoi, uncertain)]))


@dataclass(frozen=True, slots=True)
class Area:
    """The extent of the event in an area, possibly empty, and its damage if it was graded."""

    extent: ProductMap
    damage: ProductMap | None


@dataclass(frozen=True, slots=True)
class AreaReader:
    """Reads the areas of one activation, each layer once.

    Attributes:
        notes: Messages are appended here.
    """

    mapping: EmsMapping
    vocabulary: Vocabulary
    activation: Activation | None
    notes: list[str]
    _cache: dict[Layer, Features] = field(default_factory=dict)

    def read(self, name: str, products: Sequence[Product]) -> Area | None:
        """Read the products of an area, the latest round first; None if all are from before the event.

        Raises:
            InputError: a layer is unreadable, or has an unknown value.
        """
        after = [product for product in products if product.kind != "ref"]
        if not after:
            self.notes.append(f"{name}: only a reference product from before the event; skipped")
            return None
        extent_product = self._latest(name, after, role="observed", kinds=("del", "gra", "fep"))
        damage_product = self._latest(name, after, role="damage", kinds=("gra", "del"))
        extent = self._extent(name, extent_product) if extent_product else ProductMap(after[0].name)
        extent.has_points_or_lines = any(
            len(self._features(layer)) for product in after for layer in product.layers["points_lines"]
        )
        damage = self._damage(name, damage_product) if damage_product else None
        self._add_aoi(extent, [extent_product or after[0], *after, *products])
        if damage_product and damage:
            self._add_aoi(damage, [damage_product, *after, *products])
        return Area(extent, damage)

    def _latest(self, name: str, products: Sequence[Product], *, role: str, kinds: Sequence[str]) -> Product | None:
        """The latest product with features of a role, of the first kind that has any."""
        for kind in kinds:
            candidates = [product for product in products if product.kind == kind and product.layers[role]]
            for number, product in enumerate(candidates):
                layers = product.layers[role]
                if any(np.any(~shapely.is_missing(self._features(layer).geometries)) for layer in layers):
                    self.notes.extend(f"{name}: {empty.name} is empty; ignored" for empty in candidates[:number])
                    self.notes.extend(f"{name}: {product.name} replaces {old.name}" for old in candidates[number + 1 :])
                    return product
        return None

    def _extent(self, name: str, product: Product) -> ProductMap:
        result, skipped = ProductMap(product.name, image_time=self._image_time(product, "observed")), Counter[str]()
        for layer in product.layers["observed"]:
            features = self._features(layer)
            attributes = (self.mapping.event_type, self.mapping.kind, self.mapping.comment)
            rows = list(zip(*map(features.values, attributes), strict=True))
            for row in sorted(set(rows), key=str):
                shapes = polygons(features.geometries[[candidate == row for candidate in rows]])
                type_ = _look_up(self._event_type, row, layer, rows.count(row))
                if isinstance(type_, Ignored):
                    skipped[type_.drop] += len(shapes)
                    result.uncertain.append(shapes)
                else:
                    result.affected.setdefault(type_, []).append(shapes)
            result.repaired += int(features.repaired.sum())
        self.notes.extend(
            f"{name}: {plural(count, 'polygon')} skipped: {reason}" for reason, count in sorted(skipped.items())
        )
        return self._note_repairs(name, result)

    def _damage(self, name: str, product: Product) -> ProductMap:
        result = ProductMap(product.name, image_time=self._image_time(product, "damage"))
        for layer in product.layers["damage"]:
            features = self._features(layer)
            words = features.values(self.mapping.grade)
            for word in sorted(set(words), key=str):
                geometries = features.geometries[[candidate == word for candidate in words]]
                shapes = np.concatenate([polygons(geometries), squares(points(geometries), _POINT_M)])
                grade = _look_up(self.vocabulary.grade, word, layer, words.count(word))
                result.has_damage |= grade.key != _UNDAMAGED and not self.vocabulary.is_missing(word)
                if grade.to is not None and grade.key is not None:
                    result.affected.setdefault(grade.key, []).append(shapes)
                elif grade.key != _UNDAMAGED:
                    result.uncertain.append(shapes)
            result.repaired += int(features.repaired.sum())
        return self._note_repairs(name, result)

    def _note_repairs(self, name: str, result: ProductMap) -> ProductMap:
        if result.repaired:
            self.notes.append(f"{name}: {plural(result.repaired, 'polygon')} repaired in {result.product}")
        return result

    def _add_aoi(self, result: ProductMap, products: Iterable[Product]) -> None:
        """Add the area of interest of the first product that has one: it is the same for all products of an area."""
        own, *siblings = products
        source = next((product for product in (own, *siblings) if product.layers["aoi"]), own)
        result.aoi.extend(polygons(self._features(layer).geometries) for layer in source.layers["aoi"])
        result.uncertain.extend(polygons(self._features(layer).geometries) for layer in own.layers["not_analysed"])

    def _image_time(self, product: Product, role: str) -> dt.datetime | None:
        """Time of the latest source image that a product's features refer to (`dmg_src_id` → `src_id`)."""
        used = {
            _integer(id_) for layer in product.layers[role] for id_ in self._features(layer).values(("dmg_src_id",))
        }
        times = [
            check_year(time, file=layer.file.label)
            for layer in product.layers["images"]
            for id_, day, hour in zip(
                *(self._features(layer).values((name,)) for name in ("src_id", "src_date", "source_tm")), strict=True
            )
            if (time := parse_image_time(day, hour)) and _integer(id_) in used - {None}
        ]
        return max(times, default=None)

    def _event_type(self, row: tuple[Any, Any, Any]) -> str | Ignored:
        event_type, kind, comment = row
        if self.vocabulary.is_missing(event_type) and self.activation is not None:
            return self.activation.event_type(self.vocabulary, kind=kind, comment=comment)
        return self.vocabulary.event_type(event_type, kind, comment)

    def _features(self, layer: Layer) -> Features:
        if layer not in self._cache:
            self._cache[layer] = layer.read()
        return self._cache[layer]


def _look_up(lookup: Callable[[Any], Value], word: Any, layer: Layer, count: int) -> Value:
    """Look a word up, adding the layer and the number of features to errors."""
    try:
        return lookup(word)
    except InputError as error:
        raise InputError(f"{plural(count, 'feature')}: {error}", file=layer.file.label, value=error.value) from error


def _concatenate(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=object), *arrays])


def _integer(value: Any) -> int | None:
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return None
