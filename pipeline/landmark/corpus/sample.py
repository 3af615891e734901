"""A sample of a corpus: pixels in physical units or as stored, and the columns of its row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
