"""A lazy frame of rows that Python makes batch by batch, so that few are in memory at once."""

from collections.abc import Callable, Iterator

import polars as pl
from polars.io.plugins import register_io_source

Frames = Iterator[pl.DataFrame]

# What Polars gives of a CSV at a time is 10,000 rows or so, and some work is done once a batch:
# how often it is done is half of the time that `classify` takes after it.
BATCH = 50_000  # rows


def in_batches(frames: Callable[[], Frames], schema: pl.Schema, name: str) -> pl.LazyFrame:
    """The rows of frames that are made anew, one after another, whenever it is collected.

    `name` is what a query plan calls them.
    """

    def source(
        columns: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Frames:
        for frame in _at_most(rows, frames()):
            chosen = frame if wanted is None else frame.filter(wanted)
            yield chosen if columns is None else chosen.select(columns)

    return register_io_source(source, schema=schema, explain_name=name)


def in_large_batches(frame: pl.LazyFrame) -> pl.LazyFrame:
    """The same rows, `BATCH` of them at a time; still only what is asked for is read."""

    def source(
        columns: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Frames:
        asked = frame if rows is None else frame.head(rows)
        asked = asked if wanted is None else asked.filter(wanted)
        asked = asked if columns is None else asked.select(columns)
        yield from asked.collect_batches(chunk_size=BATCH, maintain_order=True, engine="streaming")

    return register_io_source(source, schema=frame.collect_schema(), explain_name="exports")


def _at_most(rows: int | None, frames: Frames) -> Frames:
    left = rows
    for frame in frames:
        if left is None:
            yield frame
            continue
        yield frame.head(left)
        left -= frame.height
        if left <= 0:
            return
