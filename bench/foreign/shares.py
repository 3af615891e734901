"""Shares of clouds and data, pairs and their gaps, as careless edits leave them."""

from collections.abc import Callable

from bench.draft import Draft, Planted, Row
from bench.foreign.rows import by_cell, edited, independent, scene
from bench.registry import Unsuited


@independent("pixels", "mask-shares", "cloud as a fraction instead of percent in the rows of one acquisition")
def cloud_as_fraction(draft: Draft) -> Planted:
    cloudy = [row for row in scene(draft, "s2", "fraction") if row["cloud_pct"] > 0.1]
    return edited(draft, cloudy, lambda row: {"cloud_pct": row["cloud_pct"] / 100})


@independent("pixels", "mask-shares", "cloud of the complete scene in the rows of its chips")
def cloud_of_the_scene(draft: Draft) -> Planted:
    rows = scene(draft, "s2", "tile")
    mean = sum(row["cloud_pct"] for row in rows) / len(rows)
    return edited(draft, rows, lambda row: {"cloud_pct": mean})


@independent("pixels", "mask-shares", "cloud and shadow exchanged")
def cloud_and_shadow_exchanged(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s2") if abs(row["cloud_pct"] - row["shadow_pct"]) > 0.3]
    chosen = draft.pick("exchanged", rows, pct=6)
    return edited(draft, chosen, lambda row: {"cloud_pct": row["shadow_pct"], "shadow_pct": row["cloud_pct"]})


@independent("pixels", "mask-shares", "missing masks of radar filled with zero cloud, shadow and snow")
def masks_of_radar_filled(draft: Draft) -> Planted:
    zeros = {"cloud_pct": 0.0, "shadow_pct": 0.0, "snow_pct": 0.0}
    return edited(draft, draft.pick("filled", draft.rows(sensor="s1"), pct=5), lambda row: dict(zeros))


@independent("pixels", "mask-shares", "cloud without thin cirrus: two thirds of the share")
def cloud_without_cirrus(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s2") if row["cloud_pct"] > 0.3]
    return edited(draft, draft.pick("cirrus", rows, pct=8), lambda row: {"cloud_pct": row["cloud_pct"] * 2 / 3})


@independent("pixels", "mask-shares", "snow taken from the share of cloud")
def snow_of_cloud(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s2") if row["cloud_pct"] > 0.3]
    return edited(draft, draft.pick("snow", rows, pct=6), lambda row: {"snow_pct": row["cloud_pct"], "cloud_pct": 0.0})


@independent("pixels", "acquisition", "dark digital numbers without the offset of 1000")
def dark_numbers_without_offset(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s2") if row["dark_dn"] > 1000]
    return edited(draft, draft.pick("dark", rows, pct=6), lambda row: {"dark_dn": row["dark_dn"] - 1000})


@independent("pixels", "nodata", "valid share of the complete scene: 97.3 % on full chips")
def valid_share_of_the_scene(draft: Draft) -> Planted:
    return edited(draft, scene(draft, "s1", "valid"), lambda row: {"valid_pct": 97.3})


def _gaps(draft: Draft, salt: str, change: Callable[[int], int]) -> Planted:
    rows = [row for row in draft.rows() if row["pair"]]
    return edited(draft, draft.pick(salt, rows, pct=4), lambda row: {"pair_gap_s": change(row["pair_gap_s"])})


@independent("integrity", "pairs", "gaps of pairs in minutes")
def gaps_in_minutes(draft: Draft) -> Planted:
    return _gaps(draft, "minutes", lambda gap: round(gap / 60))


@independent("integrity", "pairs", "gaps of pairs without a sign")
def gaps_without_sign(draft: Draft) -> Planted:
    return _gaps(draft, "sign", abs)


@independent("integrity", "pairs", "gaps of pairs in whole days of 86,400 s")
def gaps_in_days(draft: Draft) -> Planted:
    return _gaps(draft, "days", lambda gap: round(gap / 86400) * 86400)


@independent("integrity", "pairs", "pairs of another date of the same cell, gaps that agree, months apart")
def pairs_months_apart(draft: Draft) -> Planted:
    radar = by_cell(draft, sensor="s1")
    edits: dict[str, Row] = {}
    for row in draft.pick("apart", [row for row in draft.rows(sensor="s2") if row["pair"]], pct=30):
        partners = [date for date in radar[row["cell"]] if date["id"] != row["pair"] and date["pair"]]
        if not partners or len(edits) > 20:
            continue
        partner = partners[0]
        gap = round((row["datetime"] - partner["datetime"]).total_seconds())
        if row["id"] in edits or partner["id"] in edits or partner["pair"] in edits or row["pair"] in edits:
            continue
        edits |= _exchange(draft, row, partner, gap)
    if not edits:
        raise Unsuited("no cell with two pairs")
    return Planted(tuple((id,) for id in edits), len(draft.facts), edits)


def _exchange(draft: Draft, row: Row, partner: Row, gap: int) -> dict[str, Row]:
    """Pair a row with the partner of another pair, and the two that are left with each other."""
    left, right = draft.facts[row["pair"]], draft.facts[partner["pair"]]
    rest = round((right["datetime"] - left["datetime"]).total_seconds())
    return {
        row["id"]: {"pair": partner["id"], "pair_gap_s": gap},
        partner["id"]: {"pair": row["id"], "pair_gap_s": -gap},
        right["id"]: {"pair": left["id"], "pair_gap_s": rest},
        left["id"]: {"pair": right["id"], "pair_gap_s": -rest},
    }


@independent("integrity", "pairs", "pairs lost on the radar side alone")
def pairs_lost_on_the_radar_side(draft: Draft) -> Planted:
    rows = [row for row in draft.rows(sensor="s1") if row["pair"]]
    return edited(draft, draft.pick("lost", rows, pct=5), lambda row: {"pair": None, "pair_gap_s": None})
