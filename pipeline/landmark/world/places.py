"""Land of a place at any coordinates of its plane; the two places of the easy edition."""

from functools import lru_cache

import numpy as np

from landmark.world import biomes
from landmark.world.ground import (
    At,
    Bank,
    Canvas,
    Course,
    Land,
    Parcels,
    Stream,
    draw_roads,
    draw_settlements,
    parcels,
)
from landmark.world.place import Place
from landmark.world.plane import F, Noise, Sites, nearest_sites, unit

# Spacing of sites in metres, salt of the sites, offset of the seed.
SITES = {"europe": (2700, 100, 0), "south": (2300, 200, 1_000_003)}


def sites_of(place: str, at: At) -> Sites:
    """Return the sites of a place's settlements nearest to each point."""
    return nearest_sites(at, spacing_m=SITES[place][0], salt=SITES[place][1])


def noise_of(place: str, seed: int) -> Noise:
    """Return the noise fields of a place."""
    return Noise(seed + SITES[place][2])


@lru_cache(maxsize=2)
def europe_streams(seed: int) -> tuple[Stream, Stream]:
    """Return the river and the brook."""
    river = Course("river", (-2600, 700), heading_deg=-7, wave_m=2600, bend_rad=1.3)
    brook = Course("brook", (-7300, 900), heading_deg=-78, wave_m=700, bend_rad=1.0, down_m=2500)
    return Stream(seed, river), Stream(seed, brook)


def europe(at: At, seed: int) -> Land:
    """Paint wooded hills, a plain of fields with villages, a meandering river, a lagoon and the sea."""
    canvas = Canvas(at, noise_of("europe", seed))
    hill = _hills(canvas)
    sites = sites_of("europe", at)
    shore_m = shore(canvas)
    _draw_fields(canvas, sites, hill, shore_m)
    _draw_woods(canvas, hill)
    river, brook = (stream.bank(canvas) for stream in europe_streams(seed))
    _draw_floodplain(canvas, river)
    draw_settlements(canvas, sites, _european_radii(sites, hill, shore_m, seed))
    draw_roads(canvas, sites)
    _draw_highway(canvas)
    _draw_river(canvas, river, half_width_m=50, reach=1.0)
    _draw_river(canvas, brook, half_width_m=9, reach=0.3)
    _draw_lagoon(canvas, shore_m)
    return canvas.land()


def _hills(canvas: Canvas) -> F:
    """Set the heights, with hills in the north-west; return hilliness from 0 (plain) to 1."""
    u, v = canvas.at
    broad = canvas.field("hill", 110, 1.5)
    hill = np.clip((-0.45 * u + 0.85 * v - 3600 + 1300 * broad) / 3200, 0, 1)
    rough = canvas.field("height", 36, 1.75, smooth=True)
    canvas.height_m = hill * (170 + 130 * rough - 60 * np.abs(broad)) + 4 * canvas.field("swell", 60, 1.75, smooth=True)
    return np.asarray(hill)


def shore(canvas: Canvas) -> F:
    """Return the distance inside the lagoon's shore in metres, negative on land."""
    u, v = canvas.at
    shore = 0.42 * u - v - 4900 + 520 * canvas.field("coast", 45, 1.5)
    return np.asarray(shore + 60 * canvas.field("creek-edge", 8, 1.25))


def _draw_fields(canvas: Canvas, sites: Sites, hill: F, shore_m: F) -> None:
    """Divide the land into parcels: arable in the plain, pasture in the hills and near the lagoon."""
    drained = shore_m > -2600
    field = parcels(canvas.at, sites, width_m=430, depth_m=250)
    canvas.parcel = field.key
    use, crop = unit(field.key, 41), unit(field.key, 42)
    everywhere = np.ones(use.shape, bool)
    crops = {"wheat": 0.26, "maize": 0.27, "soy": 0.13, "beet": 0.09, "rape": 0.08, "alfalfa": 0.10, "ploughed": 0.07}
    canvas.choose(everywhere, crop, crops)
    special = unit(sites.key, 43)
    canvas.choose((use < 0.55) & (special > 0.72) & ~drained, crop, {"vineyard": 0.7, "orchard": 0.3})
    canvas.choose(use > 0.93, crop, {"poplars": 0.5, "orchard": 0.2, "scrub": 0.12, "meadow": 0.18})
    grassy = 0.06 + 0.75 * hill + 0.62 * (special < 0.16) + 0.22 * np.clip(shore_m / 700 + 1, 0, 1)
    canvas.choose((use < grassy) & (use <= 0.93), crop, {"pasture": 0.62, "meadow": 0.38})
    _draw_field_edges(canvas, field, hill, shore_m)


