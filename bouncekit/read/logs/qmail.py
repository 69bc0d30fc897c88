"""qmail-send: `delivery 9: failure: 192.0.2.25_does_not_like_recipient./Remote_host_said:_550_...`.

What the lines say: https://cr.yp.to/qmail.html (man page qmail-log). Recipient, sender and result
stand on three lines; the numbers of messages and deliveries are used again, so that a line belongs
to the last one before it with its number.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, telling, with_domain_lowered
from bouncekit.read.logs.stamps import MACHINE_STAMP, stamp_of

LINE = (
    r"(?:^|\s)(?:starting delivery \d+: msg \d+ to (?:local|remote) |(?:new|end|bounce) msg \d+"
    r"|info msg \d+: bytes |delivery \d+: (?:success|failure|deferral): |status: local \d+/)"
)
_EVENTS = {"success": "delivery", "failure": "bounce", "deferral": "deferral"}
_RESULT = r"(?:^|\s)delivery (\d+): (success|failure|deferral): (.*)$"
# qmail-send(8): <> sent a bounce message, <#@[]> one about a bounce message.
_NOBODY = ["", "#@[]"]


# Deliveries and messages have numbers of their own, so that all lines go together; no more wait
# than there are deliveries and messages at a time.
told = telling(LINE, pl.lit(""))


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that begin the deliveries and messages still under way."""
    under_way = [
        changes.unique(number, keep="last").filter("begins").select("line")
        for number, changes in (("delivery", _deliveries(told)), ("message", _messages(told)))
    ]
    return told.join(pl.concat(under_way), on="line", how="semi", maintain_order="left")


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per delivery attempt."""
    said = pl.col("said")
    # Lines of a reply are parted by slashes, which may also be its own.
    reply = said.str.extract(r"Remote host said: (.*?)/?(?:Giving up on .*)?$")

    def with_last(tried: pl.LazyFrame, changes: pl.LazyFrame, number: str) -> pl.LazyFrame:
        return tried.join_asof(
            changes, on="line", by=number, check_sortedness=False, allow_exact_matches=False
        )

    of_whom = with_last(_results(told), _deliveries(told), "delivery")
    return as_events(
        with_last(of_whom, _messages(told), "message")
        .filter(~pl.col("sender").fill_null("?").is_in(_NOBODY))
        .with_columns(
            recipient=with_domain_lowered("recipient"),
            reply=pl.coalesce(reply, said.str.strip_suffix("/")),
            remote_mta=said.str.extract(r"^([0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]+) "),
        )
    )


def _results(told: pl.LazyFrame) -> pl.LazyFrame:
    text = pl.col("text")
    return told.select(
        "line",
        stamp=pl.coalesce(text.str.extract(MACHINE_STAMP), stamp_of(text)),
        delivery=text.str.extract(_RESULT, 1),
        event=text.str.extract(_RESULT, 2).replace_strict(
            _EVENTS, default=None, return_dtype=pl.String
        ),
        said=text.str.extract(_RESULT, 3).str.replace_all("_", " ", literal=True),
    ).drop_nulls("delivery")


def _deliveries(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give where deliveries begin and end; with the end of one its number belongs to nobody."""
    text = pl.col("text")
    begins = text.str.extract(r"starting delivery (\d+): msg")
    return told.select(
        "line",
        delivery=pl.coalesce(begins, text.str.extract(_RESULT, 1)),
        message=text.str.extract(r"starting delivery \d+: msg (\d+)"),
        recipient=text.str.extract(r"starting delivery .* to (?:remote|local) (.*)$"),
        begins=begins.is_not_null(),
    ).drop_nulls("delivery")


def _messages(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give where messages begin and end."""
    text = pl.col("text")
    begins = text.str.extract(r"info msg (\d+): bytes")
    return told.select(
        "line",
        message=pl.coalesce(begins, text.str.extract(r"end msg (\d+)")),
        sender=pl.when(begins.is_not_null()).then(text.str.extract(r" from <([^>]*)>")),
        begins=begins.is_not_null(),
    ).drop_nulls("message")
