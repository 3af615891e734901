"""Catalogues by URL on the command line: what they may not name is in no corpus, and stops what depends on it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from landmark.core.errors import InputError
from tests.cli.test_bad_items import LABELS, OPTICAL, RADAR
from tests.conftest import Refuse, Run, Write
from tests.raster.serving import Files, serving
from tests.stac.items import Json, items_of


@pytest.fixture
def files(world: Path) -> Iterator[Files]:
    """The world's rasters on a server."""
    with serving(world) as served:
        yield served


@pytest.fixture
def published(files: Files, world: Path) -> list[Json]:
    """The world's items, with the URLs of their rasters."""
    items = [item for name in (OPTICAL, RADAR, LABELS) for item in items_of(world, name)]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace(str(world), files.url)
    return items


def publish(folder: Path, items: list[Json]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return "items.json"


def test_a_corpus_of_a_remote_catalogue_holds_no_file_of_this_machine(
    published: list[Json], world: Path, landmark: Run, recipe: Write, tmp_path: Path
) -> None:
    hostile = next(item for item in published if item["collection"] == OPTICAL)
    local = next((world / OPTICAL).glob("*/B04.tif"))
    hostile["assets"]["B04"]["href"] = f"file://{local}"
    name, out = publish(tmp_path / "site", published), tmp_path / "corpus"
    source = recipe(catalog_errors={"max_pct": 100})
    with serving(tmp_path / "site") as site:
        code, _, err = landmark(
            "build", source, "--catalog", site.href(name), "--limit", 2, "--workers", 0, "--out", out
        )
    assert code == 0, err
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    assert (hostile["id"], "stac", "item_invalid") in [(row["id"], row["stage"], row["reason"]) for row in ledger]
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.suffix in (".json", ".parquet"))
    assert str(world).encode() not in written and f"{hostile['id']}/B04.tif".encode() not in written


def test_too_many_such_items_stop_the_plan(
    published: list[Json], refusal: Refuse, recipe: Write, tmp_path: Path
) -> None:
    for item in published:
        if item["collection"] == OPTICAL:
            item["assets"]["B04"]["href"] = "http://127.0.0.2/B04.tif"
    with serving(tmp_path / "site") as site:
        name = publish(tmp_path / "site", published)
        error = refusal("plan", recipe(), "--catalog", site.href(name), "--workers", 0)
    assert isinstance(error, InputError)
    assert [(part.key, part.value) for part in error.problems][1] == ("hosts", "127.0.0.2")


def test_private_addresses_need_the_option(refusal: Refuse, recipe: Write, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with serving(tmp_path / "site") as site:
        name = publish(tmp_path / "site", [])
        url = site.href(name).replace("127.0.0.1", "0x7f.1")
        error = refusal("plan", recipe(), "--catalog", url, "--workers", 0)
        assert (type(error), error.file, error.key, error.value) == (InputError, url, "hosts", "0x7f.1")
        assert type(refusal("plan", recipe(), "--catalog", url, "--allow-private", "--workers", 0)) is not InputError
