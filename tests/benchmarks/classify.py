"""How fast replies are classified, beside the floor of reading and lower-casing the same text.

    python tests/benchmarks/classify.py [replies]

Makes replies that are all different, about 175 bytes each, from the wordings of the sample data.
"""

import os
import platform
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import polars as pl

import bouncekit as bk

DATA = Path(__file__).parent.parent.parent / "data"
LENGTH = 175  # bytes of an average reply
RUNS = 3


def replies(count: int) -> pl.DataFrame:
    """Give `count` different replies."""
    rng = random.Random(550)
    servers = tomllib.loads((DATA / "wordings.toml").read_text(encoding="utf-8"))["servers"]
    wordings = [text for s in servers.values() for texts in s["replies"].values() for text in texts]

    def one(number: int) -> str:
        name = f"{rng.getrandbits(40):x}"
        text = (
            rng.choice(wordings)
            .replace("{email}", f"{name}@mail{number % 997}.example")
            .replace("{id}", f"{number:x}")
        )
        ip = f"192.0.2.{number % 250}"
        return f"{text} host mx{number % 9}.example.org[{ip}] id {name}".ljust(LENGTH, ".")

    return pl.DataFrame({"reply": [one(number) for number in range(count)]})


def seconds(work: Callable[[], object]) -> float:
    """Give the median time of some runs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return sorted(times)[RUNS // 2]


def main(count: int) -> None:
    """Print one line a measurement."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "replies.parquet"
        made = replies(count)
        made.write_parquet(path)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Polars {pl.__version__}")
        length = made["reply"].str.len_bytes().sum() // count
        print(f"{count:,} different replies of {length} bytes; median of {RUNS} runs")
        scan = pl.scan_parquet(path)
        text = pl.col("reply").str.to_lowercase().str.len_bytes().sum()
        floor = seconds(lambda: scan.select(text).collect(engine="streaming"))
        causes = bk.classify(scan).group_by("category").len()
        streaming = seconds(lambda: causes.collect(engine="streaming"))
        eager = seconds(lambda: bk.classify(made))
        for name, took in (
            ("floor", floor),
            ("streaming", streaming),
            ("eager, all columns", eager),
        ):
            print(
                f"{name:<20}{took:6.2f} s{count / took:14,.0f} replies/s{took / floor:8.1f} x floor"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