def _draw_field_edges(canvas: Canvas, field: Parcels, hill: F, shore_m: F) -> None:
    """Draw tracks, hedges and ditches along the edges of parcels."""
    draw = unit(field.block, 51)
    canvas.line(field.edge_m, "meadow", half_width_m=1.5, max_share=0.4)
    hedged = (draw < 0.22 + 0.4 * hill) & (canvas.field("gaps", 12, 0.9) > -0.9)
    canvas.line(field.block_edge_m, "riverwood", half_width_m=6.0, where=hedged)
    canvas.line(field.block_edge_m, "shingle", half_width_m=2.5, where=draw > 0.6)
    canvas.line(field.block_edge_m, "river", half_width_m=4.0, where=(shore_m > -2600) & (draw > 0.35))


def _draw_woods(canvas: Canvas, hill: F) -> None:
    """Draw woods with ragged edges, heath on hilltops, crags and quarries on slopes."""
    score = canvas.field("wood", 20, 1.5, warped=True) + 2.5 * hill - 1.6
    mixture = canvas.field("needles", 26, 1.5, warped=True)
    canvas.paint((score > -0.28) & (hill > 0.2), "scrub")
    canvas.paint(score > 0, "deciduous")
    canvas.paint((score > 0.1) & (mixture + 0.8 * hill > 0.95), "conifer")
    top = canvas.field("top", 30, 1.5, warped=True) + 1.1 * hill
    canvas.paint((top > 2.0) & (hill > 0.25), "heath")
    scar = canvas.field("scar", 14, 1.5, warped=True) + 0.6 * hill
    canvas.paint((scar > 2.15) & (hill > 0.3), "crag")
    pits = nearest_sites(canvas.at, spacing_m=3600, salt=160)
    reach = pits.distance_m * (1 + 0.16 * canvas.field("pit", 20, 1.5))
    pit = (reach < 130 + 360 * unit(pits.key, 1) ** 2) & (unit(pits.key, 2) < 0.3 + 0.4 * (hill > 0.2))
    canvas.paint(pit & (hill > 0.05), "quarry")


def _european_radii(sites: Sites, hill: F, shore_m: F, seed: int) -> F:
    """Return each site's radius: one town by the river, some small towns, villages, farms."""
    size = unit(sites.key, 61)
    radius = np.select([size < 0.13, size < 0.5], [620 + 1800 * size, 190 + 330 * size], 75.0)
    main_key = nearest_sites((np.array([-2900.0]), np.array([-300.0])), spacing_m=2700, salt=100).key[0]
    radius = np.where(sites.key == main_key, 1300.0, radius * (1 - 0.5 * hill))
    return np.where(shore_m > -150, 0.0, radius)


def _draw_highway(canvas: Canvas) -> None:
    """Draw one wide road from west to east."""
    u, v = canvas.at
    bend = 900 * np.sin(u / 5200) + 500 * np.sin(u / 2300 + 1)
    canvas.line(np.abs(v - 2700 - bend) * 0.94, "street", half_width_m=11)


def _draw_floodplain(canvas: Canvas, river: Bank) -> None:
    """Draw meadows and woods along the river, with reeds in abandoned channels."""
    width = 120 + 90 * canvas.field("flood", 30, 1.5)
    near = river.distance_m < 60 + np.maximum(width, 0)
    canvas.choose(near, np.clip(0.5 + 0.3 * canvas.field("flood-wood", 11, 1.25), 0, 0.999), {
        "meadow": .4, "scrub": .12, "riverwood": .48})  # fmt: skip
    old_arm = np.abs(canvas.field("arm", 16, 1.75)) < 0.09
    canvas.paint((river.distance_m < 420) & old_arm & (river.distance_m > 110), "reeds")
    canvas.paint((river.distance_m < 420) & (river.distance_m > 130) & old_arm & (width > 130), "lake")


def _draw_river(canvas: Canvas, river: Bank, *, half_width_m: float, reach: float) -> None:
    """Draw a river with gravel bars on the inside of bends; `reach` scales the bars."""
    u = river.along_m
    half = half_width_m * (1 + 0.22 * np.sin(u / 830) + 0.15 * np.sin(u / 310 + 2))
    bar = reach * 46 * np.clip(river.inside * 1.6 - 0.25, 0, 1)
    canvas.line(river.distance_m, "shingle", half_width_m=half + bar, where=bar > 6)
    canvas.line(river.distance_m + 0.2 * bar, "river", half_width_m=half)
    water = river.distance_m + 0.2 * bar < half - 5
    canvas.paint(water, "river")


