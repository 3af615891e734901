"""Preview a recipe: a few samples and a page that shows them, in minutes.

The cost of a search grows with its region. Where the catalogue is a provider's API, the region is therefore reduced to
a few boxes chosen by hash.
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
from landmark.core.atomic import folder_lock, write_bytes
from landmark.core.corpus_paths import refuse_links
from landmark.core.errors import EmptySearch, NoCoverage
from landmark.core.hashing import ranks
from landmark.core.salts import PREVIEW
from landmark.corpus.lock import Lock
from landmark.corpus.manifest import Manifest, read_document
from landmark.report.page import render_page
from landmark.workflow import build as work

log = logging.getLogger(__name__)

_BOXES = 5
_BOX_DEG = 0.3
# Suffix of a preview's title: only folders whose title has it are emptied.
_TITLE_SUFFIX = " (preview)"


def preview_recipe(recipe: Recipe, *, samples: int, seed: int, narrow: bool) -> Recipe:
    """Reduce a recipe to about `samples` samples; `narrow` also reduces a large region to a few boxes."""
    # With seed 0 and splits by hash, a cell has the split that it has in the full corpus.
    sampling = {"fraction": 1.0, "cells": None, "class_balancing": None, "seed": recipe.sampling.seed + seed}
    changes = {
        "name": f"{recipe.name[:55]}-preview",
        "title": f"{recipe.title or recipe.name}{_TITLE_SUFFIX}",
        "limit": max(1, samples // (len(recipe.sensors) * _periods(recipe.time))),
        "sampling": recipe.sampling.model_copy(update=sampling),
        # To count the labels of all cells would take longer than the preview.
        "splits": recipe.splits.model_copy(update={"balance": "hash"}),
    }
    region = recipe.region.geometry
    # Event sampling searches few places anyway.
    if narrow and recipe.event_sampling is None and region.area > _BOXES * _BOX_DEG**2:
        boxes = _boxes(region, seed)
        changes["region"] = Region(bbox=None, geojson=json.loads(shapely.to_geojson(boxes)))
    return recipe.model_copy(update=changes)


def write_preview(
    request: work.BuildRequest, *, notes: Sequence[str] = (), skipped: Sequence[tuple[str, str]] = ()
) -> Path:
    """Build a preview recipe, allowing failures, and write `sheet.html`; an earlier preview is replaced.

    Raises:
        LandmarkError: as in `build`; where the search was empty, another seed searches elsewhere.
    """
    _remove_earlier_preview(request)
    try:
        work.build(replace(request, retry=True, allow_failures=True))
    except (EmptySearch, NoCoverage) as error:
        if error.key == "grid":
            raise  # no place has other images
        raise type(error)(
            error.problem,
            file=error.file,
            key=error.key,
            value=error.value,
            remedy="a preview searches a few places only: --seed chooses others",
        ) from error
    corpus = landmark.open(request.out)
    text = render_page(corpus, pairs=len(corpus), notes=notes, skipped=skipped)
    write_bytes(request.out / "sheet.html", text.encode())
    return request.out / "sheet.html"


def _periods(time: TimeRange) -> int:
    """Number of samples a sensor may have in a cell."""
    months = 12 * (time.end.year - time.start.year) + time.end.month - time.start.month
    return 1 + (months if time.period == "month" else time.end.year - time.start.year)


def _boxes(region: BaseGeometry, seed: int) -> BaseGeometry:
    """The first boxes of a lattice by hash; boxes inside the region come before boxes on its edge."""
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


def _remove_earlier_preview(request: work.BuildRequest) -> None:
    """Empty a folder that holds a preview of the same name by another recipe; `build` refuses any other folder."""
    documents: dict[str, type[Manifest] | type[Lock]] = {"corpus.json": Manifest, "lock.json": Lock}
    existing = [
        read_document(model, request.out / name) for name, model in documents.items() if (request.out / name).is_file()
    ]
    if not existing or existing[0].recipe_digest == request.recipe.digest:
        return
    document = existing[0]
    if isinstance(document, Manifest):
        name, title = document.name, document.title
    else:
        name, title = document.recipe.name, document.recipe.title
    if name != request.recipe.name or not title.endswith(_TITLE_SUFFIX):
        return
    log.info("%s: replacing an earlier preview", request.out)
    with folder_lock(request.out):
        refuse_links(request.out)
        for path in request.out.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".landmark.lock":
                path.unlink()
