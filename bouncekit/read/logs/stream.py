"""Read a log block by block: what later lines may still ask for is carried, the rest forgotten."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from bouncekit.read.logs.blocks import lines_of
from bouncekit.read.logs.wrappings import Unwrap

# Blocks that are read, and that are joined, at once; each takes some five times its size.
AHEAD = 2
# Lines of mails under way that are remembered, some 200 bytes each. Of more the oldest are
# forgotten: what is told of such a mail names neither sender nor message, and that it expired is
# told of nobody.
CARRIED_LINES = 4_000_000


@dataclass(frozen=True)
class Server:
    """How the log of one mail server is read.

    `line` is the regular expression that tells its lines. `told` takes a frame of line (UInt32)
    and text (String) and gives the lines that matter, with `key`, the mail or session that joins
    them, and whatever else the others need. `events` gives the events of such lines, sorted by
    them: the columns of `as_events`. It looks back, never ahead: `known` is the last line that an
    event rests on. `waiting` gives those of the lines that later ones may rest on. `is_local` says
    that no line ever names a zone.
    """

    line: str
    told: Callable[[pl.LazyFrame], pl.LazyFrame]
    events: Callable[[pl.LazyFrame], pl.LazyFrame]
    waiting: Callable[[pl.LazyFrame], pl.LazyFrame]
    is_local: bool = False


def events_of(
    server: Server,
    blocks: Iterable[tuple[int, bytes]],
    finish: Callable[[pl.LazyFrame], pl.LazyFrame],
    off: Unwrap | None = None,
) -> Iterator[pl.DataFrame]:
    """Give the events of a log's blocks in order, each frame as `finish` makes it of events.

    `off` takes off what other programs wrapped round each line. Threads serve, since Polars works
    outside of Python's lock: the lines of the next block are read while those of the last are
    joined.
    """
    carried: pl.DataFrame | None = None
    done: deque[Future[pl.DataFrame]] = deque()
    with ThreadPoolExecutor(AHEAD) as pool:
        for first, told in _told(server, blocks, off, pool):
            these, carried = _with_carried(server, told, carried)
            done.append(pool.submit(_joined, server, these, first, finish))
            if len(done) >= AHEAD:
                yield done.popleft().result()
        while done:
            yield done.popleft().result()


def _told(
    server: Server,
    blocks: Iterable[tuple[int, bytes]],
    off: Unwrap | None,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Give the lines of each block that matter; the next block is read meanwhile."""
    ahead: deque[tuple[int, Future[pl.DataFrame]]] = deque()
    for first, block in blocks:
        ahead.append((first, pool.submit(_told_of, server, first, block, off)))
        if len(ahead) >= AHEAD:
            number, future = ahead.popleft()
            yield number, future.result()
    for number, future in ahead:
        yield number, future.result()


def _told_of(server: Server, first: int, block: bytes, off: Unwrap | None) -> pl.DataFrame:
    return server.told(lines_of(first, block, off)).collect()


def _with_carried(
    server: Server, told: pl.DataFrame, carried: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the lines that belong together with those of a block, and what is carried on.

    What is carried is sorted by line.
    """
    if carried is None:
        carried = told.clear()
    # The smaller frame is searched for the keys of the larger.
    busy = told.select("key").join(carried.select("key"), on="key", how="semi").unique()
    asked = carried.join(busy, on="key", how="semi")
    these = pl.concat([asked, told]) if len(asked) else told
    idle = carried.join(busy, on="key", how="anti")
    waiting = server.waiting(these.lazy()).select(told.columns).collect()
    return these, _compact(pl.concat([idle, waiting]).sort("line").tail(CARRIED_LINES))


def _joined(
    server: Server,
    these: pl.DataFrame,
    first: int,
    finish: Callable[[pl.LazyFrame], pl.LazyFrame],
) -> pl.DataFrame:
    """Give the events that this block is the first to tell."""
    events = server.events(these.lazy()).filter(pl.col("known") >= first)
    return finish(events.sort("known", "line", maintain_order=True)).collect()


def _compact(carried: pl.DataFrame) -> pl.DataFrame:
    """Give the lines with texts of their own: as views they would keep their blocks in memory."""
    return carried.with_columns(pl.col(pl.String) + pl.lit(""))
