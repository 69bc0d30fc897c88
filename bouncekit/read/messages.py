"""Read bounce messages by the million: batch by batch, on all cores, one batch in memory each."""

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from bouncekit import verp
from bouncekit.errors import BouncekitError
from bouncekit.read.files import packed_chunks
from bouncekit.read.mailbox import raw_messages
from bouncekit.read.reports import Row, parse_message
from bouncekit.schema import BOUNCES

Message = tuple[str, int, bytes]  # file, number in it, raw mail
Batches = Iterator[list[Message]]

# The verdict of a mail that has no fields with a verdict: anybody can write one.
A_MAIL = "mail"
# What one process is given at a time: some 400 mails.
BATCH_BYTES = 2 << 20
# Fewer batches are read before other processes have started.
ALONE = 3
# Processes that get nothing to read for so long end, in seconds.
IDLE = 20


def read_messages(
    path: Path, packing: str = "", verp_key: str | bytes | None = None
) -> pl.LazyFrame:
    """The rows of an .eml file, an mbox or a Maildir folder, with the columns of BOUNCES.

    A row is what happened to one recipient; a mail that tells of none is one row `unreadable`.
    `packing` is "gzip" or "zstd" for a packed file. With `verp_key` there is a column `unmatched`,
    see `verp.checked`. Nothing is read before the frame is collected, and then no more than some
    batches are in memory at once. Collecting raises BouncekitError if a file cannot be read.
    """

    def frames(
        columns: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        for frame in _at_most(rows, _frames(path, packing, verp_key)):
            chosen = frame if wanted is None else frame.filter(wanted)
            yield chosen if columns is None else chosen.select(columns)

    schema = _schema(verp_key)
    return register_io_source(frames, schema=schema, explain_name="mails")


def _frames(path: Path, packing: str, verp_key: str | bytes | None) -> Iterator[pl.DataFrame]:
    """Give the rows batch by batch, in the order of the mails."""
    chunks = packed_chunks(path, packing) if packing else None
    batches = _batches(raw_messages(path, chunks))
    alone = list(islice(batches, ALONE))
    if len(alone) < ALONE:
        yield from (_parsed(batch, verp_key) for batch in alone)
        return
    yield from _in_processes(chain(alone, batches), verp_key)


def _batches(messages: Iterator[Message]) -> Batches:
    batch: list[Message] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message[2])
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _parsed(batch: list[Message], verp_key: str | bytes | None) -> pl.DataFrame:
    rows = [
        {"source_class": A_MAIL, **row, "source": source, "line": line}
        for source, line, raw in batch
        for row in _checked(parse_message(raw), raw, verp_key)
    ]
    schema = _schema(verp_key)
    return pl.DataFrame({name: [r.get(name) for r in rows] for name in schema}, schema=schema)


def _checked(rows: list[Row], raw: bytes, verp_key: str | bytes | None) -> list[Row]:
    return rows if verp_key is None else verp.checked(rows, raw, verp_key)


def _schema(verp_key: str | bytes | None) -> dict[str, pl.DataType]:
    return BOUNCES if verp_key is None else {**BOUNCES, "unmatched": pl.Boolean()}


def _in_processes(batches: Batches, verp_key: str | bytes | None) -> Iterator[pl.DataFrame]:
    """Parse batches on all cores, with two for each core under way, and give them in order."""
    # Its processes do not run the user's script again, as those of the standard library do.
    from loky import cpu_count, get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    cores = cpu_count()
    executor = get_reusable_executor(max_workers=cores, timeout=IDLE)
    try:
        ahead = deque(
            executor.submit(_parsed, batch, verp_key) for batch in islice(batches, 2 * cores)
        )
        while ahead:
            frame = ahead.popleft().result()
            ahead.extend(executor.submit(_parsed, batch, verp_key) for batch in islice(batches, 1))
            yield frame
    except TerminatedWorkerError:
        raise BouncekitError(
            "A process that reads mails was ended from outside, most likely for want of memory: "
            "read fewer files at once."
        ) from None


def _at_most(rows: int | None, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    left = rows
    for frame in frames:
        if left is None:
            yield frame
            continue
        yield frame.head(left)
        left -= frame.height
        if left <= 0:
            return
