"""What the logs of all servers have in common."""

from collections.abc import Callable

import polars as pl

from bouncekit.schema import BOUNCES

_SAID = ["line", "stamp", *(name for name in BOUNCES if name not in ("time", "source", "line"))]
_UPPER = r"@.*[^a-z0-9.@_-]"


def with_domain_lowered(address: pl.Expr | str) -> pl.Expr:
    """Give an address with its domain in lower case (RFC 5321 §2.4); a bare name as it is."""
    whole = pl.col(address) if isinstance(address, str) else address
    # Few need it, and null costs nothing.
    mixed = pl.when(whole.str.contains(_UPPER)).then(whole)
    domain = mixed.str.split("@").list.last()
    local = mixed.str.slice(0, mixed.str.len_chars() - domain.str.len_chars())
    return pl.coalesce(pl.concat_str(local, domain.str.to_lowercase()), whole)


# Who takes mail on the machine itself, and puts it in a
# queue is a filter: whether it reaches its mailbox is told by other lines.
LOOPBACK = r"\[(?:127\.|::1\]|IPv6:::1\])"
QUEUED = r"(?i)\bqueued\b|\bid=|accepted for delivery"


def first_part(text: pl.Expr, mark: str) -> pl.Expr:
    """Give what stands before a mark, or all of it: much faster than a regular expression."""
    return text.str.splitn(mark, 2).struct.field("field_0")


def second_part(text: pl.Expr, mark: str) -> pl.Expr:
    """Give what stands after the first of a mark, or null."""
    return text.str.splitn(mark, 2).struct.field("field_1")


def as_events(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give the columns a log's reader owes; those that its server says nothing of are null.

    `known` is `line` where the reader does not say which later line an event rests on.
    """
    told = events.collect_schema().names()
    absent = [pl.lit(None, BOUNCES[name]).alias(name) for name in _SAID if name not in told]
    known = pl.col("known" if "known" in told else "line").alias("known")
    return events.with_columns(*absent, known).select(*_SAID, "known")


def telling(line: str, key: pl.Expr) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    """Give the function that keeps the lines which match a pattern, with their `key`."""

    def told(lines: pl.LazyFrame) -> pl.LazyFrame:
        return lines.filter(pl.col("text").str.contains(line)).with_columns(key=key)

    return told


def nothing(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give none of the lines: where each says all, none waits for another."""
    return told.clear()
