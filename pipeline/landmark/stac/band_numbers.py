"""Numbers of bands in files of several bands, by the provider's profile or the item's own list."""

from collections.abc import Mapping

import pystac

from landmark.config.profiles import SensorCollection
from landmark.core.errors import InputError
from landmark.domain.taxonomy import first_duplicate


def band_numbers(
    item: pystac.Item, keys: Mapping[str, str], hrefs: Mapping[str, str], imagery: SensorCollection
) -> dict[str, int]:
    """Number of each band, from 1, in its file; bands without one are those of files with a single band.

    Args:
        item: The STAC item.
        keys: Band → asset key.
        hrefs: Band → href of the asset.
        imagery: The provider's profile; its `bands` take precedence over the item's `bands` and `eo:bands`.

    Raises:
        InputError: several bands have one file, and neither profile nor item says which band of the file each is.
    """
    candidates = {
        band: imagery.band_number(key, band) or _listed_number(item.assets[key], band) for band, key in keys.items()
    }
    numbers = {band: number for band, number in candidates.items() if number is not None}
    for href in set(hrefs.values()):
        bands = [band for band, band_href in hrefs.items() if band_href == href]
        if len(bands) > 1 and (
            not numbers.keys() >= set(bands) or first_duplicate(str(numbers[band]) for band in bands) is not None
        ):
            key = keys[bands[0]]
            raise InputError(
                f"the file of {', '.join(bands)}, but nothing says which of its bands each is",
                file=f"item {item.id}",
                key=f"assets.{key}",
                value=href,
                remedy=f"list the file's bands in the provider's profile: `bands: {{{key}: [{', '.join(bands)}]}}`",
            )
    return numbers


def _listed_number(asset: pystac.Asset, band: str) -> int | None:
    """Number of a band in the asset's own list of several bands; None unless exactly one has its name."""
    listed = asset.extra_fields.get("bands") or asset.extra_fields.get("eo:bands")
    entries = listed if isinstance(listed, list) and len(listed) > 1 else []
    names = [str(entry.get("name", "")).casefold() if isinstance(entry, dict) else "" for entry in entries]
    return names.index(band.casefold()) + 1 if names.count(band.casefold()) == 1 else None
