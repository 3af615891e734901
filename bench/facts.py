"""Defects of rows: ids, placement, digests, the ledger, and secrets."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
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


def edit_rows(
    draft: Draft, salt: str, change: Callable[[Row], Row], *, where: Callable[[Row], bool] = lambda row: True
) -> Planted:
    """Change columns of a few rows that satisfy a condition."""
    eligible = [row for row in draft.rows() if where(row)]
    if not eligible:
        raise Unsuited("no sample is suitable")
    rows = draft.pick(salt, eligible)
    return Planted(ids(rows), len(eligible), {row["id"]: change(row) for row in rows})


# -- Ids -------------------------------------------------------------------------------------------------------------


@_integrity("ids", "a duplicate id")
def duplicate_id(draft: Draft) -> Planted:
    rows = draft.pick("id-twice", draft.rows(), pct=1)
    return Planted(ids(rows), len(draft.rows()), extra=tuple((row["id"], {}) for row in rows))


def _rename(salt: str, draft: Draft, rename: Callable[[Row], str]) -> Planted:
    rows = draft.pick(salt, draft.rows())
    names = {row["id"]: rename(row) for row in rows}
    edits: dict[str, Row] = {old: {"id": new} for old, new in names.items()}
    for row in draft.rows():
        if row["pair"] in names:
            edits[row["id"]] = {**edits.get(row["id"], {}), "pair": names[row["pair"]]}
    return Planted(tuple((new,) for new in names.values()), len(draft.rows()), edits)


@_integrity("ids", "ids are the provider's item names")
def id_of_provider(draft: Draft) -> Planted:
    return _rename("id-of-provider", draft, lambda row: f"{row['items'][0]}.{row['cell']}")


@_integrity("ids", "ids contain local time")
def id_in_local_time(draft: Draft) -> Planted:
    def name(row: Row) -> str:
        head, stamp, orbit = row["id"].rsplit("_", 2)
        later = dt.datetime.strptime(stamp, "%Y%m%dt%H%M%S") + dt.timedelta(hours=2)
        return f"{head}_{later:%Y%m%dt%H%M%S}_{orbit}"

    return _rename("id-in-local-time", draft, name)


@_integrity("ids", "`cell` is another than the id's")
def id_of_another_cell(draft: Draft) -> Planted:
    def name(row: Row) -> str:
        number = row["cell"].rsplit("_", 1)[1]
        return str(row["id"]).replace(f"_{number}_", f"_{int(number) + 1}_")

    return _rename("id-of-another-cell", draft, name)


# -- Places ----------------------------------------------------------------------------------------------------------


def _shift(row: Row, dx_m: float, dy_m: float) -> Row:
    width, skew, left, tilt, height, top = row["transform"]
    return {"transform": [width, skew, left + dx_m, tilt, height, top + dy_m]}


@_integrity("placement", "transforms refer to pixel centres instead of corners")
def transform_half_a_pixel_off(draft: Draft) -> Planted:
    return edit_rows(draft, "transform-half-a-pixel-off", lambda row: _shift(row, 5, -5))


@_integrity("placement", "transforms upside down")
def transform_south_up(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        width, _, left, _, height, top = row["transform"]
        return {"transform": [width, 0.0, left, 0.0, -height, top]}

    return edit_rows(draft, "transform-south-up", change)


@_integrity("placement", "longitude and latitude are exchanged")
def lon_lat_exchanged(draft: Draft) -> Planted:
    return edit_rows(draft, "lon-lat-exchanged", lambda row: {"lon": row["lat"], "lat": row["lon"]})


@_integrity("placement", "geometries are of another cell")
def geometry_elsewhere(draft: Draft) -> Planted:
    def change(row: Row) -> Row:
        outline = shapely.from_wkb(row["geometry"])
        return {"geometry": shapely.to_wkb(shapely.transform(outline, partial(np.add, [0.02, 0])))}

    return edit_rows(draft, "geometry-elsewhere", change)


@_integrity("placement", "the zone is the neighbouring one")
def zone_of_the_neighbour(draft: Draft) -> Planted:
    return edit_rows(draft, "zone-of-the-neighbour", lambda row: {"epsg": row["epsg"] + 1})


@_integrity("placement", "southern rows in a northern zone")
def hemisphere_wrong(draft: Draft) -> Planted:
    southern = lambda row: 32700 < row["epsg"] <= 32760  # noqa: E731
    return edit_rows(draft, "hemisphere-wrong", lambda row: {"epsg": row["epsg"] - 100}, where=southern)


@_integrity("placement", "rows are in a shard of another split")
def shard_of_another_split(draft: Draft) -> Planted:
    rows = draft.pick("shard-of-another-split", draft.rows(sensor="s2", split="train"))
    target = next(shard.path for shard in draft.manifest.shards if (shard.sensor, shard.split) == ("s2", "test"))
    return Planted(ids(rows), len(draft.rows()), moves={row["id"]: target for row in rows})


# -- Digests, ledger, secrets ----------------------------------------------------------------------------------------


@_integrity("pixel-digest", "the pixels of two rows are exchanged")
def pixels_exchanged(draft: Draft) -> Planted:
    rows = draft.pick("pixels-exchanged", draft.rows(sensor="s2"))
    sources = [*rows[1:], rows[0]]
    edits = {
        row["id"]: {"bands": draft.bands(source["id"]), "sha256": row["sha256"]}
        for row, source in zip(rows, sources, strict=True)
    }
    return Planted(ids(rows), len(draft.rows(sensor="s2")), edits)


def _remove(draft: Draft, rows: list[Row], after: Callable[[Path], None] | None = None) -> Planted:
    """Remove planned samples from the corpus, and unpair their pairs."""
    removed = {row["id"] for row in rows}
    unpaired: dict[str, Row] = {
        row["id"]: {"pair": None, "pair_gap_s": None} for row in draft.rows() if row["pair"] in removed
    }
    names = tuple((id, "ledger.parquet") for id in sorted(removed))
    return Planted(names, len(draft.rows()), unpaired, moves=dict.fromkeys(removed, ""), after=after)


@_integrity("ledger", "planned samples are neither in the corpus nor in the ledger")
def lost_in_silence(draft: Draft) -> Planted:
    return _remove(draft, draft.pick("lost-in-silence", draft.rows(), pct=1))


@_integrity("ledger", "retryable failures are recorded as final drops")
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

    return _remove(draft, rows, act)


@_integrity("coverage", "every sample of a split was dropped")
def split_emptied(draft: Draft) -> Planted:
    return replace(_remove(draft, draft.rows(split="val")), subjects=(("split val",),), of=3)


@_integrity("ledger", "written samples are also in the ledger")
def written_and_dropped(draft: Draft) -> Planted:
    rows = draft.pick("written-and-dropped", draft.rows(), pct=1)

    def act(corpus: Path) -> None:
        drops = [DropRecord(row["id"], "", "extract", "cloud", "61 %") for row in rows]
        ledger = pq.read_table(corpus / "ledger.parquet")
        write_table(corpus / "ledger.parquet", pa.concat_tables([ledger, ledger_table(drops)]))

    return Planted(tuple((row["id"], "ledger.parquet") for row in rows), len(draft.rows()), after=act)


def _set_columns(draft: Draft, salt: str, **columns: Callable[[Row], Any]) -> Planted:
    return edit_rows(draft, salt, lambda row: {name: compute(row) for name, compute in columns.items()})


@_integrity("secrets", "item ids are signed URLs")
def signed_address(draft: Draft) -> Planted:
    sas = "?st=2026-01-01T00%3A00%3A00Z&sv=2021-06-08&sr=c&sp=rl&sig=Xk3%2FzQ%3D"
    blob = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2"
    return _set_columns(draft, "signed-address", items=lambda row: [f"{blob}/{row['items'][0]}{sas}"])


@_integrity("secrets", "an access key of an object store")
def s3_signature(draft: Draft) -> Planted:
    key = "https://bucket.s3.amazonaws.com/x.tif?X-Amz-Credential=AKIDEXAMPLE&X-Amz-Signature=fe5f80"
    return _set_columns(draft, "s3-signature", product=lambda row: key)


@_integrity("secrets", "absolute local paths")
def local_path(draft: Draft) -> Planted:
    return _set_columns(draft, "local-path", items=lambda row: [f"/home/anna/data/{row['items'][0]}.tif"])


@_integrity("secrets", "a bearer token in the rule of an offset")
def bearer_token(draft: Draft) -> Planted:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
    rule = f"declared by item; Authorization: Bearer {token}"
    return _set_columns(draft, "bearer-token", offset_rule=lambda row: rule)


@_integrity("manifest", "the manifest names the lock of another plan")
def lock_digest_foreign(draft: Draft) -> Planted:
    def act(corpus: Path) -> None:
        manifest: Manifest = read_document(Manifest, corpus / "corpus.json")
        foreign = manifest.model_copy(update={"lock_digest": digest("another")})
        write_bytes(corpus / "corpus.json", foreign.model_dump_json(indent=1).encode())

    return Planted((("corpus.json", "lock.json"),), 1, after=act)


@_integrity("acquisition", "the ledger holds a reason that does not exist")
def reason_unknown(draft: Draft) -> Planted:
    row = {
        "id": draft.rows()[0]["cell"],
        "acquisition": "",
        "stage": "plan",
        "reason": "bad",
        "detail": "",
        "final": True,
    }

    def act(corpus: Path) -> None:
        ledger = pq.read_table(corpus / "ledger.parquet")
        write_table(
            corpus / "ledger.parquet", pa.concat_tables([ledger, pa.Table.from_pylist([row], schema=ledger.schema)])
        )

    return Planted(((row["id"],),), 1, after=act)
