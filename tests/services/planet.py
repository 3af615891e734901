"""Publish the small world in the test services: items in the API, rasters in private containers, hrefs unsigned."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services.client import Services

# Account and container of each collection, as at the Planetary Computer.
PLACES = {
    "sentinel-2-l2a": ("sentinel2l2a01", "sentinel2-l2"),
    "sentinel-1-rtc": ("sentinel1euwestrtc", "sentinel1-grd-rtc"),
    "esa-worldcover": ("ai4edataeuwest", "esa-worldcover"),
}
Json = dict[str, Any]


def collections(world: Path) -> list[Json]:
    """Return the world's collections, without links."""
    return [json.loads((world / name / "collection.json").read_text()) | {"links": []} for name in PLACES]


def items(world: Path) -> Iterator[Json]:
    """Yield the world's items, without links, with hrefs in the blob store."""
    for name, (account, container) in PLACES.items():
        for path in sorted((world / name).glob("*/*.json")):
            item = json.loads(path.read_text()) | {"links": []}
            for asset in item["assets"].values():
                asset["href"] = f"http://{account}.blob.core.windows.net/{container}/{path.stem}/{asset['href'][2:]}"
            yield item


def publish_world(services: Services, world: Path, folder: Path) -> None:
    """Publish the world and upload its rasters."""
    for name, (account, container) in PLACES.items():
        files = {str(path.relative_to(world / name)): path.read_bytes() for path in (world / name).glob("*/*.tif")}
        services.upload(account, container, files)
    services.publish(folder, collections(world), items(world))
