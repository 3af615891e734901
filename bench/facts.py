"""Defects of the rows: ids, places, pairs, digests, and words nobody should publish."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from bench.draft import Draft, Planted, Row, ids
from bench.registry import Unsuited, planting
from landmark.core.atomic import write_bytes, write_table
from landmark.core.hashing import digest
from landmark.corpus.manifest import Manifest, read_document
from landmark.domain.drops import DropRecord, ledger_table

_integrity = partial(planting, "integrity")


def changed(
    draft: Draft, kind: str, change: Callable[[Row], Row], *, among: Callable[[Row], bool] = lambda row: True
) -> Planted:
    """Other columns for a few of the samples that can have the defect."""
    able = [row for row in draft.rows() if among(row)]
    if not able:
        raise Unsuited("no sample can have it")
    rows = draft.pick(kind, able)
    return Planted(ids(rows), len(able), {row["id"]: change(row) for row in rows})


# -- Ids -------------------------------------------------------------------------------------------------------------


@_integrity("ids", "an id stands twice")
def id_twice(draft: Draft) -> Planted:
    rows = draft.pick("id-twice", draft.rows(), pct=1)
    return Planted(ids(rows), len(draft.rows()), extra=tuple((row["id"], {}) for row in rows))


def _renamed(kind: str, draft: Draft, name: Callable[[Row], str]) -> Planted:
    rows = draft.pick(kind, draft.rows())
    names = {row["id"]: name(row) for row in rows}
    edits: dict[str, Row] = {old: {"id": new} for old, new in names.items()}
    for row in draft.rows():
        if row["pair"] in names:
            edits[row["id"]] = {**edits.get(row["id"], {}), "pair": names[row["pair"]]}
    return Planted(tuple((new,) for new in names.values()), len(draft.rows()), edits)


@_integrity("ids", "ids are the provider's item names")
def id_of_provider(draft: Draft) -> Planted:
    return _renamed("id-of-provider", draft, lambda row: f"{row['items'][0]}.{row['cell']}")


@_integrity("ids", "ids say local time")
def id_in_local_time(draft: Draft) -> Planted:
    def name(row: Row) -> str:
        head, stamp, orbit = row["id"].rsplit("_", 2)
        later = dt.datetime.strptime(stamp, "%Y%m%dt%H%M%S") + dt.timedelta(hours=2)
        return f"{head}_{later:%Y%m%dt%H%M%S}_{orbit}"

    return _renamed("id-in-local-time", draft, name)


@_integrity("ids", "rows name another cell than their ids")
def id_of_another_cell(draft: Draft) -> Planted:
    def name(row: Row) -> str:
        number = row["cell"].rsplit("_", 1)[1]
        return str(row["id"]).replace(f"_{number}_", f"_{int(number) + 1}_")

    return _renamed("id-of-another-cell", draft, name)


# -- Places ----------------------------------------------------------------------------------------------------------


def _moved(row: Row, dx_m: float, dy_m: float) -> Row:
    width, skew, left, tilt, height, top = row["transform"]
    return {"transform": [width, skew, left + dx_m, tilt, height, top + dy_m]}


@_integrity("placement", "transforms of the pixels' centres, not their corners")
def transform_half_a_pixel_off(draft: Draft) -> Planted:
    return changed(draft, "transform-half-a-pixel-off", lambda row: _moved(row, 5, -5))


@_integrity("placement", "transforms upside down")
def transform_south_up(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        width, _, left, _, height, top = row["transform"]
        return {"transform": [width, 0.0, left, 0.0, -height, top]}

    return changed(draft, "transform-south-up", change)


@_integrity("placement", "longitude and latitude are exchanged")
def lon_lat_exchanged(draft: Draft) -> Planted:
    return changed(draft, "lon-lat-exchanged", lambda row: {"lon": row["lat"], "lat": row["lon"]})


@_integrity("placement", "outlines are those of another cell")
def geometry_elsewhere(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        outline = shapely.from_wkb(row["geometry"])
        return {"geometry": shapely.to_wkb(shapely.transform(outline, partial(np.add, [0.02, 0])))}

    return changed(draft, "geometry-elsewhere", change)


@_integrity("placement", "the zone is the neighbour's")
def zone_of_the_neighbour(draft: Draft) -> Planted:
    return changed(draft, "zone-of-the-neighbour", lambda row: {"epsg": row["epsg"] + 1})


@_integrity("placement", "southern rows in a northern zone")
def hemisphere_wrong(draft: Draft) -> Planted:
    southern = lambda row: 32700 < row["epsg"] <= 32760  # noqa: E731
    return changed(draft, "hemisphere-wrong", lambda row: {"epsg": row["epsg"] - 100}, among=southern)


@_integrity("placement", "rows lie in another split's shard")
def shard_of_another_split(draft: Draft) -> Planted:
    rows = draft.pick("shard-of-another-split", draft.rows(sensor="s2", split="train"))
    target = next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == ("s2", "test"))
    return Planted(ids(rows), len(draft.rows()), moves={row["id"]: target for row in rows})


# -- Digests, ledger, secrets ----------------------------------------------------------------------------------------


@_integrity("pixel-digest", "the pixels of two rows are exchanged")
def pixels_exchanged(draft: Draft) -> Planted:
    rows = draft.pick("pixels-exchanged", draft.rows(sensor="s2"))
    others = [*rows[1:], rows[0]]
    edits = {
        row["id"]: {"bands": draft.bands(other["id"]), "sha256": row["sha256"]}
        for row, other in zip(rows, others, strict=True)
    }
    return Planted(ids(rows), len(draft.rows(sensor="s2")), edits)


def _without(draft: Draft, rows: list[Row], after: Callable[[Path], None] | None = None) -> Planted:
    """Planned samples that are not in the corpus; nobody's pair any more."""
    gone = {row["id"] for row in rows}
    widows: dict[str, Row] = {
        row["id"]: {"pair": None, "pair_gap_s": None} for row in draft.rows() if row["pair"] in gone
    }
    names = tuple((id, "ledger.parquet") for id in sorted(gone))
    return Planted(names, len(draft.rows()), widows, moves=dict.fromkeys(gone, ""), after=after)


