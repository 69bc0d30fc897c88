"""Read the logs of mail servers: what became of each recipient, joined from several lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from bouncekit.errors import BouncekitError
from bouncekit.read.files import Peek, as_text, is_wide
from bouncekit.read.layouts import Options
from bouncekit.read.logs import (
    exim,
    haraka,
    hmailserver,
    mailenable,
    mdaemon,
    opensmtpd,
    postfix,
    qmail,
    rotated,
    sendmail,
    stamps,
)
from bouncekit.read.logs.blocks import line_blocks
from bouncekit.read.logs.export import entries, is_export
from bouncekit.read.logs.stream import Server, events_of
from bouncekit.read.logs.wrappings import Unwrap, unwrap, unwrapped
from bouncekit.schema import BOUNCES

READERS = {
    "Postfix": Server(postfix.LINE, postfix.told, postfix.events, postfix.waiting),
    "Exim": Server(exim.LINE, exim.told, exim.events, exim.waiting),
    "Sendmail": Server(sendmail.LINE, sendmail.told, sendmail.events, sendmail.waiting),
    "qmail": Server(qmail.LINE, qmail.told, qmail.events, qmail.waiting),
    "OpenSMTPD": Server(opensmtpd.LINE, opensmtpd.told, opensmtpd.events, opensmtpd.waiting),
    "Haraka": Server(haraka.LINE, haraka.told, haraka.events, haraka.waiting),
    "hMailServer": Server(
        hmailserver.LINE, hmailserver.told, hmailserver.events, hmailserver.waiting, is_local=True
    ),
    "MailEnable": Server(
        mailenable.LINE, mailenable.told, mailenable.events, mailenable.waiting, is_local=True
    ),
    "MDaemon": Server(mdaemon.LINE, mdaemon.told, mdaemon.events, mdaemon.waiting, is_local=True),
}

_HEAD_LINES = 400

# Year and month of the first line of each file.
Begins = tuple[pl.Series, pl.Series]


@dataclass(frozen=True)
class Log:
    """A log's server, its events as columns of BOUNCES, and what was inferred."""

    server: str
    frame: pl.LazyFrame
    inferred: tuple[str, ...]


def server_of(head: bytes) -> str | None:
    """Give the server whose log begins like this, or None if it is no log of a known one.

    >>> server_of(b"Mar  4 09:12:00 mx postfix/qmgr[7]: 4F3B2C1D0A: removed")
    'Postfix'
    """
    lines, _ = _first_lines(head)
    counts = {name: lines.str.contains(server.line).sum() for name, server in READERS.items()}
    server = max(counts, key=lambda name: counts[name])
    return server if counts[server] * 5 >= (lines.str.strip_chars() != "").sum() > 0 else None


def _first_lines(head: bytes) -> tuple[pl.Series, Unwrap | None]:
    """Give the first lines of a log without their wrappings, and what takes these off."""
    if is_export(head):
        head = b"".join(entries(iter([head])))
    # All that tells a log by is ASCII.
    text = as_text(head) if is_wide(head) else head.decode("utf-8-sig", errors="replace")
    lines = pl.Series([line.removesuffix("\r") for line in text.split("\n")[:_HEAD_LINES]])
    off = unwrap(lines)
    return (lines if off is None else unwrapped(lines, off)), off


def are_one(files: Sequence[tuple[Path, Peek]]) -> bool:
    """True where files, the oldest first, are a log that rotation cut."""
    begun = [_first_lines(peek.head) for _, peek in files]
    if len({off is None for _, off in begun}) > 1:
        return False
    return rotated.go_on(["\n".join(lines) for lines, _ in begun])


def read_log(server: str, files: Sequence[tuple[Path, Peek]], options: Options) -> Log:
    """Give the events of a log, in one file or several that go on (`are_one`).

    A line that should tell of an event and does not is `unreadable`. Times without a zone are those
    of `options.tz`, else UTC; lines without a year get `options.year` from the first line on, else
    the year in which none lies after their file's date.
    """
    begun = [_first_lines(peek.head) for _, peek in files]
    heads = ["\n".join(lines) for lines, _ in begun]
    begins, told = _begins([path for path, _ in files], heads, options)
    if options.tz is None and (READERS[server].is_local or stamps.is_local(heads[0])):
        told = (*told, "times without a zone taken as UTC")
    source = _source(READERS[server], files, begun[0][1], begins, options.tz or "UTC")
    return Log(server, source, told)


def _source(
    server: Server,
    files: Sequence[tuple[Path, Peek]],
    off: Unwrap | None,
    begins: Begins | None,
    zone: str,
) -> pl.LazyFrame:
    """Give the events of a log as Polars asks for them: what nobody wants is not worked out."""
    columns = {name: pl.col(name).cast(dtype) for name, dtype in BOUNCES.items() if name != "time"}

    def frames(
        names: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        starts: list[int] = []

        def finish(events: pl.LazyFrame) -> pl.LazyFrame:
            begun = pl.Series(starts, dtype=pl.UInt32)
            file = pl.lit(begun).search_sorted(pl.col("line"), side="right") - 1
            sources = pl.Series([str(path) for path, _ in files])
            line = pl.col("line") - pl.lit(begun).gather(file)
            begin = begins and (pl.lit(begins[0]).gather(file), pl.lit(begins[1]).gather(file))
            placed = columns | {
                "time": stamps.time_of(pl.col("stamp"), zone, begin),
                "source": pl.lit(sources).gather(file),
                "line": line.cast(pl.Int64) + 1,
            }
            frame = events.select(placed[name].alias(name) for name in BOUNCES)
            chosen = frame if wanted is None else frame.filter(wanted)
            return chosen if names is None else chosen.select(names)

        left = rows
        for frame in events_of(server, _blocks(files, starts), finish, off):
            yield frame if left is None else frame.head(left)
            left = None if left is None else left - frame.height
            if left is not None and left <= 0:
                return

    return register_io_source(frames, schema=dict(BOUNCES), explain_name="mail log")


def _blocks(files: Sequence[tuple[Path, Peek]], starts: list[int]) -> Iterator[tuple[int, bytes]]:
    """Give the blocks of files one after the other; where each begins is added to `starts`."""
    lines = 0
    for path, peek in files:
        starts.append(lines)
        for first, block in line_blocks(path, peek):
            yield starts[-1] + first, block
            lines = starts[-1] + first + block.count(b"\n") + (not block.endswith(b"\n"))


def _begins(
    paths: Sequence[Path], heads: Sequence[str], options: Options
) -> tuple[Begins | None, tuple[str, ...]]:
    """Give year and month of the first line of each file, and what is to be told of the years.

    None where lines name their year.
    """
    firsts = [stamps.first_day(head) for head in heads]
    known = [first for first in firsts if first]
    if len(known) < len(firsts):
        return None, ()
    if options.year is not None:
        falls = [one > two for one, two in pairwise(known)]
        years = list(accumulate(falls, initial=options.year))
        notes = []
    else:
        years = [_year(path, first) for path, first in zip(paths, known, strict=True)]
        notes = [f"year {year} from the date of the file" for year in dict.fromkeys(years)]
    months = pl.Series([month for month, _ in known], dtype=pl.Int8)
    return (pl.Series(years, dtype=pl.Int32), months), tuple(notes)


def _year(path: Path, first: tuple[int, int]) -> int:
    """Give the year of the first line in which none lies after the file's date."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise BouncekitError(f"{path} cannot be opened ({error}): check its rights.") from None
    return written.year - (first > (written.month, written.day + 1))
