"""STAC items as dictionaries, changed and put together."""

import copy
import json
from pathlib import Path
from typing import Any

from landmark.config.profiles import Provider
from landmark.config.recipe import Recipe
from landmark.core.yaml_files import load_model
from landmark.stac.open_catalog import open_catalog
from landmark.stac.search import SearchResult, search
from tests.parts import recipe_of

PROVIDER = load_model(Provider, "profiles/providers", "planetary-computer")
Json = dict[str, Any]


def items_of(world: Path, collection: str) -> list[Json]:
    """Every item of a collection, with absolute asset hrefs and without links."""
    result = []
    for path in sorted((world / collection).glob("*/*.json")):
        item = json.loads(path.read_text()) | {"links": []}
        for asset in item["assets"].values():
            asset["href"] = str((path.parent / asset["href"]).resolve())
        result.append(item)
    return result


def changed(item: Json, *, id: str | None = None, geometry: Json | None = None, **properties: Any) -> Json:
    """A copy with another id, geometry or properties (`__` stands for a colon); None removes a property."""
    duplicate = copy.deepcopy(item)
    duplicate["id"], duplicate["geometry"] = id or item["id"], geometry or item["geometry"]
    fields = duplicate["properties"] | {name.replace("__", ":"): value for name, value in properties.items()}
    duplicate["properties"] = {name: value for name, value in fields.items() if value is not None or name == "datetime"}
    return duplicate


def collected(folder: Path, items: list[Json], name: str = "items.json") -> Path:
    """An ItemCollection on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


def anywhere(sensor: str, **changes: Any) -> Recipe:
    """A recipe of one sensor without labels that takes every item of the years."""
    fields = {"sensors": [sensor], "region": {"bbox": [-180, -89, 180, 89]}, "clouds": {"max_item_pct": 100}}
    return recipe_of(**{**fields, "time": {"start": "2015-01-01", "end": "2030-12-31"}, **changes})


def run_search(path: Path, recipe: Recipe, *, crosswalks: Any = (), provider: Provider = PROVIDER) -> SearchResult:
    """What a search of a document comes back with."""
    return search(open_catalog(str(path)), recipe, provider=provider, crosswalks=crosswalks)
