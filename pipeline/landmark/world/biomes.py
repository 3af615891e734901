"""Land of the planet's places: each biome of `biomes.yaml` is a list of layers, drawn with sizes of the place."""

from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from scipy.special import ndtr, ndtri

from landmark.world.ground import COVER, KINDS, At, B, Canvas, Land, draw_roads, draw_settlements, parcels, rotate
from landmark.world.patterns import draw_patterns
from landmark.world.place import Place
from landmark.world.plane import F, Noise, Sites, nearest_sites, rng, seed_of, unit

SITE_SPACING_M = 2400.0
TOWN_RADIUS_M, HAMLET_RADIUS_M = (850.0, 1250.0), 350.0  # at an earthquake; at most, about a flood or fire
FIRE_RADIUS_M = 1300.0  # of natural vegetation about a fire
FLOODPLAIN_M = 700.0  # mean width without woods along the water of a flood
TREES, CROPS = 10, 40  # WorldCover's codes; lower ones than that of crops are natural vegetation
SETTLED_M = 60.0  # radius below which a site has no settlement


@cache
def table() -> dict[str, Any]:
    """Return the content of `biomes.yaml`."""
    with (Path(__file__).parent / "biomes.yaml").open(encoding="utf-8") as file:
        return dict(yaml.safe_load(file))


class Sketch(NamedTuple):
    """What the layers of a place share: its canvas, generator, names of its palette and signed distance from water."""

    canvas: Canvas
    place: Place
    draw: np.random.Generator
    palette: dict[str, str]
    water_m: F
    seed: int

    def kind(self, name: str) -> str:
        """Return the kind that the place has for a name of a palette, or the kind of that name."""
        return self.palette.get(name, name)

    def kinds(self, weights: dict[str, float]) -> dict[str, float]:
        """Return kinds and weights of the place: names of the palette replaced, some kinds much rarer than others."""
        scale = self.draw.exponential(size=len(weights)) ** 2 + 1e-3
        result: dict[str, float] = {}
        for (name, weight), factor in zip(weights.items(), scale, strict=True):
            kind = self.kind(name)
            result[kind] = result.get(kind, 0) + weight * float(factor)
        return result

    def fill(self, where: B, draw: F, weights: dict[str, float]) -> None:
        """Set points to kinds, selected by a uniform draw; about a fire, to natural vegetation alone."""
        kinds, near = self.kinds(weights), self.near_fire
        natural = {kind: weight for kind, weight in kinds.items() if COVER[KINDS[kind]] < CROPS}
        if natural:
            self.canvas.choose(where & near, draw, natural)
        self.canvas.choose(where & ~near, draw, kinds)

    @property
    def near_fire(self) -> B:
        """Points about a fire, with a ragged border."""
        if self.place.event != "fire":
            return np.zeros(self.canvas.kind.shape, bool)
        radius_m = FIRE_RADIUS_M + 250 * self.canvas.field("fire-border", 20, 1.5)
        return np.asarray(np.hypot(*self.canvas.at) < radius_m)

    def size(self, bounds: Any) -> float:
        """Draw a number between two bounds, or return the number given."""
        return float(self.draw.uniform(*bounds)) if isinstance(bounds, list) else float(bounds)

    def where(self, name: str, share: float, texel_m: float) -> B:
        """Return patches that cover about a share of the land."""
        return np.asarray(self.canvas.field(name, texel_m, 1.6, warped=True) > ndtri(1 - min(share, 0.999)))


def paint(place: Place, at: At, seed: int) -> Land:
    """Paint the land of a place of the planet at plane coordinates in metres; `seed` is the place's."""
    biome, canvas = table()["biomes"][place.biome], Canvas(at, Noise(seed))
    draw = rng(seed, "biome")
    sketch = Sketch(canvas, place, draw, _palette(draw), water_distance_m(place, at, seed), seed)
    _raise_land(sketch, sketch.size(biome["relief_m"]))
    for number, layer in enumerate(biome["layers"]):
        present = draw.random() < layer.get("chance", 1)
        if present or layer.get("event") == place.event is not None:
            _LAYERS[layer["draw"]](sketch._replace(draw=rng(seed, "layer", number)), layer, f"layer-{number}")
    _draw_water(sketch)
    draw_patterns(canvas, table()["patterns"], sketch.kind)
    return canvas.land()


