"""Read plain text: replies one below the other, a listed queue, or a bounce without its mail."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from bouncekit.read import prose
from bouncekit.read.files import NotOursError, Peek, as_text
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
# Lines of a log begin with a time, below what a Windows server says of its fields; journalctl can
# write one entry as many lines. So do PHPMailer's, but they are of one message.
_STAMPED = (
    r"^(?:<\d+>)?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    r"|\[?\d\d/[A-Z\d][a-z\d]+/\d{4}[: ]\d\d:\d\d)"
)
_OF_LOG = r"^#(?:Software|Fields|Log-type): |^\s+SYSLOG_IDENTIFIER="
_OF_ONE_MESSAGE = r"\b(?:CLIENT|SERVER) -> (?:SERVER|CLIENT)\b"
FEWEST_LINES = 3
# The title of mailq, as Postfix and Sendmail print it; the line of a message (id, size, time of
# arrival, sender), and that of a recipient. The reason for the wait stands above its recipients.
_QUEUE = r"^-+ ?(?:Queue ID|Q-ID) ?-+"
_QUEUED = r"^\S+\s+[0-9]+\s+[A-Z][a-z]{2} [A-Z][a-z]{2} +[0-9]"
_WAITING = rf"^<?{_ADDRESS}>?$"

TEXT = pl.col("text")
_GOES_ON_BEFORE = TEXT.str.contains(_GOES_ON).shift(1, fill_value=False)
_BEGINS_REPLY = TEXT.str.contains(_BEGINS) & ~_GOES_ON_BEFORE
_IS_MESSAGE = TEXT.str.contains(_QUEUED)

Reader = Callable[[pl.LazyFrame], pl.LazyFrame]


def read_plain(path: Path, peek: Peek) -> pl.LazyFrame | None:
    """The rows (columns of BOUNCES) of a text of replies, a queue or a bounce; None if it is none.

    A line that begins with a reply code, or with an address and a code, begins a reply; others go
    on with the one above. A text whose first line begins none is a bounce if it quotes a reply and
    names a recipient. Raises NotOursError for a log.
    """
    text = as_text(peek.head)
    lines = pl.Series([line for line in text.splitlines() if line.strip()], dtype=pl.String)
    begins = lines.str.contains(_BEGINS)
    if begins.head(1).any() and 2 * begins.sum() > len(lines):
        rows = partial(_read, path, peek, _BEGINS_REPLY, _replies)
        return in_batches(rows, pl.Schema(BOUNCES), "replies")
    if lines.head(3).str.contains(_QUEUE).any():
        rows = partial(_read, path, peek, _IS_MESSAGE, _waiting)
        return in_batches(rows, pl.Schema(BOUNCES), "recipients")
    if _is_log(lines):
        raise NotOursError(
            f"{path} looks like a log of a server that bouncekit does not know, and of what went "
            "well, too: read the bounce messages instead, or make a table of address, time, status "
            "and reply of it."
        )
    if peek.whole and prose.quotes_reply(text):
        found = parse_message(b"Return-Path: <>\n\n" + text.encode())
        if found[0]["event"] != "unreadable":
            columns = {name: [row.get(name) for row in found] for name in BOUNCES}
            return pl.LazyFrame(columns, schema=BOUNCES).with_columns(source=pl.lit(str(path)))
    return None


def _is_log(lines: pl.Series) -> bool:
    """True for many lines with a time before each: to take them for one bounce removes anybody."""
    if lines.str.contains(_OF_ONE_MESSAGE).any():
        return False
    stamped = lines.str.contains(_STAMPED).sum()
    return bool(lines.str.contains(_OF_LOG).any()) or 2 * stamped > len(lines) >= FEWEST_LINES


def _read(path: Path, peek: Peek, begins: pl.Expr, reader: Reader) -> Iterator[pl.DataFrame]:
    """Give the rows block by block; a record that the next block may go on with waits for it.

    `begins` is true for the line that begins a record.
    """
    held = pl.DataFrame()
    for first, block in line_blocks(path, peek):
        told = lines_of(first, block).filter(TEXT.str.strip_chars() != "").collect()
        lines = pl.concat([held, told], how="diagonal")
        last = lines.select(begins.arg_true().last()).item() or 0
        yield _of_file(path, reader(lines[:last].lazy()))
        held = lines[last:]
    yield _of_file(path, reader(held.lazy()))


def _of_file(path: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    return rows.with_columns(source=pl.lit(str(path))).collect()


def _replies(lines: pl.LazyFrame) -> pl.LazyFrame:
    event = TEXT.str.extract(_CODE).replace_strict(_EVENTS, default="unreadable")
    columns = {
        "event": event,
        "recipient": with_domain_lowered(TEXT.str.extract(rf"({_ADDRESS})")),
        "reply": TEXT.str.replace(_LEADING_ADDRESS, ""),
        "line": pl.col("line") + 1,
    }
    return (
        lines.with_columns(number=_BEGINS_REPLY.cum_sum())
        .group_by("number", maintain_order=True)
        .agg(pl.col("line").first(), TEXT.str.join("\n"))
        .select(_columns(columns))
    )


def _waiting(lines: pl.LazyFrame) -> pl.LazyFrame:
    """The recipients that wait in a queue, each with the reason that stands above it."""
    text = TEXT.str.strip_chars()
    is_recipient = text.str.contains(_WAITING)
    is_reason = ~_IS_MESSAGE & ~is_recipient & ~text.str.starts_with("-")
    columns = {
        "event": pl.lit("deferral"),
        "recipient": with_domain_lowered(pl.col("recipient").str.strip_chars("<>")),
        "reply": pl.col("reason").str.strip_prefix("(").str.strip_suffix(")"),
        "sender": pl.col("sender"),
        "line": pl.col("line") + 1,
    }
    return (
        lines.with_columns(
            number=(_IS_MESSAGE | text.str.starts_with("(")).cum_sum(),
            sender=pl.when(_IS_MESSAGE)
            .then(with_domain_lowered(TEXT.str.extract(rf"({_ADDRESS})>?\s*$")))
            .forward_fill(),
        )
        .group_by("number", maintain_order=True)
        .agg(
            pl.col("line").filter(is_recipient),
            pl.col("sender").first(),
            recipient=text.filter(is_recipient),
            reason=text.filter(is_reason).str.join(" ").str.strip_chars(),
        )
        .explode("line", "recipient")
        .filter(pl.col("recipient").is_not_null())
        .select(_columns(columns))
    )


def _columns(known: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    """All columns of BOUNCES, null where unknown."""
    return [
        known.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in BOUNCES.items()
    ]
