"""A file that extends another changes single keys of it, at every level."""

from pathlib import Path

import pytest

from landmark.config.profiles import Provider
from landmark.core.errors import InputError
from landmark.core.yaml_files import load_model
from tests.parts import raises

BASE = load_model(Provider, "profiles/providers", "planetary-computer")


def provider(folder: Path, text: str) -> Provider:
    path = folder / "mine.yaml"
    path.write_text(f"extends: planetary-computer\n{text}\n")
    return load_model(Provider, "profiles/providers", str(path))


def test_a_changed_asset_leaves_all_other_keys(tmp_path: Path) -> None:
    changed_provider = provider(tmp_path, "name: mine\nsensors: {s2: {assets: {SCL: scene_class}}}")
    s2 = BASE.sensors["s2"]
    changed = s2.model_copy(update={"assets": {**s2.assets, "SCL": ("scene_class",)}})
    assert changed_provider == BASE.model_copy(update={"name": "mine", "sensors": {**BASE.sensors, "s2": changed}})


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("budget: {in_flight: 4}", "budget", BASE.budget.model_copy(update={"in_flight": 4})),
        ("labels: {io-lulc: null}", "labels", {"worldcover": "esa-worldcover"}),
        ("labels: null", "labels", {}),
        ("sensors: {s1: null}", "sensors", {"s2": BASE.sensors["s2"]}),
    ],
)
def test_null_removes_a_key_and_other_keys_stay(tmp_path: Path, text: str, field: str, value: object) -> None:
    assert provider(tmp_path, text) == BASE.model_copy(update={field: value})


def test_lists_are_replaced_over_several_files(tmp_path: Path) -> None:
    (tmp_path / "middle.yaml").write_text(
        "extends: planetary-computer\nsensors: {s2: {nodata: 7, assets: {B01: [a, b]}}}\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text("extends: middle.yaml\nsensors: {s2: {assets: {B01: [c]}}}\n")
    s2 = load_model(Provider, "profiles/providers", str(path)).sensors["s2"]
    assert (s2.assets["B01"], s2.nodata, s2.offset) == (("c",), 7, "baseline")


def test_the_right_key_is_named_inside_a_mapping(tmp_path: Path) -> None:
    with raises(InputError, name="mine.yaml", key="sensors.s2.asets", remedy="did you mean `assets`?"):
        provider(tmp_path, "name: mine\nsensors: {s2: {asets: {SCL: scl}}}")
