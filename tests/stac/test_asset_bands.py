"""Bands are recognised by codes and by the providers' names, and by nothing that is nearly one."""

import pytest

from landmark.stac.asset_bands import find_assets, find_band, without_band


@pytest.mark.parametrize(
    ("text", "band", "rest"),
    [
        ("T32TQR_20210701T101559_B04_10m", "B04", "T32TQR_20210701T101559"),
        ("B8A", "B8A", ""),
        ("b4", "B04", ""),
        ("B02_20210701", "B02", "20210701"),
        ("20210701_rededge1", "B05", "20210701"),
        ("scene.red", "B04", "scene"),
        ("S1A_IW_20210702T052741_vv", "vv", "S1A_IW_20210702T052741"),
        ("S2_SCL_20m", "SCL", "S2"),
    ],
)
def test_a_name_gives_the_band(text: str, band: str, rest: str) -> None:
    recognised = find_band(text)
    assert recognised is not None and (recognised.band, without_band(text)) == (band, rest)


@pytest.mark.parametrize("text", ["", "red_edge_1", "red edge", "B04_B03_B02", "B8A_nir", "red-jp2", "TCI", "b44"])
def test_a_name_that_is_nearly_a_band_gives_none(text: str) -> None:
    assert find_band(text) is None


def test_previews_do_not_take_the_place_of_bands() -> None:
    words = {"overview": ["red", "green", "blue"], "b": ["red"], "a": [], "B03": [], "preview": ["green"]}
    assert find_assets(words) == {"s2": {"B02": "overview", "B03": "B03", "B04": "b"}}
