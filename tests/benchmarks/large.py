"""Exports as large as asked for, and what classify and decide take on them: time and memory.

    python tests/benchmarks/large.py [--parquet] [ROWS ...]

Makes an export of each size, CSV or Parquet (200 bytes a row, ten events an address, every second a
bounce with a reply of its own), reads, classifies and decides it in processes of their own, and
prints seconds, the most memory that was resident, and the exponent of time in rows: 1 is linear.
"""

import math
import re
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import polars as pl
from classify import replies

CHUNK = 1_000_000  # rows made at a time
DIFFERENT = 50_000  # replies, each of which gets an id of its own
EVENTS = 10  # an address
MAILINGS = 26


def rows(start: int, count: int, addresses: int, texts: pl.Series) -> pl.DataFrame:
    """Give some rows of an export: the same for the same numbers."""
    draw = pl.int_range(start, start + count, dtype=pl.UInt64)
    number, mailing = draw.hash(550) % addresses, draw % MAILINGS
    return pl.select(
        draw=draw,
        number=number,
        mailing=mailing,
        bounced=(draw.hash(1) % 10 < 9) & (number % 2 == 0) | (draw.hash(2) % 10 == 0),
        text=pl.lit(texts).gather(draw.hash(3) % texts.len()),
    ).select(
        timestamp=pl.lit("2025-01-07T09:00:00Z").str.to_datetime(time_zone="UTC")
        + pl.duration(days=14 * pl.col("mailing"), seconds=pl.col("draw") % 40_000),
        event=pl.when("bounced").then(pl.lit("bounce")).otherwise(pl.lit("delivered")),
        email=pl.format("reader.{}@mail{}.example", "number", pl.col("number").hash() % 997),
        reason=pl.when("bounced")
        .then(pl.format("{} id {}", "text", pl.col("draw").hash(4) % 10**9))
        .otherwise(pl.format("250 2.0.0 Ok: queued as {}", pl.col("draw").hash(5))),
        campaign=pl.format("mailing-{}", "mailing"),
        message_id=pl.format("<{}.{}@news.example.com>", "number", "mailing"),
    )


def write_export(path: Path, count: int) -> None:
    """Write an export of so many rows, CSV or Parquet by the name of its file."""
    texts = replies(DIFFERENT)["reply"]
    starts = range(0, count, CHUNK)
    chunks = [path.with_suffix(f".{start}.parquet") for start in starts]
    for start, chunk in zip(starts, chunks, strict=True):
        part = rows(start, min(CHUNK, count - start), max(count // EVENTS, 1), texts)
        part.write_parquet(chunk, compression="lz4")
    whole = pl.scan_parquet(chunks)
    if path.suffix == ".csv":
        whole.sink_csv(path)
    else:
        whole.sink_parquet(path)
    for chunk in chunks:
        chunk.unlink()


# Run in a process of its own, so that its memory is its own.
WATCHED = """
import sys, time
from large import most_resident
start = time.perf_counter()
exec(sys.argv[1])
print("\\n", time.perf_counter() - start, most_resident())
"""


def most_resident() -> int:
    """Give the most bytes that were resident, of this process or one that it started.

    What getrusage(2) tells of a process begins with the memory of the one that started it.
    """
    own = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    inner = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(own[1]) if own else 0, inner) * 1024


def watched(code: str) -> tuple[float, int]:
    """Give the seconds and the most resident bytes of a piece of Python."""
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    seconds, resident = run.stdout.splitlines()[-1].split()
    return float(seconds), int(resident)


def exponent(counts: list[int], times: list[float]) -> float:
    """Give the slope of log time in log rows."""
    x, y = [math.log(c) for c in counts], [math.log(t) for t in times]
    x0, y0 = sum(x) / len(x), sum(y) / len(y)
    over = sum((a - x0) * (b - y0) for a, b in zip(x, y, strict=True))
    return over / sum((a - x0) ** 2 for a in x)


SCAN = "import polars as pl; e = pl.scan_{kind}('{path}').group_by('email').agg(pl.len())\n"
RUN = "from bouncekit.cli import app\ndef run(*a): app(a, standalone_mode=False)\n"
WORKS = {
    "plain scan and group_by": SCAN + "e.collect(engine='streaming')",
    "classify": RUN + "run('classify', '{path}', '-o', '{out}.parquet')",
    "decide": RUN + "run('decide', '{path}', '-o', '{out}.csv', '--force')",
}


def main(counts: list[int], kind: str = "csv") -> None:
    """Print a table for each size."""
    taken: dict[str, list[float]] = {name: [] for name in WORKS}
    for count in counts:
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"export.{kind}"
            start = perf_counter()
            write_export(path, count)
            size = path.stat().st_size
            print(f"{count:,} rows, {size / 1e9:.2f} GB ({perf_counter() - start:.0f} s to make)")
            for name, code in WORKS.items():
                seconds, resident = watched(
                    code.format(path=path, kind=kind, out=Path(folder) / "out")
                )
                taken[name].append(seconds)
                speed = f"{count / seconds:>12,.0f} rows/s{resident / 1e9:>8.2f} GB"
                print(f"  {name:<28}{seconds:>8.1f} s{speed}", flush=True)
    if len(counts) > 1:
        for name, times in taken.items():
            print(f"{name:<30}time grows with rows to the power of {exponent(counts, times):.2f}")


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:] if number != "--parquet"]
    main(numbers or [1_000_000, 3_000_000], "parquet" if "--parquet" in sys.argv else "csv")
