"""Images and cluster: nothing here can build them, so their files are held to the rules and against the package."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml
from dockerfile_parse import DockerfileParser

from landmark import __version__
from landmark.cli.main import app
from landmark.core.yaml_files import available
from tests.conftest import require

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# Tag, or tag and digest: never the moving `latest`, never nothing.
PINNED = re.compile(r"^[a-z0-9./-]+:(?!latest)v?\d[\w.-]*(@sha256:[0-9a-f]{64})?$")


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def steps(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        return [step for step in DockerfileParser(fileobj=file).structure if step["instruction"] != "COMMENT"]


def stages(path: Path) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    for step in steps(path):
        if step["instruction"] == "FROM":
            found.append([])
        found[-1].append(step)
    return found


def values(stage: list[dict[str, Any]], instruction: str) -> list[str]:
    return [step["value"] for step in stage if step["instruction"] == instruction]


def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    require(hadolint is not None, "needs hadolint, which comes with the extra `test` on Linux")
    done = subprocess.run([str(hadolint), "--no-color", dockerfile], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_bases_are_pinned_and_the_last_stage_is_its_own(dockerfile: Path) -> None:
    found = stages(dockerfile)
    assert len(found) > 1
    for stage in found:
        assert PINNED.match(stage[0]["value"].split(" AS ")[0]), stage[0]["value"]
    assert " AS " not in found[-1][0]["value"]


def test_the_image_runs_landmark_as_nobody_in_particular_without_build_tools(dockerfile: Path) -> None:
    last = stages(dockerfile)[-1]
    assert values(last, "USER") == ["10001"]
    assert values(last, "ENTRYPOINT") == ['["landmark"]']
    runs = " ".join(values(last, "RUN"))
    assert "--uid 10001" in runs
    assert not re.search(r"\b(pip|gcc|g\+\+|build-essential|git|curl|-dev)\b", runs)
    assert not values(last, "ADD")


def test_every_update_of_package_lists_removes_them_in_the_same_layer(dockerfile: Path) -> None:
    for step in steps(dockerfile):
        if "apt-get update" in step["value"]:
            assert "rm -rf /var/lib/apt/lists/*" in step["value"]
            assert "--no-install-recommends" in step["value"]


def test_what_is_copied_exists_and_is_sent_to_the_builder(dockerfile: Path) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for stage in stages(dockerfile):
        for value in values(stage, "COPY"):
            if not value.startswith("--from="):
                copied |= set(value.split()[:-1])
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_a_stage_copies_only_from_stages_before_it(dockerfile: Path) -> None:
    before: set[str] = set()
    for stage in stages(dockerfile):
        for value in values(stage, "COPY"):
            if match := re.match(r"--from=(\S+)", value):
                assert match[1] in before
        before |= set(stage[0]["value"].split(" AS ")[1:])


def test_the_wheel_holds_what_a_container_needs(tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    code = (
        "import landmark, sys; from landmark.base.files import known, room;"
        "assert landmark.__file__.startswith(sys.argv[1]), landmark.__file__;"
        "assert str(room('manifests')).startswith(sys.argv[1]);"
        "print(*known('manifests'), *known('taxonomies'), *known('profiles/downloads'));"
        "print((room('manifests') / 'europe.geojson').is_file(), (room('world') / 'stac.yaml').is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        env={"PYTHONPATH": str(target), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    names, there = done.stdout.strip().splitlines()
    assert names.split() == [*available("manifests"), *available("taxonomies"), *available("profiles/downloads")]
    assert there == "True True"


def test_images_are_pinned_and_built_ones_carry_the_version() -> None:
    for name, service in SERVICES.items():
        assert PINNED.match(service["image"]), name
        if "build" in service:
            assert service["image"] == f"landmark:{'.'.join(__version__.split('.')[:2])}"
            assert (ROOT / "docker" / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_ports_are_open_to_this_machine_only_and_services_wait_for_services_that_exist() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert set(service.get("depends_on", [])) <= SERVICES.keys()
        for volume in service.get("volumes", []):
            name = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert name in COMPOSE["volumes"]


def test_builder_and_workers_share_every_folder() -> None:
    assert SERVICES["builder"]["volumes"] == SERVICES["worker"]["volumes"]
    assert SERVICES["worker"]["deploy"]["replicas"] >= 1


def test_stand_ins_come_only_when_asked_for() -> None:
    foreign = {name for name, service in SERVICES.items() if "build" not in service}
    assert foreign == {name for name, service in SERVICES.items() if service.get("profiles") == ["services"]}


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_dask_knows_the_commands_and_their_options(name: str) -> None:
    words = [*SERVICES[name]["entrypoint"], *SERVICES[name]["command"]]
    assert words[0] in {script.name for script in entry_points(group="console_scripts")}
    commands = {entry.name: entry for entry in entry_points(group="dask_cli")}
    command: click.Command = commands[words[1]].load()
    assert command.make_context(words[1], list(words[2:]), resilient_parsing=True).params
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_landmark_knows_the_builders_command() -> None:
    command: Any = typer.main.get_command(app)
    name, recipe, *options = SERVICES["builder"]["command"]
    known_options = {option for parameter in command.commands[name].params for option in parameter.opts}
    assert re.sub(r"\$\{\w+:-(\w+)\}", r"\1", recipe) in available("manifests")
    assert {word for word in options if word.startswith("--")} <= known_options
    assert "tcp://scheduler:8786" in options
    assert SERVICES["scheduler"]["entrypoint"][3] == "8786"
