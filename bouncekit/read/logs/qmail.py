"""qmail-send: `delivery 9: failure: 192.0.2.25_does_not_like_recipient./Remote_host_said:_550_...`.

What the lines say: https://cr.yp.to/qmail.html (man page qmail-log). Recipient, sender and result
stand on three lines; the numbers of messages and deliveries are used again, so that a line belongs
to the last one before it with its number.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import MACHINE_STAMP, STAMP

LINE = (
    r"(?:^|\s)(?:starting delivery \d+: msg \d+ to (?:local|remote) |(?:new|end|bounce) msg \d+"
    r"|info msg \d+: bytes |delivery \d+: (?:success|failure|deferral): |status: local \d+/)"
)
_EVENTS = {"success": "delivery", "failure": "bounce", "deferral": "deferral"}
_RESULT = r"(?:^|\s)delivery (\d+): (success|failure|deferral): (.*)$"
# qmail-send(8): <> sent a bounce message, <#@[]> one about a bounce message.
_NOBODY = ["", "#@[]"]


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt."""
    text = pl.col("text")
    told = lines.filter(text.str.contains(LINE))
    begun = told.select(
        "line",
        delivery=text.str.extract(r"starting delivery (\d+): msg"),
        message=text.str.extract(r"starting delivery \d+: msg (\d+)"),
        recipient=text.str.extract(r" to (?:remote|local) (.*)$"),
    ).drop_nulls("delivery")
    arrived = told.select(
        "line",
        message=text.str.extract(r"info msg (\d+): bytes"),
        sender=text.str.extract(r" from <([^>]*)>"),
    ).drop_nulls("message")
    result = told.select(
        "line",
        stamp=pl.coalesce(text.str.extract(MACHINE_STAMP), text.str.extract(STAMP)),
        delivery=text.str.extract(_RESULT, 1),
        event=text.str.extract(_RESULT, 2).replace_strict(
            _EVENTS, default=None, return_dtype=pl.String
        ),
        said=text.str.extract(_RESULT, 3).str.replace_all("_", " ", literal=True),
    ).drop_nulls("delivery")
    said = pl.col("said")
    # Lines of a reply are parted by slashes, which may also be its own.
    reply = said.str.extract(r"Remote host said: (.*?)/?(?:Giving up on .*)?$")
    return as_events(
        result.join_asof(begun, on="line", by="delivery", check_sortedness=False)
        .join_asof(arrived, on="line", by="message", check_sortedness=False)
        .filter(~pl.col("sender").fill_null("?").is_in(_NOBODY))
        .with_columns(
            recipient=with_domain_lowered("recipient"),
            reply=pl.coalesce(reply, said.str.strip_suffix("/")),
            remote_mta=said.str.extract(r"^([0-9A-Fa-f:.]*[.:][0-9A-Fa-f:.]+) "),
        )
    )
