"""Check of the shares of cloud, shadow, snow and data, which are counts of pixels."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark.config.profiles import Mask, load_sensor
from landmark.core.errors import InvalidCorpus
from landmark.corpus.tables import read_table
from landmark.domain.schemas import CLOUD_STATS, PLAN
from landmark.quality.check_input import Check, CheckInput
from landmark.quality.check_profile import Limits
from landmark.quality.checks.flagging import by_sample, columns
from landmark.quality.findings import Flag

_MASKED: tuple[Literal["cloud", "shadow", "snow"], ...] = ("cloud", "shadow", "snow")
_SHARES = tuple(f"{name}_pct" for name in _MASKED)
# Shares are float32: six digits.
_ROUNDING_PCT = 1e-3
F8 = NDArray[np.float64]


def mask_shares(inputs: CheckInput, limits: Limits) -> Iterator[Flag]:
    """Shares are counts of pixels, add up to 100 % at most, and are those of the mask that was counted for the plan."""
    table = inputs.samples
    shares = np.array(columns(table, *_SHARES))
    known = np.isfinite(shares)
    has_mask = np.isin(
        table["sensor"].to_pylist(), [name for name in inputs.manifest.sensors if load_sensor(name).mask]
    )
    problems = {
        "share of a mask that the sensor does not have": known.any(axis=0) & ~has_mask,
        "shares of cloud, shadow and snow are not all given": known.any(axis=0) & ~known.all(axis=0),
        "shares are no percentages of one mask": (np.nan_to_num(shares) < 0).any(axis=0)
        | (np.nansum(shares, axis=0) > 100 + _ROUNDING_PCT),
        "share of a mask is no number of pixels": _is_fraction(shares, inputs).any(axis=0),
    }
    for problem, failed in problems.items():
        yield from by_sample(table, failed, problem, lambda row: _format(shares[:, row]))
    (valid,) = columns(table, "valid_pct")
    failed = _is_fraction(valid, inputs) | ~((valid >= 0) & (valid <= 100))
    yield from by_sample(table, failed, "valid_pct is no number of pixels", lambda row: f"{valid[row]:g} %")
    yield from _compare_counts(inputs)


def _is_fraction(shares: F8, inputs: CheckInput) -> NDArray[np.bool_]:
    """Whether shares are no whole number of the finest pixels; masks have pixels of one or several of these."""
    pixels = shares / 100 * inputs.manifest.patch_px**2
    return np.asarray(abs(pixels - np.rint(pixels)) > _ROUNDING_PCT / 100 * inputs.manifest.patch_px**2)


def _format(shares: F8) -> str:
    return ", ".join(f"{name} {share:g} %" for name, share in zip(_MASKED, shares.tolist(), strict=True))


def _compare_counts(inputs: CheckInput) -> Iterator[Flag]:
    """Compare with the pixels of the mask that were counted per cell and acquisition while planning."""
    root = inputs.context.root
    try:
        counts = read_table(root / "cloud_stats.parquet", CLOUD_STATS)
        plan = read_table(root / "plan.parquet", PLAN)
    except InvalidCorpus:
        return  # reported by `manifest`
    if counts.num_rows == 0:
        return
    acquisitions = plan["acquisition"].take(pc.index_in(inputs.samples["id"], plan["id"].combine_chunks()))
    samples = inputs.samples.append_column("acquisition", acquisitions)
    for sensor in inputs.manifest.sensors:
        if (mask := load_sensor(sensor).mask) is not None:
            yield from _compare_mask(samples.filter(pc.equal(samples["sensor"], sensor)), counts, mask)


def _compare_mask(samples: pa.Table, counts: pa.Table, mask: Mask) -> Iterator[Flag]:
    keys = pc.unique(_keys(counts))
    group = pc.index_in(_keys(counts), keys).to_numpy()
    pixels, codes = counts["pixels"].to_numpy(), counts["code"].to_numpy()
    total = np.bincount(group, weights=pixels)
    counted = [100 * np.bincount(group, pixels * np.isin(codes, mask.classes[name])) / total for name in _MASKED]
    row_of = pc.fill_null(pc.index_in(_keys(samples), keys), -1).to_numpy()
    expected = np.where(row_of < 0, np.nan, np.array(counted)[:, row_of])
    actual = np.array(columns(samples, *_SHARES))
    failed = (abs(actual - expected) > _ROUNDING_PCT).any(axis=0) | (np.isnan(actual).any(axis=0) & (row_of >= 0))
    problem = "shares differ from the counts of the mask"
    yield from by_sample(
        samples, failed, problem, lambda row: f"{_format(actual[:, row])}, not {_format(expected[:, row])}"
    )


def _keys(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["cell"], table["acquisition"], " ")


CHECKS: dict[str, Check] = {"mask-shares": mask_shares}
