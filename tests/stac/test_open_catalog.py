"""Paths of catalogues."""

from pathlib import Path

from landmark.stac.catalog import Query
from landmark.stac.open_catalog import open_catalog


def test_hrefs_of_a_linked_catalogue_start_at_the_link(tmp_path: Path, real: Path) -> None:
    """Its relative links start at its own folder, not at the content store that holds the document."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store/deadbeef").write_bytes((real / "catalog/catalog.json").read_bytes())
    (tmp_path / "catalog.json").symlink_to("store/deadbeef")
    for folder in (real / "catalog").glob("*/"):
        (tmp_path / folder.name).symlink_to(folder.absolute())
    catalog = open_catalog(str(tmp_path))
    assert (catalog.href, catalog.root) == (str(tmp_path / "catalog.json"), f"{tmp_path}/")
    (asset, *_) = next(catalog.items(Query(frozenset({"io-lulc-annual-v02"})))).assets.values()
    assert catalog.relative_href(asset.href).startswith("io-lulc-annual-v02/")
