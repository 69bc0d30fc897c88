"""Read plain text: replies one below the other, or the text of a bounce without its mail."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from bouncekit.read import prose
from bouncekit.read.files import Peek, as_text
from bouncekit.read.logs.blocks import line_blocks, lines_of
from bouncekit.read.logs.lines import with_domain_lowered
from bouncekit.read.reports import parse_message
from bouncekit.read.streams import in_batches
from bouncekit.schema import BOUNCES

_ADDRESS = r"[^\s<>()\[\]\"',;:|@]{1,128}@(?:[\w-]{1,63}\.)+[\w-]{2,63}"
# A reply begins with its code; before it stands at most the address that it is about.
_LEADING_ADDRESS = rf"^\W{{0,8}}(?:{_ADDRESS})\W{{1,8}}"
_BEGINS = rf"^\W{{0,8}}(?:{_ADDRESS}\W{{1,8}})?[245][0-9][0-9](?:[ -]|$)"
# RFC 5321 §4.2.1: a hyphen behind the code says that the reply goes on in the next line.
_GOES_ON = rf"^\W{{0,8}}(?:{_ADDRESS}\W{{1,8}})?[245][0-9][0-9]-"
_CODE = rf"^\W{{0,8}}(?:{_ADDRESS}\W{{1,8}})?([245])[0-9][0-9]"
_EVENTS = {"2": "delivery", "4": "deferral", "5": "bounce"}

TEXT = pl.col("text")


def read_plain(path: Path, peek: Peek) -> pl.LazyFrame | None:
    """The rows (columns of BOUNCES) of a text of replies or of a bounce; None if it is neither.

    A line that begins with a reply code, or with an address and a code, begins a reply; others go
    on with the one above. A text whose first line begins none is a bounce if it quotes a reply and
    names a recipient.
    """
    text = as_text(peek.head)
    lines = pl.Series([line for line in text.splitlines() if line.strip()], dtype=pl.String)
    begins = lines.str.contains(_BEGINS)
    if begins.head(1).any() and 2 * begins.sum() > len(lines):
        return in_batches(lambda: _listed(path, peek), pl.Schema(BOUNCES), "replies")
    if peek.whole and prose.quotes_reply(text):
        rows = parse_message(b"Return-Path: <>\n\n" + text.encode())
        if rows[0]["event"] != "unreadable":
            columns = {name: [row.get(name) for row in rows] for name in BOUNCES}
            return pl.LazyFrame(columns, schema=BOUNCES).with_columns(source=pl.lit(str(path)))
    return None


def _listed(path: Path, peek: Peek) -> Iterator[pl.DataFrame]:
    for first, block in line_blocks(path, peek):
        yield _replies(lines_of(first, block)).with_columns(source=pl.lit(str(path))).collect()


def _replies(lines: pl.LazyFrame) -> pl.LazyFrame:
    goes_on = TEXT.str.contains(_GOES_ON).shift(1, fill_value=False)
    begins = TEXT.str.contains(_BEGINS)
    event = TEXT.str.extract(_CODE).replace_strict(_EVENTS, default="unreadable")
    columns = {
        "event": event,
        "recipient": with_domain_lowered(TEXT.str.extract(rf"({_ADDRESS})")),
        "reply": TEXT.str.replace(_LEADING_ADDRESS, ""),
        "line": pl.col("line") + 1,
    }
    return (
        lines.filter(TEXT.str.strip_chars() != "")
        .with_columns(number=(begins & ~goes_on).cum_sum())
        .group_by("number", maintain_order=True)
        .agg(pl.col("line").first(), TEXT.str.join("\n"))
        .select(
            columns.get(name, pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in BOUNCES.items()
        )
    )
