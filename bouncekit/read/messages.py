"""Read bounce messages by the million: batch by batch, on all cores, one batch in memory each."""

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.batches import in_batches
from bouncekit.read.files import packed_chunks
from bouncekit.read.mailbox import raw_messages
from bouncekit.read.reports import parse_message
from bouncekit.schema import BOUNCES

Message = tuple[str, int, bytes]  # file, number in it, raw mail
Batches = Iterator[list[Message]]

# What one process is given at a time: some 400 mails.
BATCH_BYTES = 2 << 20
# Fewer batches are read before other processes have started.
ALONE = 3
# Processes that get nothing to read for so long end, in seconds.
IDLE = 20


def read_messages(path: Path, packing: str = "") -> pl.LazyFrame:
    """The rows of an .eml file, an mbox or a Maildir folder, with the columns of BOUNCES.

    A row is what happened to one recipient; a mail that tells of none is one row `unreadable`.
    `packing` is "gzip" or "zstd" for a packed file. Nothing is read before the frame is collected,
    and then no more than some batches are in memory at once. Collecting raises BouncekitError if a
    file cannot be read.
    """

    return in_batches(lambda: _frames(path, packing), pl.Schema(BOUNCES), "mails")


def _frames(path: Path, packing: str) -> Iterator[pl.DataFrame]:
    """Give the rows batch by batch, in the order of the mails."""
    chunks = packed_chunks(path, packing) if packing else None
    batches = _batches(raw_messages(path, chunks))
    alone = list(islice(batches, ALONE))
    if len(alone) < ALONE:
        yield from map(_parsed, alone)
        return
    yield from _in_processes(chain(alone, batches))


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


def _parsed(batch: list[Message]) -> pl.DataFrame:
    rows = [
        {**row, "source": source, "line": line}
        for source, line, raw in batch
        for row in parse_message(raw)
    ]
    return pl.DataFrame({name: [r.get(name) for r in rows] for name in BOUNCES}, schema=BOUNCES)


def _in_processes(batches: Batches) -> Iterator[pl.DataFrame]:
    """Parse batches on all cores, with two for each core under way, and give them in order."""
    # Its processes do not run the user's script again, as those of the standard library do.
    from loky import cpu_count, get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    cores = cpu_count()
    executor = get_reusable_executor(max_workers=cores, timeout=IDLE)
    try:
        ahead = deque(executor.submit(_parsed, batch) for batch in islice(batches, 2 * cores))
        while ahead:
            frame = ahead.popleft().result()
            ahead.extend(executor.submit(_parsed, batch) for batch in islice(batches, 1))
            yield frame
    except TerminatedWorkerError:
        raise BouncekitError(
            "A process that reads mails was ended from outside, most likely for want of memory: "
            "read fewer files at once."
        ) from None
