"""The times of log lines: with a date and a zone, or as syslog writes them, without a year."""

import re

import polars as pl

from bouncekit.schema import Time

_DATED = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
# RFC 3164 §4.1.2: "Oct 11 22:14:15", the day filled up with a blank.
_SYSLOG = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d"
# RFC 5424 §6 writes the priority and version before the time.
STAMP = rf"^(?:<\d+>1? ?)?({_DATED}|{_SYSLOG})"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINE = re.compile(rf"(?m){STAMP}")
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


def first_day(head: str) -> tuple[int, int] | None:
    """Give month and day of the first line that has no year, or None where lines have one.

    >>> first_day("Oct  3 22:14:15 mx postfix/qmgr[7]: 4F3B2C1D0A: removed")
    (10, 3)
    """
    found = _LINE.search(head)
    if not found or found[1][0].isdigit():
        return None
    return _MONTHS.index(found[1][:3]) + 1, int(found[1][4:6])


def is_local(head: str) -> bool:
    """True where the first time in a log names no zone."""
    found = _LINE.search(head)
    return found is not None and not _ZONE.search(found[1])


def time_of(stamp: pl.Expr, year: int, first: tuple[int, int] | None, zone: str) -> pl.Expr:
    """Give the time (Datetime, UTC) of the text that `STAMP` found.

    `year` is that of the first line; a month before that of the `first` one is of the year after.
    A time that the clocks left out in spring is null.
    """
    if first is None:
        plain = stamp.str.replace(",", ".", literal=True).str.replace(" ", "T", literal=True)
        zoned = plain.str.replace(" ", "", literal=True).str.replace(r"([+-]\d\d)(\d\d)$", "$1:$2")
        return pl.coalesce(
            zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_zone="UTC"),
            _local(zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False), zone),
        ).cast(Time)
    name = stamp.str.head(3)
    month = name.replace_strict(
        list(_MONTHS), list(range(1, 13)), default=None, return_dtype=pl.Int8
    )
    written = pl.when(month < first[0]).then(pl.lit(str(year + 1))).otherwise(pl.lit(str(year)))
    day = stamp.str.slice(4).str.replace("^ ", "0")
    text = pl.concat_str(written, name, day, separator=" ")
    return _local(text.str.to_datetime("%Y %b %d %H:%M:%S", strict=False), zone).cast(Time)


def _local(time: pl.Expr, zone: str) -> pl.Expr:
    return time.dt.replace_time_zone(
        zone, ambiguous="earliest", non_existent="null"
    ).dt.convert_time_zone("UTC")
