"""Read the logs of mail servers: what became of each recipient, joined from several lines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.files import Peek, as_text, unpack
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
    sendmail,
    stamps,
)
from bouncekit.schema import BOUNCES

# What one server's log gives from a frame of line (UInt32) and text (String): the columns of
# BOUNCES but time, source and line, and `line` and `stamp`, the text that holds the time.
Reader = Callable[[pl.LazyFrame], pl.LazyFrame]

READERS: dict[str, Reader] = {
    "Postfix": postfix.events,
    "Exim": exim.events,
    "Sendmail": sendmail.events,
    "qmail": qmail.events,
    "OpenSMTPD": opensmtpd.events,
    "Haraka": haraka.events,
    "hMailServer": hmailserver.events,
    "MailEnable": mailenable.events,
    "MDaemon": mdaemon.events,
}
_TELLING = {
    "Postfix": postfix.LINE,
    "Exim": exim.LINE,
    "Sendmail": sendmail.LINE,
    "qmail": qmail.LINE,
    "OpenSMTPD": opensmtpd.LINE,
    "Haraka": haraka.LINE,
    "hMailServer": hmailserver.LINE,
    "MailEnable": mailenable.LINE,
    "MDaemon": mdaemon.LINE,
}
# Their lines never name a zone.
_LOCAL = ("hMailServer", "MailEnable", "MDaemon")

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
    lines = pl.Series(head.decode("utf-8", errors="replace").split("\n")[:_HEAD_LINES])
    counts = {server: lines.str.contains(line).sum() for server, line in _TELLING.items()}
    server = max(counts, key=lambda name: counts[name])
    return server if counts[server] * 5 >= (lines.str.strip_chars() != "").sum() > 0 else None


def read_log(server: str, path: Path, peek: Peek, options: Options) -> Log:
    """Give the events of a log; a line that should tell of one and does not is `unreadable`.

    Times without a zone are those of `options.tz`, else UTC; lines without a year get
    `options.year` from the first line on, else the year in which none lies after the file's date.
    """
    lines = _lines(path, peek)
    head = peek.head.decode("utf-8", errors="replace")
    first = stamps.first_day(head)
    year, told = _year(path, first, options)
    if options.tz is None and (server in _LOCAL or stamps.is_local(head)):
        told = (*told, "times without a zone taken as UTC")
    columns = {name: pl.col(name).cast(dtype) for name, dtype in BOUNCES.items()}
    columns["time"] = stamps.time_of(pl.col("stamp"), year, first, options.tz or "UTC")
    columns["source"] = pl.lit(str(path))
    columns["line"] = pl.col("line").cast(pl.Int64) + 1
    frame = READERS[server](lines).select(value.alias(name) for name, value in columns.items())
    return Log(server, frame, told)


def _lines(path: Path, peek: Peek) -> pl.LazyFrame:
    if peek.packing == "gzip" or not _is_utf8(peek.head):
        text = as_text(unpack(path, peek.packing))
        return pl.LazyFrame({"text": text.split("\n")}).with_row_index("line")
    return pl.scan_lines(path, name="text", row_index_name="line", glob=False)


def _is_utf8(head: bytes) -> bool:
    try:
        head[: head.rfind(b"\n") + 1].decode()
    except UnicodeDecodeError:
        return False
    return True


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