@_integrity("ledger", "planned samples are neither written nor in the ledger")
def lost_in_silence(draft: Draft) -> Planted:
    return _without(draft, draft.pick("lost-in-silence", draft.rows(), pct=1))


@_integrity("ledger", "failures worth another try were sealed as if they were drops")
def failure_sealed(draft: Draft) -> Planted:
    rows = draft.pick("failure-sealed", draft.rows(), pct=1)

    def act(corpus: Path) -> None:
        failures = [DropRecord(row["id"], "", "extract", "read_error", "timed out") for row in rows]
        ledger = pq.read_table(corpus / "ledger.parquet")
        write_table(corpus / "ledger.parquet", pa.concat_tables([ledger, ledger_table(failures)]))
        manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
        counts = {**manifest.counts, "dropped": manifest.counts["dropped"] + len(rows)}
        update = {"counts": counts, "dropped": {**manifest.dropped, "read_error": len(rows)}}
        write_bytes(corpus / "corpus.json", manifest.model_copy(update=update).model_dump_json(indent=1).encode())

    return _without(draft, rows, act)


@_integrity("ledger", "a written sample stands in the ledger, too")
def written_and_dropped(draft: Draft) -> Planted:
    rows = draft.pick("written-and-dropped", draft.rows(), pct=1)

    def act(corpus: Path) -> None:
        drops = [DropRecord(row["id"], "", "extract", "cloud", "61 %") for row in rows]
        ledger = pq.read_table(corpus / "ledger.parquet")
        write_table(corpus / "ledger.parquet", pa.concat_tables([ledger, ledger_table(drops)]))

    return Planted(tuple((row["id"], "ledger.parquet") for row in rows), len(draft.rows()), after=act)


def _said(draft: Draft, kind: str, **columns: Callable[[Row], Any]) -> Planted:
    return changed(draft, kind, lambda row: {name: say(row) for name, say in columns.items()})


@_integrity("secrets", "item names are signed addresses")
def signed_address(draft: Draft) -> Planted:
    sas = "?st=2026-01-01T00%3A00%3A00Z&sv=2021-06-08&sr=c&sp=rl&sig=Xk3%2FzQ%3D"
    blob = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2"
    return _said(draft, "signed-address", items=lambda row: [f"{blob}/{row['items'][0]}{sas}"])


@_integrity("secrets", "an access key of a store")
def s3_signature(draft: Draft) -> Planted:
    key = "https://bucket.s3.amazonaws.com/x.tif?X-Amz-Credential=AKIDEXAMPLE&X-Amz-Signature=fe5f80"
    return _said(draft, "s3-signature", product=lambda row: key)


@_integrity("secrets", "paths of somebody's machine")
def local_path(draft: Draft) -> Planted:
    return _said(draft, "local-path", items=lambda row: [f"/home/anna/data/{row['items'][0]}.tif"])


@_integrity("secrets", "a bearer token in the rule of an offset")
def bearer_token(draft: Draft) -> Planted:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
    rule = f"declared by item; Authorization: Bearer {token}"
    return _said(draft, "bearer-token", offset_rule=lambda row: rule)


@_integrity("manifest", "the corpus was sealed from another plan's lock")
def lock_digest_foreign(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
        other = manifest.model_copy(update={"lock_digest": digest("another")})
        write_bytes(corpus / "corpus.json", other.model_dump_json(indent=1).encode())

    return Planted((("corpus.json", "lock.json"),), 1, after=act)
