"""Read the logs of mail servers: what became of each recipient, joined from several lines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
    the year in which none lies after the (first) file's date.
    """
    path, peek = files[0]
    lines, off = _first_lines(peek.head)
    head = "\n".join(lines)
    first = stamps.first_day(head)
    year, told = _year(path, first, options)
    if options.tz is None and (READERS[server].is_local or stamps.is_local(head)):
        told = (*told, "times without a zone taken as UTC")
    columns = {name: pl.col(name).cast(dtype) for name, dtype in BOUNCES.items()}
    columns["time"] = stamps.time_of(pl.col("stamp"), year, first, options.tz or "UTC")
    return Log(server, _source(READERS[server], files, off, columns), told)


def _source(
    server: Server,
    files: Sequence[tuple[Path, Peek]],
    off: Unwrap | None,
    columns: Mapping[str, pl.Expr],
) -> pl.LazyFrame:
    """Give the events of a log as Polars asks for them: what nobody wants is not worked out."""

    def frames(
        names: list[str] | None, wanted: pl.Expr | None, rows: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        starts: list[int] = []

        def finish(events: pl.LazyFrame) -> pl.LazyFrame:
            placed = {**columns, **_places([path for path, _ in files], starts)}
            frame = events.select(value.alias(name) for name, value in placed.items())
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


def _places(paths: Sequence[Path], starts: Sequence[int]) -> dict[str, pl.Expr]:
    """Give source and line of events by their line among all files, of which some have begun."""
    begun = pl.Series(starts, dtype=pl.UInt32)
    file = pl.lit(begun).search_sorted(pl.col("line"), side="right") - 1
    names = pl.Series([str(path) for path in paths[: len(begun)]])
    line = pl.col("line") - pl.lit(begun).gather(file)
    return {"source": pl.lit(names).gather(file), "line": line.cast(pl.Int64) + 1}


def _year(
    path: Path, first: tuple[int, int] | None, options: Options
) -> tuple[int, tuple[str, ...]]:
    """Give the year of the first line, and what is to be told of it."""
    if first is None:
        return 0, ()
    if options.year is not None:
        return options.year, ()
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise BouncekitError(f"{path} cannot be opened ({error}): check its rights.") from None
    year = written.year - (first > (written.month, written.day + 1))
    return year, (f"year {year} from the date of the file",)
