"""OpenSMTPD: `mta delivery evpid=... to=<...> result="PermFail" stat="550 ..."`.

Until version 5 it wrote `relay: PermFail for 4f3b2c1d0a9e8f70: session=..., to=<...>, stat=550 ...`
(smtpd's log.c and its news, https://www.opensmtpd.org/).
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import STAMP

_RESULTS = "Ok|TempFail|PermFail|Loop"
LINE = (
    r"(?:^|\s)smtpd\[\d+\]: (?:[0-9a-f]{16} (?:smtp|mta|mda|bounce) "
    rf"|(?:relay|delivery): (?:{_RESULTS}) for [0-9a-f]{{16}}: |smtp-(?:in|out): )"
)
_ATTEMPT = rf" m(?:ta|da) (?:event=)?delivery |(?:relay|delivery): (?:{_RESULTS}) for "
_EVENTS = {"Ok": "delivery", "TempFail": "deferral", "PermFail": "bounce", "Loop": "bounce"}


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt."""
    text = pl.col("text")
    newer = text.str.extract(rf' result="?({_RESULTS})\b')
    older = text.str.extract(rf": ({_RESULTS}) for ")
    event = pl.coalesce(newer, older).replace_strict(
        _EVENTS, default="unreadable", return_dtype=pl.String
    )
    to, rcpt = text.str.extract(r" to=<([^>]*)>"), text.str.extract(r" rcpt=<([^>]*)>")
    mailed = pl.when(~rcpt.is_in(["", "-"])).then(rcpt)
    relay = text.str.extract(r' relay="?([^",]*)')
    return as_events(
        lines.filter(text.str.contains(LINE) & text.str.contains(_ATTEMPT)).select(
            "line",
            stamp=text.str.extract(STAMP),
            event=event,
            recipient=with_domain_lowered(pl.coalesce(mailed, to)),
            final_recipient=pl.when(mailed != to).then(with_domain_lowered(to)),
            reply=pl.when(event == "unreadable")
            .then("text")
            .otherwise(text.str.extract(r'[ ,]stat="?(.*?)"?$')),
            sender=text.str.extract(r" from=<([^>]*)>"),
            sending_ip=text.str.extract(r' source="?([0-9a-fA-F:.]+)'),
            # `192.0.2.25 (mx.example.org)`, in older versions the other way round
            remote_mta=relay.str.extract(r"([\w-]+\.[\w.-]*[A-Za-z][\w.-]*)"),
        )
        # from=<>: a bounce message of our own
    ).filter(pl.col("sender").fill_null("?") != "")