def _draw_lagoon(canvas: Canvas, shore_m: F) -> None:
    """Draw the south-east: reeds, salt marsh with creeks, open lagoon, a sandy barrier and the sea."""
    reed = canvas.field("reed", 18, 1.5)
    canvas.paint((shore_m > -70 - 230 * np.maximum(reed, -0.1)) & (shore_m <= 0), "reeds")
    canvas.paint(shore_m > 0, "lagoon")
    creek = np.abs(canvas.field("creek", 16, 1.75)) + 0.05 * canvas.field("silt", 9, 1.25)
    marsh = canvas.field("marsh", 22, 1.5, warped=True) - np.abs(shore_m - 700) / 900
    canvas.paint((marsh > 0.1) & (shore_m > 40) & (creek > 0.09), "saltmarsh")
    canvas.paint((marsh > 0.55) & (shore_m > 40) & (creek > 0.5), "reeds")
    _draw_barrier(canvas, shore_m)


def _draw_barrier(canvas: Canvas, shore_m: F) -> None:
    """Draw the sea and a sand bar with dunes, pines and inlets between it and the lagoon."""
    u, v = canvas.at
    offshore = 0.42 * u - v - 4900 - 3100 + 260 * canvas.field("bar", 70, 1.75) + 8 * canvas.field("beach", 10, 1.25)
    canvas.paint(offshore > 0, "sea")
    inlet = np.abs(canvas.field("inlet", 130, 1.5) + 0.03 * canvas.field("beach", 10, 1.25)) < 0.13
    width = 330 + 120 * canvas.field("bar-width", 60, 1.5)
    bar = (np.abs(offshore) < width) & ~inlet
    canvas.paint(bar, "beach")
    dune = canvas.field("dune", 12, 1.25)
    canvas.paint(bar & (offshore < width - 130) & (dune > -0.9), "dune_grass")
    canvas.paint(bar & (offshore < width - 200) & (dune > 0.1), "conifer")
    canvas.paint(bar & (offshore < 60 - width) & (dune < 0.4), "saltmarsh")


@lru_cache(maxsize=2)
def south_streams(seed: int) -> tuple[Stream, Stream]:
    """Return the river below the dam and the wash."""
    river = Course("south-river", (1500, 300), heading_deg=-158, wave_m=1500, bend_rad=0.9, up_m=900)
    wash = Course("wash", (3000, -3300), heading_deg=174, wave_m=1100, bend_rad=0.8)
    return Stream(seed, river), Stream(seed, wash)


def south(at: At, seed: int) -> Land:
    """Paint a mountain ridge, dry shrubland, a reservoir, irrigated land along its river, and a town."""
    canvas = Canvas(at, noise_of("south", seed))
    ridge = _mountain(canvas)
    river, wash = (stream.bank(canvas) for stream in south_streams(seed))
    sites = sites_of("south", at)
    wet = np.maximum(1 - river.distance_m / 700, 0) + 0.0
    field = _draw_shrubland(canvas, sites, ridge)
    _draw_irrigation(canvas, field, sites, ridge)
    _draw_slopes(canvas, ridge)
    canvas.choose(wet > 0.87, np.clip(0.5 + 0.3 * canvas.field("bank", 9, 1.25), 0, 0.999), {"gums": 0.6, "vlei": 0.4})
    draw_settlements(canvas, sites, _southern_radii(sites, ridge), leafy=0.2)
    draw_roads(canvas, sites, half_width_m=3.5, where=ridge < 0.2)
    _draw_river(canvas, wash, half_width_m=4, reach=0.2)
    canvas.line(wash.distance_m, "wash", half_width_m=26 + 12 * np.sin(wash.along_m / 500))
    _draw_river(canvas, river, half_width_m=13, reach=0.7)
    _draw_reservoir(canvas)
    return canvas.land()


def _mountain(canvas: Canvas) -> F:
    """Set the heights, with a ridge from west to east in the north; return height relative to the summit."""
    u, v = canvas.at
    crest = 3500 + 700 * np.sin(u / 4100 + 0.6) + 260 * canvas.field("crest", 60, 1.75, smooth=True)
    fold = np.abs(canvas.field("fold", 26, 1.75, smooth=True))
    ridge = np.exp(-(((v - crest) / 1500) ** 2)) * (1.12 - 0.26 * fold)
    canvas.height_m = 780 * ridge + 14 * canvas.field("swell", 40, 1.75, smooth=True)
    return np.asarray(ridge)


