"""Write a recipe and a provider for one's own images, by looking at them."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import yaml

from landmark.config.profiles import Provider, load_sensor
from landmark.config.recipe import load_recipe
from landmark.core.atomic import write_bytes
from landmark.core.errors import InputError
from landmark.core.hosts import HostRules
from landmark.core.temporary import temporary_folder
from landmark.core.yaml_files import load_model
from landmark.domain.acquisition import Acquisition
from landmark.domain.drops import DropRecord, Reason
from landmark.raster.access import AccessPolicy
from landmark.stac.asset_bands import shipped_providers
from landmark.stac.catalog import Catalog, Query, StaticCatalog
from landmark.stac.folder_items import read_folder, relocated_items
from landmark.stac.header_probe import HeaderProbe, grid_mismatch, probe_header
from landmark.stac.item import footprint, read_acquisition
from landmark.stac.open_catalog import open_catalog
from landmark.workflow.init_layout import describe_images
from landmark.workflow.init_provider import ProviderDraft, draft_provider, read_middle

# Headers that are read, of images at equal distances in their list.
_MAX_PROBES = 100
_OFFSET_DN = 1_000
_BASELINE = "s2:processing_baseline"


_RECIPE_HEAD = "# Written by `landmark init`; all keys: docs/reference/recipe.md\n"


@dataclass(frozen=True, slots=True)
class InitResult:
    """Files that were written, the recipe first, and what was left out or assumed."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Images:
    """Usable images of a sensor, with the grids of their files."""

    acquisitions: list[Acquisition]
    differs: bool


def init_recipe(source: str, out: Path, name: str | None = None) -> InitResult:
    """Write `<name>.yaml`, `<name>-provider.yaml`, and for files without a catalogue `<name>-items.json`.

    Args:
        source: Folder of COGs, or path or URL of a STAC document.
        out: Existing folder for the files.
        name: Of the recipe; by default that of the source.

    Raises:
        InputError: a file exists, or the source holds no usable images of a sensor.
    """
    name = name or _default_name(source)
    if not out.is_dir():
        raise InputError("no such folder", file=out, key="--out")
    names = [f"{name}.yaml", f"{name}-provider.yaml", f"{name}-items.json"]
    if existing := [out / file for file in names if (out / file).exists()]:
        raise InputError("exists already", file=existing[0], remedy="move it away, or give another --name")
    catalog, notes = _open(source, out.resolve(), names[2])
    items = _items_by_collection(catalog)
    draft = draft_provider(f"{name}-provider", f"Images of {name}", items, file=source, rules=catalog.rules)
    notes += draft.notes
    recipe = _compose(name, catalog, draft, notes)
    texts = {names[0]: _RECIPE_HEAD + _yaml(recipe), names[1]: _yaml(draft.document)}
    if catalog.href == str(out.resolve() / names[2]):
        texts[names[0]] = _RECIPE_HEAD + _yaml({**recipe, "catalog": names[2]})
        texts[names[2]] = json.dumps(catalog.content, indent=1, ensure_ascii=False) + "\n"
    _check(texts)
    for file, text in texts.items():
        write_bytes(out / file, text.encode())
    return InitResult(tuple(out / file for file in texts), tuple(notes))


def _default_name(source: str) -> str:
    path = Path(source.split("?")[0].rstrip("/")).expanduser()
    stem = path.parent.name if path.stem in ("catalog", "collection") else path.stem if path.suffix else path.name
    name = re.sub(r"[^a-z0-9]+", "-", (stem or path.resolve().name).lower()).strip("-")[:50]
    return name or "images"


def _open(source: str, out: Path, items_name: str) -> tuple[StaticCatalog, list[str]]:
    """The source as a catalogue; a folder without one becomes the ItemCollection that will be written to `out`."""
    folder = Path(source).expanduser()
    if (
        "://" in source
        or not folder.is_dir()
        or any((folder / f"{name}.json").is_file() for name in ("catalog", "collection"))
    ):
        hosts = tuple(host for provider in shipped_providers() for host in provider.host_rules.hosts)
        catalog = open_catalog(source, HostRules(hosts=hosts))
        if not isinstance(catalog, StaticCatalog):
            remedy = "copy a recipe of manifests/ and give it the API with `catalog`"
            raise InputError(
                "a STAC API, not a document: nothing says which part of it to take", file=source, remedy=remedy
            )
        return _with_collections(catalog, out, items_name), []
    items = read_folder(folder.resolve(), out)
    if not items.features:
        raise InputError("; ".join(items.notes[:5]) or "no GeoTIFF or JPEG 2000", file=source)
    content = {"type": "FeatureCollection", "features": items.features}
    return StaticCatalog(str(out / items_name), f"{out}/", items_name, content), items.notes


def _with_collections(catalog: StaticCatalog, out: Path, items_name: str) -> StaticCatalog:
    """The catalogue; a new document if items of it name no collection, which tells the sensor."""
    features = [catalog.content] if catalog.content["type"] == "Feature" else catalog.content.get("features", [])
    if catalog.remote or all(item.get("collection") for item in features):
        return catalog
    folder = Path(catalog.root)
    content = {"type": "FeatureCollection", "features": relocated_items([(folder, item) for item in features], out)}
    return StaticCatalog(str(out / items_name), f"{out}/", items_name, content)


def _items_by_collection(catalog: StaticCatalog) -> dict[str, list[pystac.Item]]:
    items: dict[str, list[pystac.Item]] = {}
    for item in catalog.items(Query(catalog.collection_ids())):
        if isinstance(item, pystac.Item):
            items.setdefault(str(item.collection_id), []).append(item)
    return items


