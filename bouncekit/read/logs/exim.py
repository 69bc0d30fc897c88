"""Exim's main log: `2026-03-04 09:12:00 1tABCd-0001XY-2z ** ann@example.org R=dns T=smtp: ...`.

Flags and fields: https://www.exim.org/exim-html-current/doc/html/spec_html/ch-log_files.html.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import STAMP

# Six, six (eleven since 4.97) and two (four) letters.
_ID = r"([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})"
LINE = rf"(?:^|\s|\]){_ID} (?:<=|=>|->|>>|\*>|\*\*|==|Completed|SMTP|Frozen|cancelled)"
_ATTEMPT = rf"{_ID} (?P<flag>=>|->|>>|\*\*|==) (?P<rest>.*)$".replace("([0-9", "(?P<id>[0-9", 1)
_EVENTS = {"=>": "delivery", "->": "delivery", ">>": "delivery", "**": "bounce", "==": "deferral"}

_ADDRESS = r"^(?:(?P<final>[^\s<]+) )?(?:\([^)]*\) )?<(?P<in>[^>]*)>|^(?P<only>[^\s:]+)"
_HOST = r"(?:^| )H=([^\s\[]+)|host ([^\s\[]+) \["
_IP = r" I=\[([^\]]+)\]"
# What stands before a reply: the address, the fields (`H=mx.example.org [192.0.2.25]`), and why
# Exim itself put the mail off.
_BEFORE_REPLY = (
    r"^\S+(?: \([^)]*\))?(?: <[^>]*>)?:? ?"
    r"(?:[A-Z][A-Za-z]*=\S*(?: \[[^\]]*\](?::\d+)?:?)? ?)*"
    r"(?:defer \(-?\d+\)(?: H=\S+ \[[^\]]*\](?::\d+)?)?: ?)?"
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt."""
    text = pl.col("text")
    told = lines.filter(text.str.contains(LINE))
    arrived = (
        told.filter(text.str.contains(" <= ", literal=True))
        .select(
            id=text.str.extract(_ID),
            sender=text.str.extract(r" <= (\S+)"),
            message_id=text.str.extract(r" id=(\S+)"),
        )
        .unique("id", keep="first")
    )
    said, field = text.str.extract_groups(_ATTEMPT), pl.col("said").struct.field
    rest = pl.col("rest")
    address = pl.col("address").struct.field
    tried = (
        told.select("line", stamp=text.str.extract(STAMP), said=said)
        .filter(field("flag").is_not_null())
        .select("line", "stamp", id=field("id"), flag=field("flag"), rest=field("rest"))
        .filter(~rest.str.starts_with(":blackhole:"))
        .with_columns(
            address=rest.str.extract_groups(_ADDRESS), failed=pl.col("flag").is_in(["**", "=="])
        )
        .join(arrived, on="id", how="left", maintain_order="left")
        # <= <> is a bounce message of our own.
        .filter(pl.col("sender").fill_null("?") != "<>")
    )
    mailed = pl.coalesce(address("in"), address("only"))
    attempts = tried.select(
        "line",
        "id",
        "stamp",
        event=pl.col("flag").replace_strict(_EVENTS, return_dtype=pl.String),
        recipient=with_domain_lowered(mailed),
        final_recipient=pl.when(address("final").str.contains("@", literal=True)).then(
            with_domain_lowered(address("final"))
        ),
        reply=pl.when("failed")
        .then(rest.str.replace(_BEFORE_REPLY, ""))
        .otherwise(rest.str.extract(r' C="((?:[^"\\]|\\.)*)"')),
        message_id="message_id",
        sender="sender",
        sending_ip=rest.str.extract(_IP),
        remote_mta=pl.coalesce(rest.str.extract(_HOST, 1), rest.str.extract(_HOST, 2)),
    )
    return as_events(attempts.with_columns(_with_reason()))


def _with_reason() -> pl.Expr:
    """Give the reply; where Exim only says that it waited, the one that it waited for."""
    reply = pl.col("reply")
    waited = reply.str.starts_with("retry time")  # "... timeout exceeded", "... not reached"
    put_off = (pl.col("event") == "deferral") & ~waited
    reason = pl.when(put_off).then(reply).forward_fill().over("id", "recipient", order_by="line")
    return pl.when(waited).then(pl.coalesce(reason, reply)).otherwise(reply).alias("reply")
