"""What the tests share: the small world, recipes over it, the command line, and the real inputs beside the checkout."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from landmark import world as planet
from landmark.cli.main import app, main
from landmark.core.errors import LandmarkError
from tests.services.client import Services, missing, once, running
from tests.services.planet import publish_world

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
Refuse = Callable[..., LandmarkError]

REAL = Path(__file__).parents[2] / "shared" / "real"


def require(present: bool, reason: str) -> None:
    """Skip, or fail where LANDMARK_REQUIRE_ALL=1 says that nothing may be skipped."""
    if not present:
        (pytest.fail if os.environ.get("LANDMARK_REQUIRE_ALL") == "1" else pytest.skip)(reason)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder all test processes of a run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def world() -> Path:
    """The folder of a small world (tiles of 366 px, blocks of 128), made once per machine. Read-only by agreement."""
    return planet.cached(
        "small-world", partial(planet.make, edition="easy", tile_px=366, block_px=128), "a small world", "20 s"
    ).parent


@pytest.fixture(scope="session")
def scene() -> Path:
    """The folder of the benches' scene at a small size (720 px, blocks of 64), made once per machine."""
    make_scene = partial(planet.make_scene, tile_px=720, block_px=64)
    return planet.cached("small-scene", make_scene, "a small scene", "20 s").parent


@pytest.fixture(scope="session")
def services(shared: Path) -> Iterator[Services]:
    """A real STAC API and a real blob store, started once for all test processes."""
    require(not (lacking := missing()), f"needs {lacking}; say `make services` and run `make test` again")
    with running(shared) as started:
        yield started


@pytest.fixture(scope="session")
def archive(services: Services, world: Path, shared: Path) -> Services:
    """The services with the small world in them."""
    once(shared, "planet", lambda folder: publish_world(services, world, folder))
    return services


@pytest.fixture(scope="session")
def real() -> Path:
    """Real Sentinel, CORINE and STAC files."""
    require(REAL.is_dir(), f"needs the real inputs in {REAL}; put them there and run `make test` again")
    return REAL


@pytest.fixture
def recipe(tmp_path: Path, world: Path) -> Write:
    """Write a recipe over the small world, changed by keyword; None removes a key."""

    def write(**changes: Any) -> Path:
        value: dict[str, Any] = {
            "name": "tiny",
            "catalog": str(world),
            "region": {"bbox": [[11.5, 45.2, 12.5, 45.7], [20.8, -34.1, 21.2, -33.7]]},
            "time": {"start": "2021-06-01", "end": "2022-05-31"},
            "labels": [{"source": "worldcover"}],
            "splits": {"train": 60, "val": 20, "test": 20, "block_m": 1200, "buffer_m": 0},
            "output": {"shard_mb": 2},
        }
        value |= changes
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump({key: item for key, item in value.items() if item is not None}))
        return path

    return write


@pytest.fixture
def working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def landmark(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, working_folder: Path) -> Run:
    """Run the command line in an empty folder: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["landmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture
def refusal(capfd: pytest.CaptureFixture[str], working_folder: Path) -> Refuse:
    """Run the command line in an empty folder and return its error; nothing may be printed on stdout or written."""

    def run(*arguments: object) -> LandmarkError:
        before = set(working_folder.rglob("*"))
        with pytest.raises(LandmarkError) as caught:
            app([str(argument) for argument in arguments], standalone_mode=False)
        assert capfd.readouterr().out == ""
        assert set(working_folder.rglob("*")) - before <= {working_folder / "corpora"}
        return caught.value

    return run
