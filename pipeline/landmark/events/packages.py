"""Copernicus EMS packages by name: which layer is of which product, and which product of an area counts.

A name says activation, area, kind of product, monitoring, release and version, in three ways over the years:
`EMSR190_33SELLANO_02GRADING_v1_15000_settlements_poly_grading`, `EMSR332_02PADOVA_DEL_MONIT01_v1_observed_event_a`,
`EMSR507_AOI01_DEL_MONIT02_observedEventA_r1_v2` (manual of products, "File naming").
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from landmark.events.files import SUFFIXES, Found
from landmark.events.shapes import layer_names
from landmark.events.source import Packages

_START = re.compile(r"(?i)(EMS[RN]\d+)_(AOI\d+|\d\d[^_]+)_(.+)")
_KIND = re.compile(r"(?i)(?:\d\d)?(DEL|DELINEATION|GRA|GRADING|GRM|REF|REFERENCE|FEP)")
_KINDS = {"delineation": "del", "grading": "gra", "grm": "gra", "reference": "ref"}
_NUMBER = re.compile(r"(?i)(MONIT|RTP|r|v)(\d*)")
_SHEET = re.compile(r"(?i)(MAP|OVERVIEW|DETAIL\d*|ALL)")
# Words of a name that say nothing here: the scale of a map, the end of a package's name.
_SILENT = re.compile(r"(?i)(PRODUCT|vector|VT|\d{4,7})")


@dataclass(frozen=True, slots=True)
class Name:
    """What the name of a layer says.

    Attributes:
        code: Activation in lower case, `emsr332`.
        area: `02padova`, `aoi01`.
        kind: `ref`, `fep`, `del` or `gra`.
        round: 0 for the first product, then the number of the monitoring.
        sheet: Part of a product that is published in sheets, `overview` or `detail01`.
        edition: (release, version); a later one corrects an earlier one.
        layer: Its name without case and underscores, `observedeventa`; empty for a package's.
        product: What the layers of a product have in common, as written.
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

    found: Found
    name: str


@dataclass(slots=True)
class Product:
    """One round of one kind of product in an area, and its layers by role: `observed`, `damage`, `aoi` and so on."""

    name: str
    kind: str
    round: int
    layers: dict[str, list[Layer]] = field(default_factory=lambda: defaultdict(list))


def parse(text: str) -> Name | None:
    """What a name says; None where it is not one of a layer or package."""
    if (start := _START.match(text)) is None:
        return None
    kind, sheet, numbers, words, title = "", [], {"monit": 0, "r": 1, "v": 1}, [], [start[1], start[2]]
    for token in re.split(r"[_-]", start[3]):
        if not kind and (said := _KIND.fullmatch(token)):
            kind = _KINDS.get(said[1].lower(), said[1].lower())
            numbers["monit"] = int(said[1].lower() == "grm")
        elif said := _NUMBER.fullmatch(token):
            numbers[said[1].lower()] = int(said[2] or 1)
        elif said := _SHEET.fullmatch(token):
            sheet.append(said[1].lower())
        elif not _SILENT.fullmatch(token):
            words.append(token.lower())
            continue
        title.append(token)
    if not kind:
        return None
    edition, layer = (numbers["r"], numbers["v"]), "".join(words)
    code, area = start[1].lower(), start[2].lower()
    return Name(code, area, kind, numbers["monit"], "-".join(sheet), edition, layer, "_".join(title))


def products(found: Iterable[Found], packages: Packages) -> dict[tuple[str, str], list[Product]]:
    """(activation, area) → its products, the latest edition of each, latest round first.

    Raises:
        InputError: a GeoPackage cannot be read.
    """
    roles = {role: getattr(packages, role) for role in ("observed", "marks", "damage", "aoi", "blind", "images")}
    sheets: dict[tuple[str, str, str, int, str], dict[tuple[int, int], list[tuple[Name, Layer]]]] = {}
    for name, layer in _named(found):
        key = name.code, name.area, name.kind, name.round, name.sheet
        sheets.setdefault(key, {}).setdefault(name.edition, []).append((name, layer))
    areas: dict[tuple[str, str], dict[tuple[str, int], Product]] = {}
    for (code, area, kind, number, _), editions in sorted(sheets.items()):
        edition = max(editions)
        title = min(name.product for name, _ in editions[edition])
        product = areas.setdefault((code, area), {}).setdefault((kind, number), Product(title, kind, number))
        for name, layer in _once(editions[edition]):
            for role, patterns in roles.items():
                if any(re.fullmatch(pattern, name.layer) for pattern in patterns):
                    product.layers[role].append(layer)
    return {key: sorted(rounds.values(), key=lambda one: -one.round) for key, rounds in areas.items()}


def _named(found: Iterable[Found]) -> Iterable[tuple[Name, Layer]]:
    for one in found:
        if one.path.suffix.lower() != ".gpkg":
            if name := _name(one.path.stem, one.folder):
                yield name, Layer(one, one.path.stem)
            continue
        for layer in layer_names(one.path, one.label):
            if name := _name(layer, one.path.stem):
                yield name, Layer(one, layer)


def _name(layer: str, container: str) -> Name | None:
    """What a layer's own name says, or with that of the file or folder it lies in."""
    return parse(layer) or parse(f"{container}_{layer}")


def _once(layers: Sequence[tuple[Name, Layer]]) -> list[tuple[Name, Layer]]:
    """Each layer in one format alone: packages carry some twice, and a folder may lie beside its zip."""

    def worth(pair: tuple[Name, Layer]) -> tuple[int, str]:
        return SUFFIXES.index(pair[1].found.path.suffix.lower()), pair[1].found.label

    best: dict[str, tuple[Name, Layer]] = {}
    for pair in sorted(layers, key=worth):
        best.setdefault(pair[0].layer, pair)
    return list(best.values())
