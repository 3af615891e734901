"""Names of packages and layers in all naming conventions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark.events.packages import parse_layer_name

NAMES = [
    ("EMSR190_33SELLANO_02GRADING_v1_15000_settlements_poly_grading", "gra", 0, (1, 1), "settlementspolygrading"),
    ("EMSR147_01CARLISLE_01DELINEATION_MONIT01_v2_50000_crisis_event_a", "del", 1, (1, 2), "crisiseventa"),
    ("EMSR122_01STRYMONAS_DELINEATION_OVERVIEW-MONIT02_v1_vector", "del", 2, (1, 1), ""),
    ("EMSR332_02PADOVA_DEL_MONIT01_v1_observed_event_a", "del", 1, (1, 1), "observedeventa"),
    ("EMSR507_AOI01_DEL_MONIT02_r1_RTP01_v2_vector", "del", 2, (1, 2), ""),
    ("EMSR468_AOI02_DEL_PRODUCT_observedEventA_r2_v1", "del", 0, (2, 1), "observedeventa"),
    ("emsr773_aoi01_del_monit03_areaOfInterestA_v1", "del", 3, (1, 1), "areaofinteresta"),
    ("EMSR884_AOI02_GRM_PRODUCT_builtUpP_v1", "gra", 1, (1, 1), "builtupp"),
    ("EMSR300_01LAKE_REFERENCE_MAP_v1_vector", "ref", 0, (1, 1), ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "number", "edition", "layer"), NAMES)
def test_real_names(text: str, kind: str, number: int, edition: tuple[int, int], layer: str) -> None:
    name = parse_layer_name(text)
    assert name is not None
    assert (name.kind, name.round, name.edition, name.layer) == (kind, number, edition, layer)
    assert name.code == text[:7].lower()


@pytest.mark.parametrize(
    "text", ["EMSR801", "observed_event_a", "EMSR332_02PADOVA_observed_event_a", "S2A_DEL_v1_x", ""]
)
def test_other_names_are_not_parsed(text: str) -> None:
    assert parse_layer_name(text) is None


@given(
    st.integers(100, 9999),
    st.integers(1, 99),
    st.sampled_from(["DEL", "GRA", "FEP"]),
    st.integers(0, 20),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["observedEventA", "areaOfInterestA", "builtUpP", "source"]),
)
def test_the_parts_of_a_name(
    code: int, area: int, kind: str, number: int, edition: tuple[int, int], layer: str
) -> None:
    product = f"MONIT{number:02}" if number else "PRODUCT"
    name = parse_layer_name(f"EMSR{code}_AOI{area:02}_{kind}_{product}_{layer}_r{edition[0]}_v{edition[1]}")
    assert name is not None
    assert (name.code, name.area, name.kind) == (f"emsr{code}", f"aoi{area:02}", kind.lower())
    assert (name.round, name.edition, name.layer) == (number, edition, layer.lower())
