"""Lists in parts that share no recipient: in memory, or on disk where they are larger than that."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import polars as pl

from bouncekit.drafts import scratch
from bouncekit.read.streams import in_batches

# A list of no more bytes stays in memory.
HELD = 256_000_000
# Files that the rows of others are spread over. A part is as many of them as hold no more than
# these rows: some 400 bytes each while they are counted.
FILES = 112
ROWS = 700_000
# Rows of each file that wait in memory to be written.
GROUP = 10_000

_HASH = pl.col("recipient").hash()


@contextmanager
def in_parts(frame: pl.LazyFrame) -> Iterator[list[pl.LazyFrame]]:
    """Give the rows of a lazy frame as parts that share no recipient, each small enough to count.

    The frame is run through once. What is too much for memory goes into files of a temporary
    folder (TMPDIR says where) that are deleted in the end, come what may.
    """
    schema = frame.collect_schema()
    batches = frame.collect_batches(maintain_order=False, engine="streaming")
    held, size = [pl.DataFrame(schema=schema)], 0.0
    while size <= HELD:
        batch = next(batches, None)
        if batch is None:
            yield _split(_emptied(held))
            return
        held.append(batch)
        size += batch.estimated_size()
    with scratch() as folder:
        files = pl.PartitionBy(folder, key={"bucket": _HASH % FILES}, include_key=False)
        rows = in_batches(lambda: chain(_let_go(held), batches), schema, "rows")
        rows.sink_parquet(
            files, compression="lz4", statistics=False, row_group_size=GROUP, mkdir=True
        )
        sizes = {file: _rows(file) for file in sorted(folder.rglob("*.parquet"))}
        yield [_scan(files) for files in _grouped(sizes)]


def _emptied(held: list[pl.DataFrame]) -> pl.DataFrame:
    """All rows of a list of frames, which holds none of them any longer."""
    rows = pl.concat(held)
    held.clear()
    return rows


def _split(rows: pl.DataFrame) -> list[pl.LazyFrame]:
    number = -(-rows.height // ROWS)
    if number <= 1:
        return [rows.lazy()]
    parts = rows.with_columns(bucket=_HASH % number).partition_by("bucket", include_key=False)
    return [part.lazy() for part in parts]


def _let_go(held: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    while held:
        yield held.pop()


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
