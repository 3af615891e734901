"""Dockerfiles and compose file: images are not built; the files are linted and compared with the package."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import dask
import pytest
import typer
import yaml
from dockerfile_parse import DockerfileParser

from landmark import __version__
from landmark.cli.main import app
from landmark.core.errors import SchedulerUnreachable
from landmark.core.executor import ExecutorConfig, open_executor
from landmark.core.resources import available
from tests.conftest import require
from tests.core.test_closed_cluster import intrusions
from tests.processes import PATIENCE_S, running, scheduler, worker_command

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile*"))
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

# A tag, or tag and digest; never `latest`.
PINNED = re.compile(r"^[a-z0-9./-]+:(?!latest)v?\d[\w.-]*(@sha256:[0-9a-f]{64})?$")


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.name)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def steps(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        return [step for step in DockerfileParser(fileobj=file).structure if step["instruction"] != "COMMENT"]


def stages(path: Path) -> list[list[dict[str, Any]]]:
    groups: list[list[dict[str, Any]]] = []
    for step in steps(path):
        if step["instruction"] == "FROM":
            groups.append([])
        groups[-1].append(step)
    return groups


def values(stage: list[dict[str, Any]], instruction: str) -> list[str]:
    return [step["value"] for step in stage if step["instruction"] == instruction]


def test_hadolint_has_no_finding(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    require(hadolint is not None, "needs hadolint, which the extra `test` installs on Linux")
    process = subprocess.run([str(hadolint), "--no-color", dockerfile], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


def test_base_images_are_pinned_and_the_last_stage_is_unnamed(dockerfile: Path) -> None:
    groups = stages(dockerfile)
    assert len(groups) > 1
    for stage in groups:
        assert PINNED.match(stage[0]["value"].split(" AS ")[0]), stage[0]["value"]
    assert " AS " not in groups[-1][0]["value"]


def test_the_image_runs_landmark_without_root_or_build_tools(dockerfile: Path) -> None:
    last = stages(dockerfile)[-1]
    assert values(last, "USER") == ["10001"]
    assert values(last, "ENTRYPOINT") == ['["landmark"]']
    runs = " ".join(values(last, "RUN"))
    assert "--uid 10001" in runs
    assert not re.search(r"\b(pip|gcc|g\+\+|build-essential|git|curl|-dev)\b", runs)
    assert not values(last, "ADD")


def test_package_lists_are_removed_in_the_same_layer(dockerfile: Path) -> None:
    for step in steps(dockerfile):
        if "apt-get update" in step["value"]:
            assert "rm -rf /var/lib/apt/lists/*" in step["value"]
            assert "--no-install-recommends" in step["value"]


def test_copied_files_exist_and_are_in_the_build_context(dockerfile: Path) -> None:
    included = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for stage in stages(dockerfile):
        for value in values(stage, "COPY"):
            if not value.startswith("--from="):
                copied |= set(value.split()[:-1])
    assert copied == included
    assert all((ROOT / name).exists() for name in copied)


def test_stages_copy_from_earlier_stages_only(dockerfile: Path) -> None:
    earlier: set[str] = set()
    for stage in stages(dockerfile):
        for value in values(stage, "COPY"):
            if match := re.match(r"--from=(\S+)", value):
                assert match[1] in earlier
        earlier |= set(stage[0]["value"].split(" AS ")[1:])


def test_the_wheel_contains_the_resources(tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(target)
    code = (
        "import landmark, sys; from landmark.core.resources import available, resource_dir;"
        "assert landmark.__file__.startswith(sys.argv[1]), landmark.__file__;"
        "assert str(resource_dir('manifests')).startswith(sys.argv[1]);"
        "print(*available('manifests'), *available('taxonomies'), *available('profiles/downloads'));"
        "files = [resource_dir('manifests') / 'europe.geojson', resource_dir('world') / 'stac.yaml'];"
        "print(*(file.is_file() for file in files))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        env={"PYTHONPATH": str(target), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    names, files_exist = process.stdout.strip().splitlines()
    assert names.split() == [*available("manifests"), *available("taxonomies"), *available("profiles/downloads")]
    assert files_exist == "True True"


def test_images_are_pinned_and_built_images_have_the_version_as_tag() -> None:
    for name, service in SERVICES.items():
        assert PINNED.match(service["image"]), name
        if "build" in service:
            assert service["image"] == f"landmark:{'.'.join(__version__.split('.')[:2])}"
            assert (ROOT / "docker" / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_ports_are_local_and_dependencies_and_volumes_exist() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert set(service.get("depends_on", [])) <= SERVICES.keys()
        for volume in service.get("volumes", []):
            name = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).split(":")[0]
            assert name in COMPOSE["volumes"]


def test_builder_and_workers_share_every_folder() -> None:
    assert SERVICES["builder"]["volumes"] == SERVICES["worker"]["volumes"]
    assert SERVICES["worker"]["deploy"]["replicas"] >= 1


def test_test_services_start_with_their_profile_only() -> None:
    foreign = {name for name, service in SERVICES.items() if "build" not in service}
    assert foreign == {name for name, service in SERVICES.items() if service.get("profiles") == ["services"]}


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_dask_has_the_commands_and_options(name: str) -> None:
    words = [*SERVICES[name]["entrypoint"], *SERVICES[name]["command"]]
    assert words[0] in {script.name for script in entry_points(group="console_scripts")}
    commands = {entry.name: entry for entry in entry_points(group="dask_cli")}
    command: click.Command = commands[words[1]].load()
    assert command.make_context(words[1], list(words[2:]), resilient_parsing=True).params
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_landmark_has_the_command_of_the_builder() -> None:
    command: Any = typer.main.get_command(app)
    name, recipe, *options = SERVICES["builder"]["command"]
    options_of_command = {option for parameter in command.commands[name].params for option in parameter.opts}
    assert re.sub(r"\$\{\w+:-(\w+)\}", r"\1", recipe) in available("manifests")
    assert {word for word in options if word.startswith("--")} <= options_of_command
    assert "tls://scheduler:8786" in options
    assert "8786" in SERVICES["scheduler"]["entrypoint"]


@pytest.mark.long
def test_the_cluster_of_the_compose_file_accepts_members_only(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    for _ in range(2):  # the second start keeps the certificates of the first
        subprocess.run([sys.executable, "-c", *SERVICES["certificates"]["command"], folder], check=True)
    variables = SERVICES["scheduler"]["environment"]
    environment = {name: value.replace("/certificates", str(folder)) for name, value in variables.items()}
    with (
        scheduler(tmp_path, "tls", **environment) as (address, _),
        running(worker_command(address), tmp_path, **environment),
    ):
        config = ExecutorConfig(scheduler=address, connect_timeout_s=PATIENCE_S)
        configuration = dask.config.merge(dask.config.global_config, dask.config.collect_env(environment))
        with dask.config.set(configuration), open_executor(config) as map_tasks:
            assert dict(map_tasks(abs, [-1])) == {-1: 1}
        assert intrusions([int(address.rsplit(":", 1)[1])]) == ""
        for foreign in (address, address.replace("tls", "tcp")):
            with pytest.raises(SchedulerUnreachable) as caught:
                open_executor(ExecutorConfig(scheduler=foreign, connect_timeout_s=5)).__enter__()
            assert caught.value.value == foreign