def _palette(draw: np.random.Generator) -> dict[str, str]:
    """Draw the kinds that the place has for the names of the palettes."""
    choices = (palettes[draw.integers(len(palettes))] for palettes in table()["palettes"].values())
    return {name: kind for choice in choices for name, kind in choice.items()}


def _raise_land(sketch: Sketch, relief_m: float) -> None:
    """Set the heights; land near the water is low."""
    canvas = sketch.canvas
    low = np.clip(sketch.water_m / 900, 0, 1)
    canvas.height_m = relief_m * low * canvas.field("height", 34, 1.75, smooth=True)


def _draw_patches(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Draw patches of natural land, each of one of several kinds."""
    canvas, share = sketch.canvas, sketch.size(layer.get("share", 1))
    texel_m = sketch.size(layer.get("texel_m", [14, 40]))
    where = np.ones(canvas.kind.shape, bool) if share >= 1 else sketch.where(name, share, texel_m)
    if "hollow_m" in layer:
        where &= sketch.water_m < layer["hollow_m"] * (1 + 0.5 * canvas.field(f"{name}-shore", 20, 1.5))
    mixed = len(layer["kinds"]) > 1
    mixture = ndtr(canvas.field(f"{name}-kind", texel_m, 1.6)) if mixed else np.zeros(where.shape, np.float32)
    sketch.fill(where, np.clip(mixture, 0, 0.999), layer["kinds"])


def _draw_heights(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Draw land above a quantile of the heights."""
    canvas = sketch.canvas
    level = canvas.field("height", 34, 1.75, smooth=True) + 0.2 * canvas.field(f"{name}-edge", 12, 1.4)
    where = level > ndtri(1 - sketch.size(layer["share"]))
    sketch.fill(where, np.clip(ndtr(canvas.field(f"{name}-kind", 20, 1.6)), 0, 0.999), layer["kinds"])


def _draw_fields(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Divide patches of the land into parcels with crops, bounded by tracks and hedges."""
    canvas, share = sketch.canvas, sketch.size(layer["share"])
    where = sketch.where(name, share, sketch.size(layer.get("texel_m", [25, 50]))) & ~sketch.near_fire
    width_m = sketch.size(layer["width_m"])
    depth_m, near = width_m * sketch.size([0.4, 0.8]), sites(sketch.place, canvas.at)
    field = parcels(canvas.at, near, width_m=width_m, depth_m=depth_m)
    where &= unit(field.key, 41) < 0.93
    sketch.fill(where, unit(field.key, 42), layer["kinds"])
    canvas.parcel[where] = field.key[where]
    edge, hedge = (sketch.kind(layer.get(key, kind)) for key, kind in (("track", "yard"), ("hedge", "scrub")))
    canvas.line(field.edge_m, edge, half_width_m=2.0, where=where, max_share=0.45)
    where &= unit(field.block, 51) < 0.4
    canvas.line(field.block_edge_m, hedge, half_width_m=4.0, where=where, max_share=0.49)


def _draw_pivots(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Draw round irrigated fields, some of them halved."""
    canvas, (u, v) = sketch.canvas, sketch.canvas.at
    size_m = sketch.size(layer["width_m"])
    pivot = nearest_sites((u, v), spacing_m=size_m, salt=seed_of(sketch.seed, name) % 65_536, spread=0.06)
    where = pivot.distance_m < size_m * (0.4 + 0.07 * unit(pivot.key, 1))
    where &= (unit(pivot.key, 2) < sketch.size(layer["share"])) & ~sketch.near_fire
    half = np.floor(np.arctan2(v - pivot.v, u - pivot.u) / np.pi * (1 + np.floor(2 * unit(pivot.key, 3))))
    sketch.fill(where, unit(pivot.key, half, 4), layer["kinds"])
    canvas.parcel[where] = (pivot.key + half.astype(np.uint32))[where]


def _draw_spots(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Draw round patches of a few hundred metres: ponds, pans, quarries."""
    canvas = sketch.canvas
    spot = nearest_sites(canvas.at, spacing_m=sketch.size(layer["spacing_m"]), salt=seed_of(sketch.seed, name) % 65_536)
    radius_m = sketch.size(layer["radius_m"]) * (0.5 + unit(spot.key, 1))
    inside = spot.distance_m * (1 + 0.2 * canvas.field(name, 16, 1.5)) < radius_m
    sketch.fill(inside & (unit(spot.key, 2) < 0.7), unit(spot.key, 3), layer["kinds"])


def _draw_trees(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Scatter trees and shrubs over open land; the land below keeps its label."""
    canvas = sketch.canvas
    cell = np.floor(canvas.at[0] / 27), np.floor(canvas.at[1] / 23)
    open_land = sketch.where(name, sketch.size(layer["share"]), 30)
    tree = open_land & (unit(*cell, 61) < sketch.size(layer["density"])) & (canvas.parcel == 0)
    canvas.overlay[tree] = KINDS[sketch.kind(layer["kind"])]
    canvas.share[tree] = 0.48


def _draw_town(sketch: Sketch, layer: dict[str, Any], name: str) -> None:
    """Draw the settlements and the roads between them, with roofs and gardens of the place."""
    canvas, near = sketch.canvas, sites(sketch.place, sketch.canvas.at)
    town = Canvas(canvas.at, canvas.noise)
    town.parcel[:] = canvas.parcel
    radius_m = _radii(sketch, near, layer)
    settled = draw_settlements(town, near, radius_m, leafy=sketch.size([0, 0.9]))
    local = np.arange(len(KINDS), dtype=np.uint8)
    for kind, names in layer["local"].items():
        local[KINDS[kind]] = KINDS[sketch.kind(names[sketch.draw.integers(len(names))])]
    settled &= sketch.water_m > 20
    canvas.kind[settled], canvas.parcel[settled] = local[town.kind][settled], town.parcel[settled]
    canvas.overlay[settled], canvas.share[settled] = local[town.overlay][settled], town.share[settled]
    draw_roads(canvas, near, half_width_m=3.5, where=sketch.water_m > 10)


def _radii(sketch: Sketch, near: Sites, layer: dict[str, Any]) -> F:
    """Return each site's radius: a town at an earthquake's centre, hamlets about a flood or fire, none within."""
    radius_m = np.where(
        unit(near.key, 71) < 0.5, sketch.size(layer["radius_m"]) * (0.4 + 0.8 * unit(near.key, 72)), 0.0
    )
    central = np.hypot(near.u, near.v) < 1
    if sketch.place.event == "earthquake":
        radius_m = np.where(central, sketch.size(list(TOWN_RADIUS_M)), np.minimum(radius_m, 400))
    elif sketch.place.event:
        radius_m = np.where(central, 0, np.minimum(radius_m, HAMLET_RADIUS_M))
    return np.asarray(radius_m)


def sites(place: Place, at: At) -> Sites:
    """Return the sites of settlements nearest to each point; a place with an event has one at its centre."""
    salt = seed_of(0, place.name) % 65_536
    zero = np.zeros(1)
    centre = nearest_sites((zero, zero), spacing_m=SITE_SPACING_M, salt=salt)
    shift_u, shift_v = (float(centre.u[0]), float(centre.v[0])) if place.event else (0.0, 0.0)
    near = nearest_sites((at[0] + shift_u, at[1] + shift_v), spacing_m=SITE_SPACING_M, salt=salt)
    return near._replace(
        u=near.u - shift_u, v=near.v - shift_v, next_u=near.next_u - shift_u, next_v=near.next_v - shift_v
    )


# -- water -----------------------------------------------------------------------------------------------------------


class Water(NamedTuple):
    """The main water of a place: form (river, lake, sea or none), kind, half width or radius, a point, heading."""

    form: str
    kind: str
    size_m: float
    at: tuple[float, float]
    heading_rad: float


@lru_cache(maxsize=256)
def water(place: Place, seed: int) -> Water:
    """Draw the main water of a place; a place with a flood has one near its centre."""
    draw, entry = rng(seed, "water"), table()["biomes"][place.biome]["water"]
    names = [name for name in entry if place.event != "flood" or name != "none"]
    if place.event == "earthquake":
        names = [name for name in names if name in ("none", "river")] or ["none"]
    weights = np.array([entry[name]["chance"] if name in entry else 1 for name in names])
    form = names[int(draw.choice(len(names), p=weights / weights.sum()))]
    details = entry.get(form, {})
    reach = 350 if place.event == "flood" else 1100
    spot = draw.uniform(-reach, reach, 2)
    kinds = details.get("kinds", ["river"])
    size_m = float(draw.uniform(*details.get("size_m", [0, 1])))
    if place.event == "flood":
        size_m = min(size_m, 300.0) if form == "sea" else max(size_m, 450.0) if form == "lake" else size_m
    kind, heading_rad = kinds[int(draw.integers(len(kinds)))], float(draw.uniform(0, 2 * np.pi))
    return Water(form, kind, size_m, (float(spot[0]), float(spot[1])), heading_rad)


def water_distance_m(place: Place, at: At, seed: int) -> F:
    """Return the distance of each point from the bank or shore of the place's main water in metres, negative in it."""
    main, noise = water(place, seed), Noise(seed)
    if main.form == "none":
        return np.full(at[0].shape, 2_000.0)
    wobble = 60 * noise("bank", at, texel_m=9, slope=1.4)
    along, across = rotate(at, (np.asarray(main.at[0]), np.asarray(main.at[1])), main.heading_rad)
    if main.form == "river":
        return np.asarray(_river_distance_m(along, across, main.size_m) + 0.3 * min(main.size_m / 60, 1) * wobble)
    wobble = wobble + 260 * noise("shore", at, texel_m=40, slope=1.6)
    if main.form == "lake":
        return np.asarray(np.hypot(at[0] - main.at[0], at[1] - main.at[1]) - main.size_m + wobble)
    return np.asarray(across + main.size_m + wobble)


def _river_distance_m(along: F, across: F, half_width_m: float) -> F:
    """Return the distance from the bank of a river of two superposed waves, exact to first order in the distance."""
    line, slope = np.zeros_like(along), np.zeros_like(along)
    for amplitude_m, length_m in ((90 + 2 * half_width_m, 900 + 16 * half_width_m), (260.0, 3400.0)):
        wave = 2 * np.pi / length_m
        line, slope = line + amplitude_m * np.sin(wave * along), slope + amplitude_m * wave * np.cos(wave * along)
    return np.asarray(np.abs(across - line) / np.hypot(1, slope) - half_width_m)


def _draw_water(sketch: Sketch) -> None:
    """Draw the main water; a river's narrow reaches cover pixels in part. The land about a flood is open."""
    main = water(sketch.place, sketch.seed)
    if main.form == "none":
        return
    canvas = sketch.canvas
    if sketch.place.event == "flood":
        width_m = FLOODPLAIN_M * (1 + 0.5 * canvas.field("floodplain", 20, 1.5))
        canvas.paint((sketch.water_m < width_m) & (COVER[canvas.kind] == TREES), sketch.kind("grass"))
    canvas.line(sketch.water_m, main.kind, half_width_m=0.0)
    canvas.paint(sketch.water_m < -5, main.kind)


_LAYERS: dict[str, Callable[[Sketch, dict[str, Any], str], None]] = {
    "patches": _draw_patches,
    "heights": _draw_heights,
    "fields": _draw_fields,
    "pivots": _draw_pivots,
    "spots": _draw_spots,
    "trees": _draw_trees,
    "town": _draw_town,
}
