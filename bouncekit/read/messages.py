"""Read bounce messages by the million: on all cores, some blocks of mails in memory at once."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain, groupby, islice, pairwise
from operator import itemgetter
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.files import packed_chunks
from bouncekit.read.mailbox import CHUNK, blocks, chunks_of, maildir_files, mails
from bouncekit.read.streams import in_batches
from bouncekit.schema import BOUNCES

# What a process is given at a time: files and some mails of each, as `blocks` gives them.
Task = list[tuple[str, bytes]]
Work = Callable[[Task], pl.DataFrame]

# The verdict of a mail that has no fields with a verdict: anybody can write one.
A_MAIL = "mail"
# Fewer tasks are done before other processes have started.
ALONE = 3
# Tasks done or under way of which the first is not done yet, for each other process.
AHEAD = 32
# Processes that get nothing to read for so long end, in seconds.
IDLE = 20
# What a thread waits at most for its turn: with Python's 5 ms, other processes wait for work.
TURN = 0.000_5


def read_messages(
    paths: Path | Sequence[Path], packing: str = "", verp_key: str | bytes | None = None
) -> pl.LazyFrame:
    """The rows of .eml files, mboxes and Maildir folders, with the columns of BOUNCES.

    A row is what happened to one recipient; a mail that tells of none is one row `unreadable`;
    `line` is the number of the mail in its file. `packing` is "gzip" or "zstd" for packed files.
    With `verp_key` there is a column `unmatched`, see `verp.checked`. Nothing is read before the
    frame is collected, and then no more than some blocks of mails are in memory at once.
    Collecting raises BouncekitError if a file cannot be read.
    """
    places = [paths] if isinstance(paths, Path) else list(paths)

    return in_batches(lambda: _frames(places, packing, verp_key), _schema(verp_key), "mails")


def _frames(
    paths: list[Path], packing: str, verp_key: str | bytes | None
) -> Iterator[pl.DataFrame]:
    """Give the rows task by task, in the order of the mails."""
    work = partial(_rows, verp_key=verp_key)
    tasks = _tasks(paths, packing)
    first = list(islice(tasks, ALONE))
    tasks = chain(first, tasks)
    yield from _numbered(map(work, tasks) if len(first) < ALONE else _on_all_cores(work, tasks))


def _tasks(paths: list[Path], packing: str) -> Iterator[Task]:
    task: Task = []
    size = 0
    for path in chain.from_iterable(maildir_files(p) if p.is_dir() else [p] for p in paths):
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        for block in blocks(packed_chunks(path, packing) if packing else chunks_of(path)):
            task.append((name, block))
            size += len(block)
            if size > CHUNK // 2:
                yield task
                task, size = [], 0
    if task:
        yield task


def _rows(task: Task, verp_key: str | bytes | None) -> pl.DataFrame:
    """Give the rows of a task; `line` counts the mails of a file from its first one here."""
    # Their many patterns are slow to load.
    from bouncekit.read.reports import parse_message
    from bouncekit.verp import checked

    found = (
        (source, line, raw)
        for source, pieces in groupby(task, key=itemgetter(0))
        for line, raw in enumerate((raw for _, piece in pieces for raw in mails(piece)), start=1)
    )
    rows = [
        {"source_class": A_MAIL, **row, "source": source, "line": line}
        for source, line, raw in found
        for row in checked(parse_message(raw), raw, verp_key)
    ]
    schema = _schema(verp_key)
    return pl.DataFrame({name: [r.get(name) for r in rows] for name in schema}, schema=schema)


def _numbered(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Count on where a frame goes on with the file that the one before ended with."""
    last, count = "", 0
    for frame in frames:
        before = pl.when(source=last).then(count).otherwise(0)
        numbered = frame.with_columns(line=pl.col("line") + before)
        yield numbered
        last, count = numbered["source"][-1], numbered["line"][-1]


def _schema(verp_key: str | bytes | None) -> pl.Schema:
    return pl.Schema(BOUNCES if verp_key is None else {**BOUNCES, "unmatched": pl.Boolean()})


def _on_all_cores(work: Work, tasks: Iterator[Task]) -> Iterator[pl.DataFrame]:
    """Do tasks in other processes and, while these are busy, in this one; give them in order."""
    # Its processes do not run the user's script again, as those of the standard library do.
    from loky import cpu_count, get_reusable_executor
    from loky.process_executor import TerminatedWorkerError

    others = max(1, cpu_count() - 1)
    executor = get_reusable_executor(max_workers=others, timeout=IDLE)
    ahead: deque[Future[pl.DataFrame]] = deque()
    try:
        for task, following in pairwise(chain(tasks, [[]])):
            # The last one waits for no busy process: this one has nothing else to do.
            enough = 2 * others if following else others
            is_free = sum(not future.done() for future in ahead) < enough
            ahead.append(executor.submit(work, task) if is_free else _here(work, task))
            while ahead and (ahead[0].done() or len(ahead) > AHEAD * others):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except TerminatedWorkerError:
        raise BouncekitError(
            "A process that reads mails was ended from outside, most likely for want of memory: "
            "read fewer files at once."
        ) from None


def _here(work: Work, task: Task) -> Future[pl.DataFrame]:
    """Do a task in this process, whose threads that serve the others get their turn at once."""
    future: Future[pl.DataFrame] = Future()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    try:
        future.set_result(work(task))
    finally:
        sys.setswitchinterval(usual)
    return future
