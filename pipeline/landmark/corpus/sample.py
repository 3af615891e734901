"""A sample of a corpus: pixels in physical units or as stored, and the columns of its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark.corpus.pixels import band_order, to_physical

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, slots=True)
class Sample:
    """A chip with its labels and captions.

    Attributes:
        s1: Sentinel-1 (2, y, x) float32: gamma0 in dB, VV and VH, NaN for nodata; None for Sentinel-2.
        s2: Sentinel-2 (12, y, x) uint16: reflectance x 10000, 0 for nodata, bands B01 to B08, B8A, B09, B11, B12; None
            for Sentinel-1.
        mask: (y, x) bool, true where every band has data.
        fields: All other columns of the row, converted when asked; also available as attributes (`sample.labels`).
    """

    s1: NDArray[np.float32] | None
    s2: NDArray[np.uint16] | None
    mask: NDArray[np.bool_]
    fields: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        # `fields` itself is looked up here only while unpickling, before it is set.
        if name != "fields" and name in self.fields:
            return self.fields[name]
        raise AttributeError(f"Sample has no attribute or column {name!r}")

    def caption(self, style: str = "structured", lang: str = "en") -> str:
        """Text of the first caption of a style and language.

        Args:
            style: Caption style of the recipe, such as `structured` or `sentence`.
            lang: Language code.

        Raises:
            KeyError: the sample has no such caption.
        """
        for caption in self.fields["captions"]:
            if (caption["style"], caption["lang"]) == (style, lang):
                return str(caption["text"])
        raise KeyError(f"sample {self.fields['id']} has no caption of style {style!r} in language {lang!r}")


def to_xarray(stored: NDArray[Any], record: Mapping[str, Any], fields: Sequence[pa.Field]) -> "xarray.Dataset":
    """The Dataset of `Corpus.xarray`, from stored pixels (band, y, x), other columns, and pixel fields of a sample."""
    import xarray
    from pyproj import CRS

    width, _, left, _, height, top = record["transform"]
    rows, cols = stored.shape[1:]
    return xarray.Dataset(
        {record["sensor"]: (("band", "y", "x"), to_physical(stored, fields), {"grid_mapping": "spatial_ref"})},
        coords={
            "band": band_order(fields),
            "y": top + height * (np.arange(rows) + 0.5),
            "x": left + width * (np.arange(cols) + 0.5),
            "time": np.datetime64(record["datetime"].replace(tzinfo=None), "ns"),
            "spatial_ref": ((), 0, CRS.from_epsg(record["epsg"]).to_cf()),
        },
        attrs={"id": record["id"], "units": fields[0].metadata[b"unit"].decode()},
    )
