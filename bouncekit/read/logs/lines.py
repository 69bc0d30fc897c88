"""What the logs of all servers have in common."""

import polars as pl

from bouncekit.schema import BOUNCES

_SAID = ["line", "stamp", *(name for name in BOUNCES if name not in ("time", "source", "line"))]


def with_domain_lowered(address: pl.Expr | str) -> pl.Expr:
    """Give an address with its domain in lower case (RFC 5321 §2.4); a bare name as it is."""
    whole = pl.col(address) if isinstance(address, str) else address
    domain = whole.str.split("@").list.slice(1).list.last()
    local = whole.str.slice(0, whole.str.len_chars() - domain.str.len_chars())
    return pl.coalesce(pl.concat_str(local, domain.str.to_lowercase()), whole)


def as_events(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give the columns a log's reader owes; those that its server says nothing of are null."""
    told = events.collect_schema().names()
    absent = [pl.lit(None, BOUNCES[name]).alias(name) for name in _SAID if name not in told]
    return events.with_columns(absent).select(_SAID)
