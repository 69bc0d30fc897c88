"""Let `bouncekit classify` read millions of events whose number, by outcome, is known; count them.

    python tests/soak.py 100_000_000 --folder /somewhere/with/30/GB

Three exports of the same list: a CSV, NDJSON that repeats the end of the CSV, and a damaged CSV.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

AT_ONCE = 500_000
REPEATED = 50  # each so manieth event stands there twice
LOST = 1_000  # each so manieth record has no address
OVERLAP = 100  # one event of so many of the CSV is in the NDJSON too
REPLIES = [
    "550 5.1.1 <{}>: user unknown",
    "552 5.2.2 mailbox of {} is full",
    "554 5.7.1 Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org; {}",
    "450 4.2.0 <{}>: Recipient address rejected: Greylisted",
    "421 4.4.2 connection to mx.example.net timed out while sending to {}",
    "550 nothing that anybody ever said to {}",
]


def events(begin: int, end: int) -> pl.DataFrame:
    """Events by their number; the same number is the same event in every file."""
    number = pl.int_range(begin, end, dtype=pl.Int64)
    each = number - (number % REPEATED == REPEATED - 1).cast(pl.Int64)
    address = pl.format("u{}@d{}.example.org", each // 3, each % 977)
    kind = (each % len(REPLIES)).cast(pl.Int64)
    reply = pl.lit(None, pl.String())
    for place, text in enumerate(REPLIES):
        reply = pl.when(kind == place).then(pl.format(text, address)).otherwise(reply)
    is_lost = each % LOST == LOST // 2
    start = pl.datetime(2024, 1, 1, time_unit="ms")
    time = (start + pl.duration(seconds=each)).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return pl.select(
        email=pl.when(is_lost).then(pl.lit("nobody")).otherwise(address), time=time, reason=reply
    )


def batches(begin: int, end: int) -> Iterator[pl.DataFrame]:
    for at in range(begin, end, AT_ONCE):
        yield events(at, min(at + AT_ONCE, end))


def write(folder: Path, rows: int) -> dict[str, int]:
    """Write the exports and give what reading them has to tell."""
    csv, damaged = rows // 2, rows // 100
    ndjson = rows - csv - damaged
    overlap = csv // OVERLAP // LOST * LOST
    with (folder / "a.csv").open("wb") as file:
        for number, batch in enumerate(batches(0, csv)):
            batch.write_csv(file, include_header=number == 0)
    with (folder / "b.ndjson").open("wb") as file:
        for batch in batches(csv - overlap, csv - overlap + ndjson):
            batch.write_ndjson(file)
    begin = csv - overlap + ndjson
    with (folder / "c.csv").open("wb") as file:
        file.write(b'email,time,reason\n"never closed,x,y\n')
        for batch in batches(begin, begin + damaged - 1):
            batch.write_csv(file, include_header=False)
    return _expected(csv, ndjson, damaged, overlap)


def _expected(csv: int, ndjson: int, damaged: int, overlap: int) -> dict[str, int]:
    begin = csv - overlap
    spans = [(0, csv), (begin, begin + ndjson), (begin + ndjson, begin + ndjson + damaged - 1)]
    unreadable = sum(map(_lost, spans)) + 1
    records = csv + ndjson + damaged
    last = spans[-1][1]
    lost_once = _lost((0, last))
    rows = (last - lost_once - _count((0, last), REPEATED, REPEATED - 1)) + unreadable
    return {"records": records, "unreadable": unreadable, "rows": rows}


def _count(span: tuple[int, int], step: int, rest: int) -> int:
    """How many numbers of a span leave that rest."""
    return (span[1] - rest + step - 1) // step - (span[0] - rest + step - 1) // step


def _lost(span: tuple[int, int]) -> int:
    return _count(span, LOST, LOST // 2)


def classify(folder: Path) -> tuple[dict[str, int], str, float, float]:
    """What was told, all that was said, seconds and GB of memory."""
    out = folder / "out.parquet"
    exports = [str(folder / name) for name in ("a.csv", "b.ndjson", "c.csv")]
    command = [sys.executable, "-m", "bouncekit", "classify", *exports, "-o", str(out)]
    began = time.monotonic()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen(command, stdout=said)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    if status:
        sys.exit(f"bouncekit ended with {os.waitstatus_to_exitcode(status)}")
    told = re.search(r"Read ([\d,]+) rows.*?: ([\d,]+) could not be read, ([\d,]+) were", text)
    assert told, text
    records, unreadable, duplicates = (int(number.replace(",", "")) for number in told.groups())
    rows = int(pl.scan_parquet(out).select(pl.len()).collect().item())
    if rows != records - duplicates:
        sys.exit(f"{records:,} records less {duplicates:,} duplicates are not {rows:,} rows")
    found = {"records": records, "unreadable": unreadable, "rows": rows}
    return found, text, time.monotonic() - began, usage.ru_maxrss / 1024**2


def main() -> None:
    """Write, read and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=lambda text: int(text.replace("_", "")))
    parser.add_argument("--folder", type=Path, help="where there is room")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as place:
        expected = write(Path(place), options.rows)
        found, text, seconds, memory = classify(Path(place))
        categories = pl.scan_parquet(Path(place) / "out.parquet").group_by("category").len()
        print(text)
        print(categories.collect(engine="streaming").sort("len", descending=True))
    print(f"expected {expected}\nfound    {found}")
    print(
        f"{seconds:.0f} s, {options.rows / seconds:,.0f} rows a second, {memory:.2f} GB of memory"
    )
    if found != expected:
        sys.exit("They differ.")


if __name__ == "__main__":
    main()
