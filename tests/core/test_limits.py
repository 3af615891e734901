"""Files, responses and geometries beyond the limits are refused by name, and large ones are read in bounded time."""

import gzip
import http.server
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
import shapely

from landmark.core import bounded_response, limits
from landmark.core.archives import ZipBudget
from landmark.core.errors import InputError
from landmark.core.http import open_session
from landmark.core.json_text import parse_bounded
from landmark.core.outlines import enlarge, make_valid
from landmark.core.patterns import compile_pattern
from landmark.core.yaml_files import StrictModel, load_extended, parse_model, read_yaml
from landmark.core.yaml_text import parse_yaml
from tests.parts import raises, text

MANY = 10_000


@pytest.mark.parametrize(
    "content",
    [
        "a: " + "[" * 300 + "]" * 300,
        "\n".join(" " * depth + "a:" for depth in range(300)),
        "a: &a [*a]",
        "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]),
        "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{y: *a{n - 1}}}" for n in range(1, 150))]),
    ],
    ids=["flow", "blocks", "endless", "aliases", "deep-aliases"],
)
def test_yaml_beyond_the_limits_is_refused(tmp_path: Path, content: str) -> None:
    path = text(tmp_path / "own.yaml", content)
    with raises(InputError, file=str(path)):
        read_yaml(path)


def test_a_file_larger_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    with path.open("wb") as file:
        file.truncate(limits.YAML_BYTES + 1)
    with raises(InputError, file=str(path)):
        read_yaml(path)


def test_aliases_and_moderate_depth_are_read() -> None:
    assert parse_yaml("{a: &a {x: [1]}, b: [*a, *a]}", "own.yaml")["b"] == [{"x": [1]}] * 2
    assert parse_bounded("[" * 100 + "]" * 100)


class _Names(StrictModel):
    names: tuple[int, ...]
    pairs: tuple[dict[str, int], ...]


def test_many_mistakes_are_listed_quickly() -> None:
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        parse_model(_Names, {"names": ["a"] * MANY, "pairs": [{"a": "b"} for _ in range(MANY)]}, "own.yaml")
    assert time.process_time() - start < 10
    assert len(caught.value.problems) == limits.PRINTED_PROBLEMS + 1
    assert (caught.value.key, caught.value.value) == ("names.0", "a")


def test_an_endless_chain_of_extended_files_is_refused(tmp_path: Path) -> None:
    for number in range(300):
        text(tmp_path / f"{number}.yaml", f"extends: {number + 1}.yaml")
    with raises(InputError, key="extends"):
        load_extended("manifests", tmp_path / "0.yaml")


@pytest.mark.parametrize("content", ["[" * 101 + "]" * 101, '{"a":' * 200_000, '{"a":' * 101 + "1" + "}" * 101])
def test_json_that_is_nested_too_deeply_is_malformed(content: str) -> None:
    with pytest.raises(ValueError):
        parse_bounded(content)


def _bomb(path: Path, kind: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        if kind == "members":
            for number in range(limits.ZIP_MEMBERS + 1):
                archive.writestr(f"{number}.shp", b"")
        elif kind == "ratio":
            archive.writestr("a.shp", bytes(20_000_000))
        elif kind == "link":
            member = zipfile.ZipInfo("a.shp")
            member.external_attr = 0o120777 << 16
            archive.writestr(member, "/etc/passwd")
        else:
            archive.writestr("a.shp", b"a")
            archive.writestr("b.shp", b"b")
            if kind == "overlap":
                archive.filelist[1].header_offset = 0
            else:
                archive.filelist[0].file_size = limits.ZIP_BYTES + 1
    return path


@pytest.mark.parametrize("kind", ["members", "ratio", "link", "overlap", "bytes"])
def test_a_zip_beyond_the_limits_is_refused_before_unpacking(tmp_path: Path, kind: str) -> None:
    path = _bomb(tmp_path / "a.zip", kind)
    with zipfile.ZipFile(path) as archive, raises(InputError, file="a.zip"):
        ZipBudget(path.stat().st_size).admit(archive, archive.infolist(), "a.zip", tmp_path)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = gzip.compress(bytes(3_000_000)) if self.path == "/bomb" else b"[" * 5000 + b"]" * 5000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/bomb":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        threading.Thread(target=running.serve_forever).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_response_that_decompresses_to_too_much_or_is_too_deep_is_refused(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_response, "JSON_BYTES", 1_000_000)
    with open_session() as session:
        with pytest.raises(bounded_response.TooLarge):
            session.get(f"{server}/bomb")
        with pytest.raises(requests.JSONDecodeError):
            session.get(f"{server}/deep").json()


def _star(vertices: int) -> shapely.Polygon:
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = 1 + 0.01 * np.sin(angle * vertices / 8)
    return shapely.Polygon(np.column_stack([10 + radius * np.cos(angle), 45 + radius * np.sin(angle)]))


def _islands(count: int) -> shapely.MultiPolygon:
    centres = np.random.default_rng(0).uniform((10, 45), (12, 46), (count, 2))
    return shapely.union_all(shapely.buffer(shapely.points(centres), 0.0005, quad_segs=1))


@pytest.mark.parametrize("area", [_star(10_000), _islands(500)], ids=["star", "islands"])
def test_an_enlarged_area_of_many_vertices_contains_the_exact_area(area: shapely.Geometry) -> None:
    start = time.process_time()
    enlarged = enlarge(area, 0.1)
    assert time.process_time() - start < 20
    vertices = shapely.get_coordinates(area)[::97]
    shapely.prepare(enlarged)
    for x, y in ((0, 0), (0.09, 0), (-0.09, 0), (0, 0.09), (0, -0.09)):
        assert shapely.contains_xy(enlarged, *(vertices + np.array([x, y])).T).all()
    assert enlarged.area < 1.3 * shapely.box(*area.bounds).buffer(0.1).area
    assert shapely.get_num_coordinates(enlarged) < 10_000


def test_a_few_vertices_are_enlarged_exactly() -> None:
    box = shapely.box(0, 0, 1, 1)
    assert enlarge(box, 0.1).equals_exact(box.buffer(0.1), 0)


def test_an_invalid_polygon_of_many_vertices_is_mended_in_seconds() -> None:
    zigzag = shapely.Polygon([(step / MANY, step % 2) for step in range(MANY)])
    start = time.process_time()
    mended = make_valid(np.array([zigzag, shapely.Point(0, 0), None], dtype=object))
    assert time.process_time() - start < 30
    assert shapely.is_valid(mended[:2]).all() and mended[0].area == pytest.approx(1 / 3, rel=0.01) and mended[2] is None


@pytest.mark.parametrize("pattern", ["(a+)+$", "((a*b?)*c)*", "(.*)*", "a" * 1001, "(", "(?P<a>"])
def test_a_pattern_that_may_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        compile_pattern(pattern)
    assert caught.type.__name__ == "PydanticCustomError"


@pytest.mark.parametrize("pattern", [r"(?P<year>\d{4})", "(a|b)+", r"(\d{1,3}_){2,5}", r"(?:\w*_)?x+"])
def test_patterns_of_a_single_repetition_are_compiled(pattern: str) -> None:
    assert compile_pattern(pattern).pattern == pattern


def test_a_document_of_real_size_is_read(tmp_path: Path) -> None:
    document = {"type": "FeatureCollection", "features": [{"geometry": {"coordinates": [[[0.5, 1.5]] * 1000]}}] * 100}
    assert parse_bounded(json.dumps(document)) == document
