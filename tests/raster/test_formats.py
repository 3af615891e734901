"""Rasters are read by an explicit list of drivers, and never from a file that refers to others, whatever its name."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from landmark.core.hosts import HostRules
from landmark.core.ranges.errors import Unreadable
from landmark.raster.access import AccessPolicy
from landmark.raster.features import layer_names, read_features
from landmark.raster.reader import open_raster
from landmark.raster.vector import UnreadableVector, list_layers
from tests.parts import text
from tests.raster.rasters import noise, write_raster
from tests.raster.serving import serving
from tests.services.served import Answer, served

PIXELS = noise((128, 128), "uint16", 7)
REMOTE = HostRules(trusted=False, hosts=("127.0.0.1",), private=True)


def vrt(source: str) -> str:
    return f"""<VRTDataset rasterXSize="128" rasterYSize="128"><SRS>EPSG:32632</SRS>
<GeoTransform>600000, 10, 0, 5040000, 0, -10</GeoTransform><VRTRasterBand dataType="UInt16" band="1">
<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>
</VRTRasterBand></VRTDataset>"""


def referring(path: Path) -> dict[str, str]:
    """Files that refer to a raster or to a server, by format."""
    index = "<GDALTileIndexDataset><IndexDataset>{}</IndexDataset></GDALTileIndexDataset>"
    step = f"gdal raster reproject --input {path} --output-format stream streamed_dataset"
    wms = "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.2/</ServerUrl></Service></GDAL_WMS>"
    return {
        "vrt": vrt(str(path)),
        "vrt after a comment": f"<!-- {'x' * 200} -->\n" + vrt(str(path)),
        "gdalg": json.dumps({"type": "gdal_streamed_alg", "command_line": step}),
        "wms": wms,
        "tile index": index.format(path),
        "connection": f"GTIFF_DIR:1:{path}",
        "derived": f"DERIVED_SUBDATASET:LOGAMPLITUDE:{path}",
    }


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "source.tif", PIXELS)


def read(href: str, rules: HostRules) -> object:
    with open_raster(href, AccessPolicy(rules=rules)) as opened:
        return next(iter(opened.chips([(0, 0)], 64)))


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("name", ["a.tif", "a.vrt"])
def test_files_of_references_are_refused_by_content(raster: Path, tmp_path: Path, name: str, remote: bool) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder) as files:
        for content in referring(raster).values():
            (folder / name).write_text(content)
            with pytest.raises(Unreadable):
                read(files.href(name) if remote else str(folder / name), REMOTE if remote else HostRules())


@pytest.mark.parametrize(
    "href", ["GTIFF_DIR:1:{}", "/vsisubfile/0_999999,{}", "zip+file://{}!a", "DERIVED_SUBDATASET:LOGAMPLITUDE:{}"]
)
def test_names_that_only_gdal_knows_are_refused(raster: Path, href: str) -> None:
    with pytest.raises(Unreadable):
        read(href.format(raster), HostRules())


@pytest.mark.parametrize("href", ["{}", "file://{}"])
def test_files_on_this_machine_are_read_for_trusted_documents_only(raster: Path, href: str) -> None:
    assert np.array_equal(read(href.format(raster), HostRules()), PIXELS[:64, :64])
    with pytest.raises(Unreadable):
        read(href.format(raster), REMOTE)


OGR = """<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"""


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.fgb", "a.geojson", "a.json", "a.zip"])
def test_vector_files_are_of_the_format_of_their_suffix(tmp_path: Path, name: str) -> None:
    point = {"type": "Feature", "properties": {"CODE_18": "111"}, "geometry": {"type": "Point", "coordinates": [9, 45]}}
    source = text(tmp_path / "source.geojson", json.dumps({"type": "FeatureCollection", "features": [point]}))
    step = {"type": "gdal_streamed_alg", "command_line": f"gdal vector reproject -d EPSG:4326 {source}"}
    for content in (OGR.format(source), json.dumps(step), "PG:dbname=a", "<wfs:WFS_Capabilities/>"):
        path = tmp_path / name
        if name == "a.zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("inner/a.geojson", content)
        else:
            path.write_text(content)
        for read_any in (list_layers, layer_names, read_features):
            if name != "a.zip" or read_any is list_layers:
                with pytest.raises(UnreadableVector):
                    read_any(path)
    assert len(list_layers(source)) == 1


@pytest.mark.parametrize("name", ["a.dbf", "a.vrt", "a.txt", "a"])
def test_no_suffix_lets_a_vector_file_refer_to_another(tmp_path: Path, name: str) -> None:
    source = text(tmp_path / "source.csv", "name\na\n")
    with pytest.raises(UnreadableVector):
        read_features(text(tmp_path / name, OGR.format(source)))


# -- Redirects ---------------------------------------------------------------------------------------------------------


@dataclass
class Redirect:
    """A server that redirects requests, from the first or the second on, and the requests to the target."""

    content: bytes
    target: str = ""
    at_once: bool = True
    requests: int = 0
    requested: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        self.requests += 1
        if self.at_once or self.requests > 1:
            return 302, {"Location": self.target}, b""
        size = len(self.content)
        return 206, {"Content-Range": f"bytes 0-{min(size, 2**15) - 1}/{size}"}, self.content[: 2**15]

    def note(self, method: str, path: str, body: bytes) -> Answer:
        self.requested.append(path)
        return 200, {}, self.content


@pytest.fixture
def redirect(raster: Path) -> Iterator[Redirect]:
    state = Redirect(raster.read_bytes())
    with served(state.answer) as state.url, served(state.note, "127.0.0.2") as elsewhere:
        state.target = f"{elsewhere}/a.tif"
        yield state


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("place", ["host", "file"])
def test_redirects_of_remote_files_lead_to_allowed_hosts_only(
    redirect: Redirect, raster: Path, at_once: bool, place: str
) -> None:
    redirect.at_once = at_once
    redirect.target = redirect.target if place == "host" else f"file://{raster}"
    with pytest.raises(Unreadable):
        result = read(f"{redirect.url}/a.tif", REMOTE)
        raise Unreadable(str(result))  # a failed chip
    assert redirect.requested == []


def test_a_redirect_to_an_allowed_host_is_followed(redirect: Redirect, raster: Path) -> None:
    with serving(raster.parent) as files:
        redirect.target = files.href(raster.name)
        assert np.array_equal(read(f"{redirect.url}/a.tif", REMOTE), PIXELS[:64, :64])
