"""Checks before the first task: output folder, relative paths of the recipe, plan, and locked inputs."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import landmark
from landmark.config.recipe import load_recipe
from landmark.core.errors import InputsChanged, LandmarkError, RecipeMismatch
from landmark.core.resources import resource_dir
from landmark.workflow.build import BuildRequest, build, plan_corpus
from landmark.workflow.context import BuildContext, load_context
from tests.parts import raises, text
from tests.stac.items import collected, items_of
from tests.workflow.conftest import few
from tests.workflow.test_build import files

Write = Callable[..., Path]
COLLECTIONS = ("sentinel-2-l2a", "sentinel-1-rtc", "esa-worldcover")
PROVIDER = resource_dir("profiles/providers") / "planetary-computer.yaml"


@pytest.fixture
def archive(world: Path, tmp_path: Path) -> Path:
    return linked(world, tmp_path / "world")


def linked(world: Path, copy: Path) -> Path:
    """Copy the world by hard links; `change` replaces a link by a changed file."""
    shutil.copytree(world, copy, copy_function=os.link)
    return copy


def change(path: Path) -> None:
    """Flip a byte; the size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(data)


def planned_file(out: Path, archive: Path, ending: str) -> Path:
    """A file of the archive that the lock records."""
    recorded = json.loads((out / "lock.json").read_text())["files"]
    return archive / next(entry["href"] for entry in recorded if entry["href"].endswith(ending))


