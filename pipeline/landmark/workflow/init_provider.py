"""Describe the collections of a catalogue as a provider: shipped ones by name, one's own by their bands and pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pystac
from numpy.typing import NDArray

from landmark.config.profiles import Provider, load_sensor
from landmark.core.errors import InputError
from landmark.core.hosts import HostRules
from landmark.core.ranges.errors import Unreadable
from landmark.raster.access import AccessPolicy
from landmark.raster.reader import Header, open_raster
from landmark.stac.asset_bands import find_assets, shipped_providers
from landmark.stac.folder_items import label_source
from landmark.stac.item import href_of, named_href

_LOOK_PX = 256
_MIRROR = {"pattern": r"\w+://.*/", "to": "./"}


@dataclass
class ProviderDraft:
    """A provider as YAML, and what it was drawn from.

    Attributes:
        document: Content of the provider's file.
        items: Sensor → its items.
        labels: Label sources with items.
        notes: What was left out or assumed.
    """

    document: dict[str, Any]
    rules: HostRules
    items: dict[str, list[pystac.Item]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draft_provider(
    name: str, title: str, items: Mapping[str, Sequence[pystac.Item]], *, file: str, rules: HostRules
) -> ProviderDraft:
    """Describe the collections (id → items) of a catalogue; `file` is named in errors, `rules` are the catalogue's.

    Raises:
        InputError: no collection has all bands of a sensor.
    """
    draft = ProviderDraft({"name": name, "title": title}, rules)
    for collection in sorted(items, key=lambda collection: (-len(items[collection]), collection)):
        _add_collection(draft, collection, list(items[collection]))
    if not draft.items:
        raise InputError("; ".join(draft.notes) or "no items", file=file, key="assets", remedy=_bands_remedy())
    first = next(iter(draft.items.values()))[0]
    if _is_mirrored(first):
        draft.document["mirror"] = _MIRROR
    order = ("extends", "name", "title", "mirror", "sensors", "labels")
    draft.document = {key: draft.document[key] for key in order if key in draft.document}
    return draft


def _bands_remedy() -> str:
    bands = "; ".join(f"{name}: {', '.join(load_sensor(name).order)}" for name in ("s1", "s2"))
    return f"name assets or files by their bands ({bands})"


def _add_collection(draft: ProviderDraft, collection: str, items: list[pystac.Item]) -> None:
    keys = items[0].assets.keys()
    if (source := label_source(collection, keys)) is not None:
        draft.document.setdefault("labels", {})[source] = collection
        draft.labels.append(source)
        return
    bands_by_sensor = find_assets({key: _words(asset) for key, asset in items[0].assets.items()})
    sensors = [name for name, bands in bands_by_sensor.items() if set(load_sensor(name).order) <= bands.keys()]
    if not sensors:
        lacking = [f"{name} without {', '.join(_lacking(name, bands))}" for name, bands in bands_by_sensor.items()]
        problem = "; ".join(lacking) or f"assets {', '.join(keys)} are no bands of a sensor"
        draft.notes.append(f"collection {collection} left out: {problem}")
        return
    sensor = sensors[0]
    if sensor in draft.items:
        draft.notes.append(f"collection {collection} left out: the provider has another one of {sensor}")
        return
    draft.items[sensor] = items
    shipped = _shipped(sensor, collection, keys)
    if shipped is not None and draft.document.get("extends", shipped.name) == shipped.name:
        draft.document["extends"] = shipped.name
    else:
        draft.document.setdefault("sensors", {})[sensor] = _own_collection(
            sensor, collection, bands_by_sensor[sensor], items, draft.rules
        )


def _lacking(sensor: str, bands: Mapping[str, str]) -> list[str]:
    return [band for band in load_sensor(sensor).order if band not in bands]


def _words(asset: pystac.Asset) -> list[str]:
    """Texts of an asset that may name its bands."""
    listed = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands") or []
    names = [str(band.get(key, "")) for band in listed for key in ("name", "eo:common_name", "common_name")]
    single = [asset.title or "", Path(urlsplit(asset.href).path).stem] if len(listed) <= 1 else []
    return [*names, *single]


def _shipped(sensor: str, collection: str, keys: Any) -> Provider | None:
    """The shipped provider that has the collection under this name, with assets of the same keys."""
    for provider in shipped_providers():
        profile = provider.sensors.get(sensor)  # type: ignore[call-overload]
        if profile is not None and provider.mirror is None and profile.collection == collection:
            order = load_sensor(sensor).order
            if all(any(key in keys for key in profile.assets[band]) for band in order):
                return provider
    return None


def _own_collection(
    sensor: str, collection: str, assets: Mapping[str, str], items: Sequence[pystac.Item], rules: HostRules
) -> dict[str, Any]:
    profile = load_sensor(sensor)
    template = next(
        provider.sensors[profile.name] for provider in shipped_providers() if profile.name in provider.sensors
    )
    mask = {profile.mask.band: assets.get(profile.mask.band, profile.mask.band)} if profile.mask else {}
    return {
        "collection": collection,
        "product": template.product,
        "assets": {**{band: assets[band] for band in profile.order}, **mask},
        **_encoding(sensor, assets[profile.order[0]], items, rules),
        "header": "probe",
        "licence": template.licence,
        "attribution": f"Contains modified Copernicus Sentinel-{sensor[1:]} data",
    }


def _encoding(sensor: str, asset: str, items: Sequence[pystac.Item], rules: HostRules) -> dict[str, Any]:
    """How the pixels are stored, by type and values of the first file.

    Raises:
        InputError: unreadable, or of a type that no sensor has.
    """
    href = local_href(items[0], asset, rules)
    header, pixels = read_middle(href, rules)
    if sensor == "s2" and header.dtype == "uint16":
        return {"stored": "reflectance_dn", "offset": "baseline"}
    if sensor == "s1" and header.dtype.startswith("float"):
        values = pixels[np.isfinite(pixels)]
        return {"stored": "gamma0_db" if (values < 0).any() else "gamma0_power"}
    stored = {"s2": "uint16 (reflectance x 10000)", "s1": "float32 (gamma0 as power or dB)"}[sensor]
    raise InputError(
        f"the pixels are {header.dtype}, not {stored}",
        file=href,
        remedy="convert them, or write the provider by hand (docs/archives.md)",
    )


def read_middle(href: str, rules: HostRules) -> tuple[Header, NDArray[Any]]:
    """Header of a file, and the valid pixels of a window in its middle.

    Raises:
        InputError: unreadable.
    """
    try:
        with open_raster(href, AccessPolicy(rules=rules)) as raster:
            height, width = (min(edge, _LOOK_PX) for edge in raster.header.shape)
            row, col = (raster.header.shape[0] - height) // 2, (raster.header.shape[1] - width) // 2
            return raster.header, raster.read_window(row, col, height, width).compressed()
    except Unreadable as error:
        raise InputError(f"cannot be read: {error}", file=href) from error


def local_href(item: pystac.Item, asset: str, rules: HostRules) -> str:
    """Href of an asset, or the file of its name beside the item.

    Raises:
        InputError: the rules do not allow the href.
    """
    return str(_local_path(item, asset)) if _is_mirrored(item) else href_of(item, asset, rules=rules)


def _is_mirrored(item: pystac.Item) -> bool:
    """Whether hrefs are URLs, while the files are beside the item."""
    return any("://" in named_href(item, asset) and _local_path(item, asset).is_file() for asset in item.assets)


def _local_path(item: pystac.Item, asset: str) -> Path:
    name = Path(urlsplit(named_href(item, asset)).path).name
    return Path((item.get_self_href() or "").removeprefix("file://")).parent / name
