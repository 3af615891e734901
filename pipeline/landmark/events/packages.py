"""Group the layers of Copernicus EMS packages by product, from their names.

A name holds activation, area, kind of product, monitoring, release and version, in three conventions over the years:
`EMSR190_33SELLANO_02GRADING_v1_15000_settlements_poly_grading`, `EMSR332_02PADOVA_DEL_MONIT01_v1_observed_event_a`,
`EMSR507_AOI01_DEL_MONIT02_observedEventA_r1_v2` (manual of products, "File naming").
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from landmark.events.files import SUFFIXES, VectorFile
from landmark.events.source import EmsMapping
from landmark.raster.features import Features

_START = re.compile(r"(?i)(EMS[RN]\d+)_(AOI\d+|\d\d[^_]+)_(.+)")
_KIND = re.compile(r"(?i)(?:\d\d)?(DEL|DELINEATION|GRA|GRADING|GRM|REF|REFERENCE|FEP)")
_KINDS = {"delineation": "del", "grading": "gra", "grm": "gra", "reference": "ref"}
_NUMBER = re.compile(r"(?i)(MONIT|RTP|r|v)(\d*)")
_SHEET = re.compile(r"(?i)(MAP|OVERVIEW|DETAIL\d*|ALL)")
# Parts of names without information: the scale of a map, the suffix of a package.
_IGNORED = re.compile(r"(?i)(PRODUCT|vector|VT|\d{4,7})")


@dataclass(frozen=True, slots=True)
class LayerName:
    """The parsed name of a layer or package.

    Attributes:
        code: Activation in lower case, `emsr332`.
        area: `02padova`, `aoi01`.
        kind: `ref`, `fep`, `del` or `gra`.
        round: 0 for the first product, else the number of the monitoring.
        sheet: Sheet of a product that is published in several, `overview` or `detail01`.
        edition: (release, version); a later one corrects an earlier one.
        layer: The layer's own name without case and underscores, `observedeventa`; empty for a package.
        product: The part that all layers of a product share, as written.
    """

    code: str
    area: str
    kind: str
    round: int
    sheet: str
    edition: tuple[int, int]
    layer: str
    product: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a product in a file."""

    file: VectorFile
    name: str

    def read(self) -> Features:
        """Features of the layer.

        Raises:
            InputError: the layer is unreadable, or has no CRS.
        """
        return self.file.read(self.name)


@dataclass(slots=True)
class Product:
    """A product of one kind and round in an area; `layers` by role, a key of `EmsMapping` such as `observed`."""

    name: str
    kind: str
    round: int
    layers: dict[str, list[Layer]] = field(default_factory=lambda: defaultdict(list))


def parse_layer_name(text: str) -> LayerName | None:
    """Parse the name of a layer or package, None if it follows no convention."""
    if (start := _START.match(text)) is None:
        return None
    kind, sheet, numbers, words, title = "", [], {"monit": 0, "r": 1, "v": 1}, [], [start[1], start[2]]
    for token in re.split(r"[_-]", start[3]):
        if not kind and (match := _KIND.fullmatch(token)):
            kind = _KINDS.get(match[1].lower(), match[1].lower())
            numbers["monit"] = int(match[1].lower() == "grm")
        elif match := _NUMBER.fullmatch(token):
            numbers[match[1].lower()] = int(match[2] or 1)
        elif match := _SHEET.fullmatch(token):
            sheet.append(match[1].lower())
        elif not _IGNORED.fullmatch(token):
            words.append(token.lower())
            continue
        title.append(token)
    if not kind:
        return None
    edition, layer = (numbers["r"], numbers["v"]), "".join(words)
    code, area = start[1].lower(), start[2].lower()
    return LayerName(code, area, kind, numbers["monit"], "-".join(sheet), edition, layer, "_".join(title))


def group_products(files: Iterable[VectorFile], mapping: EmsMapping) -> dict[tuple[str, str], list[Product]]:
    """Group layers by (activation, area) into products of the latest edition, the latest round first.

    Raises:
        InputError: a GeoPackage or geodatabase is unreadable.
    """
    roles = {
        role: getattr(mapping, role) for role in ("observed", "points_lines", "damage", "aoi", "not_analysed", "images")
    }
    sheets: dict[tuple[str, str, str, int, str], dict[tuple[int, int], list[tuple[LayerName, Layer]]]] = {}
    for name, layer in _named_layers(files):
        key = name.code, name.area, name.kind, name.round, name.sheet
        sheets.setdefault(key, {}).setdefault(name.edition, []).append((name, layer))
    areas: dict[tuple[str, str], dict[tuple[str, int], Product]] = {}
    for (code, area, kind, number, _), editions in sorted(sheets.items()):
        latest = editions[max(editions)]
        title = min(name.product for name, _ in latest)
        product = areas.setdefault((code, area), {}).setdefault((kind, number), Product(title, kind, number))
        for name, layer in _drop_duplicates(latest):
            for role, patterns in roles.items():
                if any(re.fullmatch(pattern, name.layer) for pattern in patterns):
                    product.layers[role].append(layer)
    return {key: sorted(products.values(), key=lambda product: -product.round) for key, products in areas.items()}


def _named_layers(files: Iterable[VectorFile]) -> Iterable[tuple[LayerName, Layer]]:
    """Layers with a parsable name, by itself or after the name of their file or folder."""
    for file in files:
        packed = file.path.suffix.lower() in (".gpkg", ".gdb")
        for layer in file.layer_names() if packed else [file.path.stem]:
            container = file.path.stem if packed else file.folder
            if name := parse_layer_name(layer) or parse_layer_name(f"{container}_{layer}"):
                yield name, Layer(file, layer)


def _drop_duplicates(layers: Sequence[tuple[LayerName, Layer]]) -> list[tuple[LayerName, Layer]]:
    """Keep each layer in one format: packages hold some twice, and a folder may lie beside its zip."""

    def preference(pair: tuple[LayerName, Layer]) -> tuple[int, str]:
        return SUFFIXES.index(pair[1].file.path.suffix.lower()), pair[1].file.label

    best: dict[str, tuple[LayerName, Layer]] = {}
    for pair in sorted(layers, key=preference):
        best.setdefault(pair[0].layer, pair)
    return list(best.values())
