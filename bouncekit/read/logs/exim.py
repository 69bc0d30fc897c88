"""Exim's main log: `2026-03-04 09:12:00 1tABCd-0001XY-2z ** ann@example.org R=dns T=smtp: ...`.

Flags and fields: https://www.exim.org/exim-html-current/doc/html/spec_html/ch-log_files.html.
"""

import polars as pl

from bouncekit.read.logs.lines import LOOPBACK, QUEUED, as_events, telling, with_domain_lowered
from bouncekit.read.logs.stamps import stamp_of

# Six, six (eleven since 4.97) and two (four) letters.
_ID = r"([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})"
LINE = rf"(?:^|\s|\]){_ID} (?:<=|=>|->|>>|\*>|\*\*|==|Completed|SMTP|Frozen|cancelled)"
_ATTEMPT = rf"{_ID} (?P<flag>=>|->|>>|\*\*|==) (?P<rest>.*)$".replace("([0-9", "(?:[0-9", 1)
_EVENTS = {"=>": "delivery", "->": "delivery", ">>": "delivery", "**": "bounce", "==": "deferral"}

_ADDRESS = r"^(?:(?P<final>[^\s<]+) )?(?:\([^)]*\) )?<(?P<in>[^>]*)>|^(?P<only>[^\s:]+)"
_HOST = r"(?:^| )H=([^\s\[]+)|\bhost ([^\s\[]+) \["
_HOP = rf" H=\S+ {LOOPBACK}.* C=\".*(?:{QUEUED})"
_IP = r" I=\[([^\]]+)\]"
# What stands before a reply: the address, the fields (`H=mx.example.org [192.0.2.25]`), and why
# Exim itself put the mail off.
_BEFORE_REPLY = (
    r"^\S+(?: \([^)]*\))?(?: <[^>]*>)?:? ?"
    r"(?:[A-Z][A-Za-z]*=\S*(?: \[[^\]]*\](?::\d+)?:?)? ?)*"
    r"(?:: )?(?:(?:routing )?defer \(-?\d+\)(?: H=\S+ \[[^\]]*\](?::\d+)?)?: ?)?"
)


# "retry timeout exceeded", "retry time not reached for any host"
_WAITED = r"^retry time|^all hosts (?:for \S+ )?have been failing"

told = telling(LINE, pl.col("text").str.extract(_ID))


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give, of messages not completed, the arrival and why each recipient was last put off."""
    over = _completed(told).group_by("key").agg(over=pl.col("at").max())
    here = told.join(over, on="key", how="left", maintain_order="left").filter(
        (pl.col("line") > pl.col("over")).fill_null(True)
    )
    arrived = _arrived(here).unique("key", keep="last")
    reasons = _attempts(here).filter(_is_reason()).unique(["key", "recipient"], keep="last")
    needed = pl.concat([arrived.select(line="at"), reasons.select("line")])
    return here.join(needed, on="line", how="semi", maintain_order="left")


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per delivery attempt."""
    begun = pl.concat([_arrived(told), _completed(told)], how="diagonal").sort("at")
    joined = (
        _attempts(told)
        .join_asof(begun, left_on="line", right_on="at", by="key", check_sortedness=False)
        .with_columns(sender=pl.coalesce("sender", "return_path"))
        # <= <> is a bounce message of our own.
        .filter(pl.col("sender").fill_null("?") != "<>")
    )
    return as_events(joined.with_columns(_with_reason()))


def _arrived(told: pl.LazyFrame) -> pl.LazyFrame:
    text = pl.col("text")
    return told.filter(text.str.contains(" <= ", literal=True)).select(
        "key",
        at="line",
        life="line",
        sender=text.str.extract(r" <= (\S+)"),
        message_id=text.str.extract(r" id=(\S+)"),
    )


def _completed(told: pl.LazyFrame) -> pl.LazyFrame:
    lines = told.filter(pl.col("text").str.contains(rf"{_ID} Completed"))
    return lines.select("key", at="line", life="line")


def _attempts(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give what each attempt to deliver says by itself."""
    text = pl.col("text")
    said, field = text.str.extract_groups(_ATTEMPT), pl.col("said").struct.field
    rest = pl.col("rest")
    address = pl.col("address").struct.field
    tried = (
        told.select("line", "key", stamp=stamp_of(text), said=said)
        .filter(field("flag").is_not_null())
        .select("line", "key", "stamp", flag=field("flag"), rest=field("rest"))
        .filter(~rest.str.starts_with(":blackhole:"))
        # Who took it is a filter on the same machine.
        .filter(~(pl.col("flag").is_in(["=>", "->"]) & rest.str.contains(_HOP)))
        .with_columns(
            address=rest.str.extract_groups(_ADDRESS), failed=pl.col("flag").is_in(["**", "=="])
        )
    )
    mailed = pl.coalesce(address("in"), address("only"))
    return tried.select(
        "line",
        "key",
        "stamp",
        event=pl.col("flag").replace_strict(_EVENTS, return_dtype=pl.String),
        recipient=with_domain_lowered(mailed),
        final_recipient=pl.when(address("final").str.contains("@", literal=True)).then(
            with_domain_lowered(address("final"))
        ),
        reply=pl.when("failed")
        .then(rest.str.replace(_BEFORE_REPLY, "").str.replace_all("\\n", "\n", literal=True))
        .otherwise(rest.str.extract(r' C="((?:[^"\\]|\\.)*)"')),
        return_path=rest.str.extract(r" F=(<>|<[^>]+>)").str.replace("^<(.+)>$", "$1"),
        sending_ip=rest.str.extract(_IP),
        remote_mta=pl.coalesce(rest.str.extract(_HOST, 1), rest.str.extract(_HOST, 2)),
    )


def _is_reason() -> pl.Expr:
    """True where a reply says more than that Exim waits: why it does."""
    return (pl.col("event") == "deferral") & ~pl.col("reply").str.contains(_WAITED)


def _with_reason() -> pl.Expr:
    """Give the reply; where Exim only says that it waited, the one that it waited for."""
    reply = pl.col("reply")
    reason = pl.when(_is_reason()).then(reply).forward_fill()
    of_before = reason.over("key", "life", "recipient", order_by="line")
    waited = reply.str.contains(_WAITED)
    return pl.when(waited).then(pl.coalesce(of_before, reply)).otherwise(reply).alias("reply")
