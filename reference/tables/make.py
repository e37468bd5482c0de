"""Writes the Parquet files beside this script, with pyarrow: every type that is read, every packing, and embedded media."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).parent


def types():
    moment = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
    table = pa.table(
        {
            "text": pa.array(["café", "", None, "x"]),
            "flag": pa.array([True, None, False, True]),
            "small": pa.array([-128, 127, None, 0], pa.int8()),
            "count": pa.array([1, 2, None, 4], pa.uint32()),
            "identity": pa.array([9007199254740993, -9007199254740993, None, 7], pa.int64()),
            "unsigned": pa.array([18446744073709551615, 1, None, 0], pa.uint64()),
            "real": pa.array([0.5, float("nan"), None, -1e300], pa.float64()),
            "single": pa.array([0.25, 1.0, None, -2.0], pa.float32()),
            "bytes": pa.array([b"\x00\xff", b"", None, b"z"], pa.binary()),
            "day": pa.array([datetime.date(2024, 2, 29), None, None, datetime.date(1970, 1, 1)]),
            "moment": pa.array([moment, None, None, moment], pa.timestamp("us", tz="UTC")),
            "price": pa.array([Decimal("1.50"), None, None, Decimal("-0.25")], pa.decimal128(9, 2)),
            "tags": pa.array([["a", "b"], [], None, ["c"]], pa.list_(pa.string())),
            "turns": pa.array(
                [[{"from": "q", "value": "1"}, {"from": "a", "value": "2"}], [], None, []],
                pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])),
            ),
            "place": pa.array([{"x": 1, "y": 2.5}, {"x": None, "y": None}, None, {"x": 3, "y": 4.0}]),
            "word": pa.array(["red", "blue", None, "red"]).dictionary_encode(),
        }
    )
    # Two row groups, so that damage in one of them leaves the other alone.
    pq.write_table(table, FOLDER / "types.parquet", row_group_size=2, compression="none")


def packings():
    table = pa.table({"row": list(range(300)), "text": [f"the text of row {row}" for row in range(300)]})
    for packing in ["snappy", "zstd", "lz4", "gzip"]:
        pq.write_table(table, FOLDER / f"{packing}.parquet", compression=packing, row_group_size=100)
    pq.write_table(table, FOLDER / "second_version.parquet", version="2.6", data_page_version="2.0", compression="zstd")


def media():
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = [
        {"bytes": b"first", "path": "a.png"},
        {"bytes": None, "path": "b.png"},
        None,
        {"bytes": b"first", "path": "c.png"},
    ]
    table = pa.table({"image": pa.array(values, kind), "label": [0, 1, 2, 3]})
    pq.write_table(table, FOLDER / "media.parquet")


types()
packings()
media()