def _draw_shrubland(canvas: Canvas, sites: Sites, ridge: F) -> Parcels:
    """Draw shrubland, sparse grass and bare red ground with dry gullies; return the parcels."""
    field = parcels(canvas.at, sites, width_m=520, depth_m=330)
    canvas.parcel = field.key
    scrub = canvas.field("karoo", 26, 1.5, warped=True)
    canvas.paint(np.ones(scrub.shape, bool), "renoster")
    canvas.paint(scrub < -0.5, "red_sand")
    canvas.paint((scrub > 0.85), "veld")
    canvas.paint(np.abs(canvas.field("gully", 22, 1.75, warped=True)) < 0.035, "wash")
    return field


def _draw_irrigation(canvas: Canvas, field: Parcels, sites: Sites, ridge: F) -> None:
    """Draw pivot fields, vineyards and orchards on irrigated land, rain-fed wheat in the south-west."""
    u, v = canvas.at
    low = ridge < 0.12
    belt = np.abs(v + 0.4 * u + 600) < 1500 + 500 * canvas.field("belt", 60, 1.5)
    use, crop = unit(field.key, 71), unit(field.key, 72)
    kinds = {"vines": 0.36, "citrus": 0.2, "lucerne": 0.18, "winter_wheat": 0.14, "pivot_fallow": 0.12}
    canvas.choose(low & belt & (use < 0.72), crop, kinds)
    canvas.choose(low & belt & (use > 0.93), crop, {"veld": 0.6, "gums": 0.4})
    wheat = low & ~belt & (v < -900 - 0.5 * u) & (use < 0.7)
    canvas.choose(wheat, crop, {"winter_wheat": 0.7, "veld": 0.18, "pivot_fallow": 0.12})
    canvas.line(field.edge_m, "red_sand", half_width_m=2.0, where=(low & belt), max_share=0.45)
    canvas.line(field.block_edge_m, "gums", half_width_m=5.0, where=low & belt & (unit(field.block, 73) < 0.18))
    pivot = nearest_sites(canvas.at, spacing_m=940, salt=240, spread=0.12)
    circle = low & (pivot.distance_m < 270 + 130 * unit(pivot.key, 1)) & (unit(pivot.key, 2) < 0.34) & (u > -400)
    angle = np.floor(np.arctan2(v - pivot.v, u - pivot.u) / np.pi * (1 + np.floor(2 * unit(pivot.key, 3))))
    canvas.choose(circle, unit(pivot.key, angle, 4), {"lucerne": 0.45, "winter_wheat": 0.35, "pivot_fallow": 0.2})


def _draw_slopes(canvas: Canvas, ridge: F) -> None:
    """Draw shrub, forest in ravines, red crags and firn on the mountain."""
    fold = np.abs(canvas.field("fold", 26, 1.75, smooth=True))
    rock = canvas.field("rock", 16, 1.5, warped=True)
    canvas.paint(ridge > 0.14 + 0.03 * rock, "protea")
    canvas.paint((ridge > 0.2) & (ridge < 0.75) & (fold > 1.15 + 0.25 * rock), "kloof")
    canvas.paint((ridge > 0.3) & (rock + 1.7 * ridge > 1.5), "red_crag")
    canvas.paint(ridge > 0.985 + 0.03 * rock, "firn")


def _southern_radii(sites: Sites, ridge: F) -> F:
    """Return each site's radius: one town, a few hamlets."""
    size = unit(sites.key, 81)
    main_key = nearest_sites((np.array([-1800.0]), np.array([-900.0])), spacing_m=2300, salt=200).key[0]
    radius = np.where(sites.key == main_key, 1150.0, np.where(size < 0.25, 170 + 500 * size, 0.0))
    return np.where(ridge > 0.25, 0.0, radius)


def _draw_reservoir(canvas: Canvas) -> None:
    """Draw a reservoir behind a straight dam, with a bare drawdown zone."""
    u, v = canvas.at
    basin = np.hypot((u - 2900) / 1500, (v - 900) / 950) + 0.34 * canvas.field("basin", 26, 1.75) - 0.95
    wall = (u - 1700) * 0.82 + (v - 500) * 0.57
    behind = wall > 0
    canvas.paint((basin < 0.10) & (basin > 0.06) & behind & (u > 3300), "vlei")
    canvas.paint((basin < 0.07) & behind, "red_sand")
    canvas.paint((basin < 0) & behind, "lake")
    face = np.abs((v - 500) * 0.82 - (u - 1700) * 0.57) < 560
    canvas.line(np.abs(wall), "yard", half_width_m=14, where=face)


PLACES = {"europe": europe, "south": south}


def paint(place: Place, at: At, seed: int) -> Land:
    """Paint the land of a place at plane coordinates in metres."""
    return biomes.paint(place, at, seed) if place.biome else PLACES[place.name](at, seed)
