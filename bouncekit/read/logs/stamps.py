"""The times of log lines: with a date and a zone, or as syslog writes them, without a year."""

import re

import polars as pl

from bouncekit.schema import Time

DATED = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC\b|[+-]\d\d:?\d\d))?"
# RFC 3164 §4.1.2: "Oct 11 22:14:15", the day filled up with a blank.
SYSLOG = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d"
# journalctl -o short-unix
_COUNTED = r"\d{10}\.\d{6}"
# Before it the priority and version (RFC 5424 §6), or the weekday (journalctl -o short-full).
_STAMP = rf"^(?:<\d+>1? ?|[A-Z][a-z]{{2}} )?({DATED}|{SYSLOG}|{_COUNTED})"
_SYSLOG_LENGTH = len("Oct 11 22:14:15")
# Seconds since 1970 as qmail's splogger writes them, and TAI64N labels as multilog does.
MACHINE_STAMP = r"(?:^|\s)(\d{9,10}\.\d{6}|@4[0-9a-f]{23})(?: |$)"
# https://cr.yp.to/libtai/tai64.html; daemontools counts ten seconds more than the clock, whatever
# the leap seconds.
_TAI64_1970 = 2**62 + 10

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINE = re.compile(rf"(?m){_STAMP}")
_HOST = re.compile(rf"(?m){_STAMP} (\S+) [^\s:\[]+(?:\[\d+\])?: ")
_ZONE = re.compile(rf"(?:Z|UTC|[+-]\d\d:?\d\d|^{_COUNTED})$")


def stamp_of(text: pl.Expr) -> pl.Expr:
    """Give the time that a line begins with as it is written, or null.

    Most begin as syslog writes them: to cut these off costs a third of an expression with groups.
    """
    is_plain = text.str.contains(f"^{SYSLOG}")
    other = pl.when(~is_plain).then(text)
    return (
        pl.when(is_plain).then(text.str.head(_SYSLOG_LENGTH)).otherwise(other.str.extract(_STAMP))
    )


def first_day(head: str) -> tuple[int, int] | None:
    """Give month and day of the first line that has no year, or None where lines have one.

    >>> first_day("Oct  3 22:14:15 mx postfix/qmgr[7]: 4F3B2C1D0A: removed")
    (10, 3)
    """
    found = _LINE.search(head)
    if not found or found[1][0].isdigit():
        return None
    return _MONTHS.index(found[1][:3]) + 1, int(found[1][4:6])


def in_order(head: str) -> str | None:
    """Give the first time in a log as text that sorts as the times do, or None if there is none.

    Of times without a year it has YEARLESS letters.

    >>> in_order("Oct  3 22:14:15 mx postfix/qmgr[7]: 4F3B2C1D0A: removed")
    '10 03 22:14:15'
    """
    found = _LINE.search(head)
    if not found:
        return None
    if found[1][0].isdigit():
        return found[1][:19].replace("T", " ")
    month = _MONTHS.index(found[1][:3]) + 1
    day, time = found[1][4:6].replace(" ", "0"), found[1][7:]
    return f"{month:02} {day} {time}"


YEARLESS = len("10 03 22:14:15")


def hosts(head: str) -> set[str]:
    """Give the hosts that lines of syslog say they are from (RFC 3164 §4.1.2).

    >>> hosts("Oct  3 22:14:15 mx postfix/qmgr[7]: 4F3B2C1D0A: removed")
    {'mx'}
    """
    return {host for *_, host in _HOST.findall(head)}


def is_local(head: str) -> bool:
    """True where the first time in a log names no zone."""
    found = _LINE.search(head)
    return found is not None and not _ZONE.search(found[1])


def time_of(stamp: pl.Expr, zone: str, begin: tuple[pl.Expr, pl.Expr] | None) -> pl.Expr:
    """Give the time (Datetime, UTC) of a text that `stamp_of` gives or `MACHINE_STAMP` finds.

    `begin` is year and month of the first line of its file, where lines name no year: a month
    before that is of the year after. A time that the clocks left out in spring is null.
    """
    if begin is None:
        plain = stamp.str.replace(",", ".", literal=True).str.replace(" ", "T", literal=True)
        zoned = (
            plain.str.replace(" ", "", literal=True)
            .str.replace("UTC$", "Z")
            .str.replace(r"([+-]\d\d)(\d\d)$", "$1:$2")
        )
        return pl.coalesce(
            *_counted(stamp),
            zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_zone="UTC"),
            _local(zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False), zone),
        ).cast(Time)
    name = stamp.str.head(3)
    month = name.replace_strict(
        list(_MONTHS), list(range(1, 13)), default=None, return_dtype=pl.Int8
    )
    year, first = begin
    of_year = (year + (month < first)).cast(pl.String)
    day = stamp.str.slice(4).str.replace("^ ", "0")
    text = pl.concat_str(of_year, name, day, separator=" ")
    written = _local(text.str.to_datetime("%Y %b %d %H:%M:%S", strict=False), zone)
    return pl.coalesce(*_counted(stamp), written).cast(Time)


def _counted(stamp: pl.Expr) -> list[pl.Expr]:
    """Give the times of stamps that count seconds: since 1970, and TAI64N."""
    microseconds = stamp.str.extract(r"^(\d{9,10}\.\d{6})$").str.replace(".", "", literal=True)
    label = stamp.str.extract("^@([0-9a-f]{16})").str.to_integer(base=16, strict=False)
    nanoseconds = stamp.str.extract("^@[0-9a-f]{16}([0-9a-f]{8})").str.to_integer(
        base=16, strict=False
    )
    since = (label - _TAI64_1970) * 1_000_000 + nanoseconds // 1_000
    return [
        pl.from_epoch(count, time_unit="us").dt.replace_time_zone("UTC")
        for count in (microseconds.cast(pl.Int64), since)
    ]


def _local(time: pl.Expr, zone: str) -> pl.Expr:
    return time.dt.replace_time_zone(
        zone, ambiguous="earliest", non_existent="null"
    ).dt.convert_time_zone("UTC")
