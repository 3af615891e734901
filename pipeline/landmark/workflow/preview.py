"""A recipe tried out: a few samples and a page to look at, in minutes.

A search costs what its region is large. Where the archive is a provider's API, the region is therefore narrowed first,
to a few boxes chosen by hash.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

import landmark
from landmark.config.recipe import Recipe
from landmark.config.region import Region, TimeRange
from landmark.core.atomic import held, write_bytes
from landmark.core.errors import EmptySearch, NoCoverage
from landmark.core.hashing import ranks
from landmark.core.salts import PREVIEW
from landmark.core.yaml_files import Strict
from landmark.corpus.manifest import Lock, Manifest, read_document
from landmark.report.page import page
from landmark.workflow import build as work

log = logging.getLogger(__name__)

_BOXES = 5
_BOX_DEG = 0.3
# What a trial's title ends in: only folders that say so are emptied.
_MARK = ", tried out"


def trial_recipe(recipe: Recipe, *, samples: int, seed: int, narrow: bool) -> Recipe:
    """The recipe for about so many samples; `narrow` cuts a wide region down to a few boxes."""
    # With the recipe's own seed a cell has the split it will have in the whole corpus.
    sampling = {"fraction": 1.0, "cells": None, "by_meaning": None, "seed": recipe.sampling.seed + seed}
    changes = {
        "name": f"{recipe.name[:59]}-try",
        "title": f"{recipe.title or recipe.name}{_MARK}",
        "limit": max(1, samples // (len(recipe.sensors) * _periods(recipe.time))),
        "sampling": recipe.sampling.model_copy(update=sampling),
    }
    region = recipe.region.geometry
    # Round events a recipe looks at a few places anyway.
    if narrow and recipe.around_events is None and region.area > _BOXES * _BOX_DEG**2:
        boxes = _boxes(region, seed)
        changes["region"] = Region(bbox=None, geojson=json.loads(shapely.to_geojson(boxes)))
    return recipe.model_copy(update=changes)


def try_out(request: work.Request, *, notes: Sequence[str] = (), left_out: Sequence[tuple[str, str]] = ()) -> Path:
    """Build a trial recipe, failures and all, and write `sheet.html` beside it; an earlier trial makes room.

    Raises:
        LandmarkError: as a build; where nothing was found, another seed may look elsewhere.
    """
    _make_room(request)
    try:
        work.build(replace(request, retry=True, seal_anyway=True))
    except (EmptySearch, NoCoverage) as error:
        raise type(error)(f"{error}; a trial looks at a few places only: --seed chooses others") from error
    corpus = landmark.open(request.out)
    text = page(corpus, pairs=len(corpus), notes=notes, left_out=left_out)
    write_bytes(request.out / "sheet.html", text.encode())
    return request.out / "sheet.html"


def _periods(time: TimeRange) -> int:
    """How many samples a sensor may have in a cell."""
    months = 12 * (time.end.year - time.start.year) + time.end.month - time.start.month
    return 1 + (months if time.period == "month" else time.end.year - time.start.year)


def _boxes(region: BaseGeometry, seed: int) -> BaseGeometry:
    """The first boxes of a lattice in the order of their hash; those inside the region go before those it cuts."""
    west, south, east, north = (edge / _BOX_DEG for edge in region.bounds)
    sides = np.meshgrid(np.arange(np.floor(west), np.ceil(east)), np.arange(np.floor(south), np.ceil(north)))
    col, row = (side.ravel() for side in sides)
    left, bottom, right, top = (np.round(_BOX_DEG * edge, 6) for edge in (col, row, col + 1, row + 1))
    lattice = shapely.box(left, bottom, right, top)
    shapely.prepare(region)
    meets = shapely.intersects(region, lattice)
    lattice, col, row = lattice[meets], col[meets], row[meets]
    names = [f"{c:.0f}_{r:.0f}" for c, r in zip(col.tolist(), row.tolist(), strict=True)]
    order = np.lexsort((ranks(seed, PREVIEW, names), ~shapely.contains(region, lattice)))
    return shapely.union_all(lattice[order[:_BOXES]]).intersection(region)


def _make_room(request: work.Request) -> None:
    """Empty a folder that holds an earlier trial of the same name; any other folder is the build's to refuse."""
    documents: tuple[tuple[str, type[Strict]], ...] = (("corpus.json", Manifest), ("lock.json", Lock))
    found = [read_document(model, request.out / name) for name, model in documents if (request.out / name).is_file()]
    if not found or found[0].recipe_digest == request.recipe.digest:
        return
    one = found[0]
    name, title = (one.name, one.title) if isinstance(one, Manifest) else (one.recipe["name"], one.recipe["title"])
    if name != request.recipe.name or not title.endswith(_MARK):
        return
    log.info("%s: an earlier trial makes room", request.out)
    with held(request.out):
        for path in request.out.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".landmark.lock":
                path.unlink()