def _compose(name: str, catalog: Catalog, draft: ProviderDraft, notes: list[str]) -> dict[str, Any]:
    """The recipe as YAML; completes the provider's document.

    Raises:
        InputError: no image is usable.
    """
    images = {sensor: _find_images(sensor, catalog, draft, notes) for sensor in draft.items}
    _complete_provider(draft, images)
    usable = {sensor: group.acquisitions for sensor, group in images.items() if group.acquisitions}
    if not usable:
        raise InputError("; ".join(notes) or "no usable image", file=catalog.href)
    # Sentinel-2 comes last: its pixels are never resampled.
    sizes_m = Counter(image.pixel_m for image in usable[max(usable)])
    resolution_m = max(sizes_m, key=lambda size_m: (sizes_m[size_m], -size_m))
    fitting = {name: [image for image in group if image.pixel_m == resolution_m] for name, group in usable.items()}
    chosen = {sensor: group for sensor, group in fitting.items() if group}
    skipped = sorted(usable.keys() - chosen.keys())
    notes += [f"{sensor} left out: its pixels are not of {resolution_m:g} m" for sensor in skipped]
    return {
        "name": name,
        "title": f"Images of {name}",
        "provider": f"{name}-provider.yaml",
        "catalog": catalog.href,
        **describe_images(chosen, resolution_m, file=catalog.href),
        "labels": [{"source": source} for source in sorted(draft.labels)],
    }


def _find_images(sensor: str, catalog: Catalog, draft: ProviderDraft, notes: list[str]) -> _Images:
    """Read the items of a sensor and the headers of their files."""
    provider = _load_provider(draft.document)
    results = [_read(item, sensor, catalog, provider) for item in draft.items[sensor]]
    unknown = [result for result in results if isinstance(result, InputError) and result.key == _BASELINE]
    if unknown and len(unknown) == sum(not isinstance(result, DropRecord) for result in results):
        draft.document["sensors"][sensor]["offset"] = "none"
        provider = _load_provider(draft.document)
        results = [_read(item, sensor, catalog, provider) for item in draft.items[sensor]]
        notes.append(
            f"the items have no `{_BASELINE}`: `offset: none` assumes that no pixel has ESA's offset of 1000; where one"
            " may have it, give the items their baseline and the provider `offset: baseline`"
        )
        notes += _dark_notes(sensor, results, catalog)
    notes += [_problem(result) for result in results if not isinstance(result, Acquisition)]
    acquisitions = [result for result in results if isinstance(result, Acquisition)]
    step = max(1, len(acquisitions) // _MAX_PROBES)
    access = AccessPolicy(provider.signing, provider.budget, catalog.rules)
    band = load_sensor(sensor).groups[0].bands[0]
    pairs = [(image, probe_header(HeaderProbe(image, band, catalog.root, access))) for image in acquisitions[::step]]
    notes += [_problem(probed) for _, probed in pairs if isinstance(probed, DropRecord)]
    measured = [(image, probed) for image, probed in pairs if isinstance(probed, Acquisition)]
    differs = any(image.pixel_m == 0 or grid_mismatch(image, probed) is not None for image, probed in measured)
    return _Images([probed for _, probed in measured], differs)


def _dark_notes(sensor: str, results: Sequence[Acquisition | DropRecord | InputError], catalog: Catalog) -> list[str]:
    """Images that probably have ESA's offset, by their darkest pixels."""
    images = [result for result in results if isinstance(result, Acquisition)]
    notes = []
    for image in images[:: max(1, len(images) // _MAX_PROBES)]:
        item = image.items[0]
        bands = [item.href(band, catalog.root) for band in load_sensor(sensor).dark_bands]
        values = [
            float(np.percentile(pixels, 1)) for href in bands if (pixels := read_middle(href, catalog.rules)[1]).size
        ]
        if values and min(values) >= _OFFSET_DN:
            notes.append(f"{item.id}: its darkest pixels are at {min(values):.0f}, so that it probably has the offset")
    return notes


def _problem(result: DropRecord | InputError) -> str:
    if isinstance(result, InputError):
        return f"left out: {result}"
    return f"{result.id} left out: {Reason[result.reason].text} ({result.detail})"


def _read(
    item: pystac.Item, sensor: str, catalog: Catalog, provider: Provider
) -> Acquisition | DropRecord | InputError:
    profile = load_sensor(sensor)
    imagery = provider.sensors[profile.name].model_copy(update={"header": "probe"})
    try:
        return read_acquisition(item, footprint(item), catalog, sensor=profile, imagery=imagery, mirror=provider.mirror)
    except InputError as error:
        return error


def _complete_provider(draft: ProviderDraft, images: dict[str, _Images]) -> None:
    """Have headers probed where the items' grids are not those of the files."""
    for sensor, group in images.items():
        own = draft.document.get("sensors", {}).get(sensor)
        if group.differs and own is None:
            draft.document.setdefault("sensors", {})[sensor] = {"header": "probe"}
        elif not group.differs and own is not None:
            own["header"] = "trust"


def _load_provider(document: dict[str, Any]) -> Provider:
    with temporary_folder() as folder:
        path = folder / "provider.yaml"
        path.write_text(_yaml(document), encoding="utf-8")
        return load_model(Provider, "profiles/providers", str(path))


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


def _check(texts: dict[str, str]) -> None:
    """Load the recipe, so that none is written that cannot be read."""
    with temporary_folder() as folder:
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        load_recipe(str(folder / next(iter(texts))))
