"""OpenSMTPD: `mta delivery evpid=... to=<...> result="PermFail" stat="550 ..."`.

Until version 5 it wrote `relay: PermFail for 4f3b2c1d0a9e8f70: session=..., to=<...>, stat=550 ...`
(smtpd's log.c and its news, https://www.opensmtpd.org/). No line of either holds a Message-ID: what
it calls `msgid` is the number of a message in its queue, which no list of sent messages knows.
"""

import polars as pl

from bouncekit.read.logs.lines import QUEUED, as_events, nothing, with_domain_lowered
from bouncekit.read.logs.stamps import stamp_of

_RESULTS = "Ok|TempFail|PermFail|Loop|Expired?"
LINE = (
    r"(?:^|\s)smtpd\[\d+\]: (?:[0-9a-f]{16} (?:smtp|mta|mda|bounce) "
    rf"|(?:relay|delivery): (?:{_RESULTS}) for [0-9a-f]{{16}}: |smtp-(?:in|out): )"
)
_ATTEMPT = rf" m(?:ta|da) (?:event=)?delivery |(?:relay|delivery): (?:{_RESULTS}) for "
_HOP = r"^(?:127\.|\[?::1\b|localhost\b)|\((?:127\.|::1)"
_EVENTS = {"Ok": "delivery", "TempFail": "deferral", "PermFail": "bounce", "Loop": "bounce"}
_EVENTS |= {"Expire": "bounce", "Expired": "bounce"}


# Each line says all: what joins them is never asked for.
waiting = nothing


def told(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that tell of attempts to deliver."""
    text = pl.col("text")
    attempts = lines.filter(text.str.contains(LINE) & text.str.contains(_ATTEMPT))
    return attempts.with_columns(key=pl.lit(""))


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per delivery attempt."""
    text = pl.col("text")
    newer = text.str.extract(rf' result="?({_RESULTS})\b')
    older = text.str.extract(rf": ({_RESULTS}) for ")
    event = pl.coalesce(newer, older).replace_strict(
        _EVENTS, default="unreadable", return_dtype=pl.String
    )
    to, rcpt = text.str.extract(r" to=<([^>]*)>"), text.str.extract(r" rcpt=<([^>]*)>")
    mailed = pl.when(~rcpt.is_in(["", "-"])).then(rcpt)
    relay = text.str.extract(r' relay="?([^",]*)')
    stat = text.str.extract(r'[ ,]stat="?(.*?)"?$')
    is_filtered = relay.str.contains(_HOP) & stat.str.contains(QUEUED)
    return as_events(
        told.filter(~((event == "delivery") & is_filtered).fill_null(False)).select(
            "line",
            stamp=stamp_of(text),
            event=event,
            recipient=with_domain_lowered(pl.coalesce(mailed, to)),
            final_recipient=pl.when(mailed != to).then(with_domain_lowered(to)),
            reply=pl.when(event == "unreadable").then("text").otherwise(stat),
            sender=text.str.extract(r" from=<([^>]*)>"),
            sending_ip=text.str.extract(r' source="?([0-9a-fA-F:.]+)'),
            # `192.0.2.25 (mx.example.org)`, in older versions the other way round
            remote_mta=relay.str.extract(r"([\w-]+\.[\w.-]*[A-Za-z][\w.-]*)"),
        )
        # from=<>: a bounce message of our own
    ).filter(pl.col("sender").fill_null("?") != "")