def stamps(folder: Path) -> dict[Path, int]:
    """Modification time of each file."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


# -- The folder --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [build, plan_corpus])
@pytest.mark.parametrize("name", ["README.md", "staging/precious.txt", "shards/g0000/data.parquet", ".git/HEAD"])
def test_a_folder_with_other_files_is_refused_and_unchanged(
    name: str, act: Callable[[BuildRequest], object], recipe: Write, tmp_path: Path
) -> None:
    out = tmp_path / "folder"
    text(out / name, "precious")
    with raises(RecipeMismatch, file=str(out), exit_code=2):
        act(few(recipe(), out))
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == {Path(name)}
    assert (out / name).read_text() == "precious"


@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_plan_killed_before_the_lock_is_made_again(written: int, sealed: Path, recipe: Write, tmp_path: Path) -> None:
    out, order = tmp_path / "corpus", ("plan.parquet", "label_counts.parquet", "ledger.parquet", "lock.json")
    plan_corpus(few(recipe(), out))
    for name in order[written:]:
        (out / name).unlink()
    text(out / f".{order[written]}.4711.partial", "half")
    text(out / ".landmark.lock", "")
    build(few(recipe(), out))
    assert files(out) == files(sealed)


@pytest.mark.parametrize("act", [build, plan_corpus])
@pytest.mark.parametrize("content", [b"not json", b"{}", b"[]", b'{"recipe_digest": 3}', b'{"name": "x"}', b"\xff\xfe"])
@pytest.mark.parametrize("name", ["corpus.json", "lock.json"])
def test_an_invalid_document_is_refused_by_name(
    name: str, content: bytes, act: Callable[[BuildRequest], object], recipe: Write, tmp_path: Path
) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    (out / name).write_bytes(content)
    with raises(LandmarkError, name=name, exit_code=2):
        act(few(recipe(), out))
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_bytes() == content


@pytest.mark.parametrize("below", ["", "corpus"])
def test_a_file_in_place_of_the_folder_is_refused_and_unchanged(below: str, recipe: Write, tmp_path: Path) -> None:
    file = text(tmp_path / "file", "precious")
    with raises(LandmarkError, exit_code=2):
        build(few(recipe(), file / below))
    assert file.read_text() == "precious"


# -- Relative paths of the recipe --------------------------------------------------------------------------------------


def at(folder: Path, recipe: Path, **changes: Any) -> Path:
    """A recipe in another folder, changed by keyword."""
    value = yaml.safe_load(recipe.read_text()) | changes
    return text(folder / "tiny.yaml", yaml.safe_dump(value))


def test_a_catalogue_of_the_recipe_is_relative_to_the_recipe(
    sealed: Path, recipe: Write, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planet").symlink_to(world)
    moved = at(tmp_path / "recipes", recipe(), catalog="../planet")
    (tmp_path / "other" / "cwd").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other" / "cwd")
    build(few(moved, tmp_path / "corpus"))
    assert files(tmp_path / "corpus") == files(sealed)


def test_a_catalogue_option_is_relative_to_the_working_folder(
    sealed: Path, recipe: Write, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cwd" / "planet").parent.mkdir()
    (tmp_path / "cwd" / "planet").symlink_to(world)
    moved = at(tmp_path / "recipes", recipe(), catalog="nowhere")
    monkeypatch.chdir(tmp_path / "cwd")
    build(few(moved, tmp_path / "corpus", catalog="planet"))
    assert files(tmp_path / "corpus") == files(sealed)


def test_the_location_of_recipe_and_provider_changes_no_digest(
    recipe: Write, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora, digests = [], set()
    for folder in (tmp_path / "one", tmp_path / "further" / "down"):
        moved = at(folder, recipe(), provider="custom.yaml", catalog="planet")
        text(folder / "custom.yaml", PROVIDER.read_text())
        (folder / "planet").symlink_to(world)
        monkeypatch.chdir(folder.parent)
        digests.add(load_recipe(str(moved)).digest)
        build(few(moved, folder / "corpus"))
        corpora.append(folder / "corpus")
    assert len(digests) == 1
    assert files(corpora[0]) == files(corpora[1])
    for path in corpora[0].rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path


# -- The plan ----------------------------------------------------------------------------------------------------------


def test_every_cell_month_and_sensor_is_planned_or_in_the_ledger(recipe: Write, tmp_path: Path) -> None:
    months = {"start": "2021-06-01", "end": "2022-05-31", "period": "month"}
    planned, _ = plan_corpus(few(recipe(time=months), tmp_path / "corpus"))
    rows = planned.samples.to_pylist()
    planned_keys = {(row["cell"], row["period"], row["sensor"]) for row in rows}
    ledger = pq.read_table(tmp_path / "corpus" / "ledger.parquet").to_pylist()
    unplanned = [row for row in ledger if row["stage"] == "plan" and row["reason"] != "buffer"]
    cells = {row["cell"] for row in rows} | {row["id"] for row in unplanned}
    assert len(cells) == 3
    periods = {row["period"] for row in rows}
    for cell, period, sensor in product(cells, periods, ("s1", "s2")):
        reasons = [row for row in unplanned if row["id"] == cell and period in row["detail"]]
        recorded = any(row["reason"] in ("unlabelled", "no_labels") or sensor in row["detail"] for row in reasons)
        assert ((cell, period, sensor) in planned_keys) != recorded, (cell, period, sensor)


# -- The inputs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["Map.tif", "B04.tif", "SCL.tif", "vv.tif"])
def test_an_input_changed_after_the_plan_is_refused(ending: str, archive: Path, recipe: Write, tmp_path: Path) -> None:
    local, out = recipe(catalog=str(archive)), tmp_path / "corpus"
    plan_corpus(few(local, out))
    victim = planned_file(out, archive, ending)
    size = victim.stat().st_size
    change(victim)
    assert victim.stat().st_size == size
    with raises(InputsChanged, name=victim.name):
        build(few(local, out))
    assert not (out / "staging").exists()


def test_an_input_deleted_after_the_plan_is_refused(archive: Path, recipe: Write, tmp_path: Path) -> None:
    local, out = recipe(catalog=str(archive)), tmp_path / "corpus"
    plan_corpus(few(local, out))
    victim = planned_file(out, archive, "B11.tif")
    victim.unlink()
    with raises(InputsChanged, name=victim.name):
        build(few(local, out))


def test_a_resumed_build_refuses_a_changed_input(
    archive: Path, recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, out = recipe(catalog=str(archive)), tmp_path / "corpus"
    monkeypatch.setattr("landmark.workflow.build.seal", lambda *_, **__: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        build(few(local, out))
    monkeypatch.undo()
    victim = planned_file(out, archive, "vh.tif")
    change(victim)
    with raises(InputsChanged, name=victim.name):
        build(few(local, out))


def taxonomy(context: BuildContext) -> BuildContext:
    old = context.label_rules.taxonomy
    trees = old.classes["trees"].model_copy(update={"name": {"en": "Woods"}})
    new = old.model_copy(update={"classes": {**old.classes, "trees": trees}})
    return replace(context, label_rules=replace(context.label_rules, taxonomy=new))


def crosswalk(context: BuildContext) -> BuildContext:
    old = context.label_rules.crosswalks[0]
    code, entry = next((code, entry) for code, entry in old.classes.items() if entry.to == "trees")
    new = old.model_copy(update={"classes": {**old.classes, code: entry.model_copy(update={"to": "grass"})}})
    return replace(context, label_rules=replace(context.label_rules, crosswalks=(new,)))


def threshold(context: BuildContext) -> BuildContext:
    return replace(
        context, label_rules=replace(context.label_rules, thresholds={**context.label_rules.thresholds, "trees": 50.0})
    )


def grammar(context: BuildContext) -> BuildContext:
    english = context.grammar.languages["en"]
    sentences = tuple(entry.model_copy(update={"text": f"Lo! {entry.text}"}) for entry in english.styles["sentence"])
    changed = english.model_copy(update={"styles": {**english.styles, "sentence": sentences}})
    return replace(context, grammar=context.grammar.model_copy(update={"languages": {"en": changed}}))


def provider(context: BuildContext) -> BuildContext:
    old = context.provider
    sensors = {**old.sensors, "s2": old.sensors["s2"].model_copy(update={"offset": "none"})}
    return replace(context, provider=old.model_copy(update={"sensors": sensors}))


def sensor(context: BuildContext) -> BuildContext:
    cloudless = context.sensors["s2"].model_copy(update={"mask": None})
    return replace(context, sensors={**context.sensors, "s2": cloudless})


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("rule", [taxonomy, crosswalk, threshold, grammar, provider, sensor])
def test_a_label_rule_changed_after_the_plan_is_refused(
    rule: Callable[[BuildContext], BuildContext],
    locked: bool,
    recipe: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "corpus"
    plan_corpus(few(recipe(), out))
    monkeypatch.setattr(
        "landmark.workflow.build.load_context", lambda *arguments, **named: rule(load_context(*arguments, **named))
    )
    with pytest.raises(InputsChanged):
        build(few(recipe(), out, locked=locked))
    assert not (out / "staging").exists()


def test_a_provider_file_changed_after_the_plan_is_refused(recipe: Write, tmp_path: Path) -> None:
    profile, out = text(tmp_path / "custom.yaml", PROVIDER.read_text()), tmp_path / "corpus"
    local = recipe(provider=str(profile))
    plan_corpus(few(local, out))
    profile.write_text(profile.read_text().replace("offset: baseline", "offset: none"))
    with pytest.raises(InputsChanged):
        build(few(local, out))
    profile.write_text(PROVIDER.read_text())
    build(few(local, out))


def test_a_locked_plan_needs_a_lock(recipe: Write, tmp_path: Path) -> None:
    with raises(InputsChanged, file=str(tmp_path / "corpus")):
        plan_corpus(few(recipe(), tmp_path / "corpus", locked=True))
    assert not (tmp_path / "corpus").exists()


def test_a_locked_plan_checks_the_inputs_and_writes_nothing(archive: Path, recipe: Write, tmp_path: Path) -> None:
    local, out = recipe(catalog=str(archive)), tmp_path / "corpus"
    first, _ = plan_corpus(few(local, out))
    before = stamps(out)
    again, _ = plan_corpus(few(local, out, locked=True))
    assert again.lock.digest == first.lock.digest
    assert again.samples.equals(first.samples)
    victim = planned_file(out, archive, "B02.tif")
    change(victim)
    with raises(InputsChanged, name=victim.name):
        plan_corpus(few(local, out, locked=True))
    assert stamps(out) == before


@pytest.mark.parametrize("relative", [False, True])
def test_the_lock_of_a_local_item_collection_has_no_absolute_path(
    relative: bool, recipe: Write, world: Path, tmp_path: Path
) -> None:
    locks = []
    for root in (tmp_path / "one", tmp_path / "further" / "down"):
        planet = linked(world, root / "planet")
        items = [item for collection in COLLECTIONS for item in items_of(planet, collection)]
        for asset in (asset for item in items if relative for asset in item["assets"].values()):
            asset["href"] = os.path.relpath(asset["href"], root / "lists")
        document = collected(root / "lists", items)
        planned, _ = plan_corpus(few(recipe(), root / "corpus", catalog=str(document)))
        locks.append((planned.lock.digest, (root / "corpus" / "lock.json").read_text()))
    assert locks[0] == locks[1]
    lock = json.loads(locks[0][1])
    items = [item for acquisition in lock["acquisitions"] for item in acquisition["items"]]
    hrefs = [href for item in items for href in item["assets"].values()]
    hrefs += [entry["href"] for entry in lock["files"] + lock["labels"]]
    assert all(href.startswith("../planet/") for href in hrefs)
    assert all(entry["sha256"] for entry in lock["files"])
    assert str(tmp_path) not in locks[0][1]


def test_a_local_item_collection_gives_the_samples_of_the_catalogue(
    sealed: Path, recipe: Write, world: Path, tmp_path: Path
) -> None:
    items = [item for collection in COLLECTIONS for item in items_of(world, collection)]
    build(few(recipe(), tmp_path / "corpus", catalog=str(collected(tmp_path / "lists", items))))
    assert landmark.open(tmp_path / "corpus").table.equals(landmark.open(sealed).table)
