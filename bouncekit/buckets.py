"""Lists larger than memory: their rows lie on disk by recipient, and are taken part by part."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from bouncekit.drafts import scratch

# Files that the rows are spread over. A part is as many of them as hold no more than these rows:
# some 400 bytes each while they are counted.
FILES = 96
ROWS = 700_000
# Rows of each file that wait in memory to be written.
GROUP = 10_000


@contextmanager
def in_parts(frame: pl.LazyFrame) -> Iterator[list[pl.LazyFrame]]:
    """Give the rows of a lazy frame as parts that share no recipient, each small enough to count.

    The frame is run through once, into files of a temporary folder (TMPDIR says where) that are
    deleted in the end, come what may.
    """
    schema = frame.collect_schema()
    with scratch() as folder:
        key = {"bucket": pl.col("recipient").hash() % FILES}
        files = pl.PartitionBy(folder, key=key, include_key=False)
        frame.sink_parquet(
            files, compression="lz4", statistics=False, row_group_size=GROUP, mkdir=True
        )
        sizes = {file: _rows(file) for file in sorted(folder.rglob("*.parquet"))}
        empty = pl.LazyFrame(schema=schema)
        yield [_scan(files) for files in _grouped(sizes)] or [empty]


def _rows(file: Path) -> int:
    return int(_scan([file]).select(pl.len()).collect().item())


def _scan(files: list[Path]) -> pl.LazyFrame:
    return pl.scan_parquet(files, glob=False, hive_partitioning=False)


def _grouped(sizes: dict[Path, int]) -> list[list[Path]]:
    """Put files of one bucket, and small buckets, together up to `ROWS`."""
    of_bucket: dict[Path, list[Path]] = {}
    for file in sizes:
        of_bucket.setdefault(file.parent, []).append(file)
    groups: list[list[Path]] = []
    rows = ROWS
    for files in of_bucket.values():
        more = sum(sizes[file] for file in files)
        if rows + more > ROWS:
            groups.append([])
            rows = 0
        groups[-1] += files
        rows += more
    return groups
