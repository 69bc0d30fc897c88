"""A lazy frame of rows that Python makes batch by batch, so that few are in memory at once."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import ceil

import polars as pl
from polars.io.plugins import register_io_source

Frames = Iterator[pl.DataFrame]

# What Polars gives of a CSV at a time is 5,000 to 15,000 rows, and some work is done once a batch:
# how often it is done is half of the time that `classify` takes after it.
BATCH = 100_000  # rows
AT_ONCE = 100_000_000  # bytes that a batch of long rows may have


def rows_within(size: int, head: bytes) -> int:
    """How many rows, up to `BATCH`, hold so many bytes, by the lines that a file begins with."""
    line = len(head) / (head.count(b"\n") + 1)
    return max(1, min(BATCH, int(size / line)))


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


def in_large_batches(
    frame: pl.LazyFrame,
    *,
    batch: int | None = None,
    guard: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> pl.LazyFrame:
    """The same rows, many at a time; still only what is asked for is read.

    `batch` is how many; where it is not known, `BATCH`, and fewer if they have more than `AT_ONCE`.
    `guard` stands round the reading, and may tell its errors in other words.
    """

    def source(
        columns: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Frames:
        asked = frame if rows is None else frame.head(rows)
        asked = asked if wanted is None else asked.filter(wanted)
        asked = asked if columns is None else asked.select(columns)
        with guard():
            pieces = asked.collect_batches(
                chunk_size=batch, maintain_order=True, engine="streaming"
            )
            yield from _together(pieces, batch or BATCH)

    return register_io_source(source, schema=frame.collect_schema(), explain_name="exports")


def _together(pieces: Frames, batch: int) -> Frames:
    """The rows of small pieces in large ones, each of one piece of memory."""
    held: list[pl.DataFrame] = []
    rows, size = 0, 0.0
    for piece in pieces:
        held.append(piece)
        rows += piece.height
        size += piece.estimated_size()
        if rows >= batch or size >= AT_ONCE:
            parts = max(1, rows // batch, ceil(size / AT_ONCE))
            yield from pl.concat(held, rechunk=True).iter_slices(-(-rows // parts))
            held, rows, size = [], 0, 0.0
    if held:
        yield pl.concat(held, rechunk=True)


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
