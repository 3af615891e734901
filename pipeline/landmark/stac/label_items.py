"""Label maps that a provider publishes as STAC items."""

import datetime as dt

import pystac

from landmark.config.profiles import Mirror, Provider
from landmark.core.errors import InputError
from landmark.domain.acquisition import LabelRaster
from landmark.domain.taxonomy import Crosswalk, LabelEdition
from landmark.stac.catalog import Catalog
from landmark.stac.item import footprint, href_of, interval, item_digest


def label_collection(provider: Provider, crosswalk: Crosswalk) -> str:
    """Collection of a provider that holds a label source.

    Raises:
        InputError: the provider does not publish the source.
    """
    if crosswalk.name not in provider.labels:
        published = ", ".join(provider.labels) or "none"
        raise InputError(
            f"provider {provider.name} does not publish this source; it publishes {published}",
            key="labels",
            value=crosswalk.name,
            remedy=f"give its files with `files` or --labels {crosswalk.name}=PATH; see `landmark labels --help`",
        )
    return provider.labels[crosswalk.name]


def label_raster(
    item: pystac.Item, catalog: Catalog, crosswalk: Crosswalk, mirror: Mirror | None = None
) -> LabelRaster:
    """The class raster of a STAC item.

    Raises:
        InputError: the item lacks the asset, its geometry or its time, or its href is not allowed.
    """
    if crosswalk.asset is None:
        problem = "is missing, so that STAC items of this source cannot be read"
        raise InputError(problem, file=f"taxonomies/{crosswalk.name}.yaml", key="asset")
    if crosswalk.asset not in item.assets:
        problem = f"no such asset, in which {crosswalk.name} has its classes"
        raise InputError(problem, file=f"item {item.id}", key="assets", value=crosswalk.asset)
    start, end = interval(item)
    if crosswalk.exclusive_end and end > start:
        end -= dt.timedelta(microseconds=1)
    version = str(item.properties.get(crosswalk.version_property or "", "")) or crosswalk.files.version
    href = href_of(item, crosswalk.asset, mirror, catalog.rules)
    return LabelRaster(
        edition=LabelEdition(crosswalk.name, version, start, end),
        item_id=item.id,
        href=href,
        recorded_href=catalog.relative_href(href),
        digest=item_digest(item, crosswalk.asset, catalog),
        footprint=footprint(item),
    )
