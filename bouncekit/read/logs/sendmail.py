"""Sendmail: `sm-mta[7]: 424CxUgh000123: to=<...>, relay=..., dsn=5.1.1, stat=User unknown`.

Fields: https://www.sendmail.org/~ca/email/doc8.12/op-sh-2.html (2.1.1, what is logged). A line may
name several recipients. Lines of rulesets (`reject=`) are about mail that came in.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import STAMP

_QUEUE_ID = r"(?:sendmail|sm-[\w-]+)\[\d+\]: (?:\[ID \d+ [\w.]+\] )?([0-9A-Za-z]{8,20})"
LINE = rf"{_QUEUE_ID}: (?:to=|from=|clone |ruleset=|[0-9A-Za-z]{{8,20}}: )"

_RECIPIENTS = r": to=(.*?),? (?:ctladdr|delay|xdelay|mailer)="
# `424CxUgh000123: 424CxUgi000123: DSN: User unknown`: the second is a message of its own about the
# first.
_NOTICE = r": ([0-9A-Za-z]{8,20}): (?:DSN|sender notify|return to sender|postmaster notify): "
_GIVEN_UP = "Cannot send message "
_STATES = {"Sent": "delivery", "Deferred": "deferral"}


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt."""
    text = pl.col("text")
    told = lines.filter(text.str.contains(LINE)).with_columns(id=text.str.extract(_QUEUE_ID))
    arrived = (
        told.filter(text.str.contains(": from=", literal=True))
        .select(
            "id",
            sender=text.str.extract(r": from=<?([^>,]*)"),
            message_id=text.str.extract(r", msgid=<?([^>,\s]*)"),
        )
        .unique("id", keep="first")
    )
    notices = told.select("line", "text", about="id", id=text.str.extract(_NOTICE))
    ours = notices.select("id").drop_nulls()
    tried = (
        _tried(told)
        .join(ours, on="id", how="anti", maintain_order="left")
        .join(arrived, on="id", how="left", maintain_order="left")
        .filter(pl.col("sender").fill_null("?") != "")
    )
    given_up = notices.filter(text.str.contains(_GIVEN_UP, literal=True)).select(
        "line", stamp=text.str.extract(STAMP), id="about"
    )
    last = (
        tried.unique(["id", "recipient"], keep="last", maintain_order=True)
        .filter(pl.col("event") == "deferral")
        .drop("line", "stamp")
        .with_columns(event=pl.lit("bounce"), source_class=pl.lit("sendmail:expired"))
    )
    expired = given_up.join(last, on="id")
    return as_events(pl.concat([tried, expired], how="diagonal").sort("line", maintain_order=True))


def _tried(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give each attempt for each recipient; a line that cannot be read is unreadable."""
    text = pl.col("text")
    state = text.str.extract(r", stat=(\w+)")
    dsn = text.str.extract(r", dsn=([245]\.\d{1,3}\.\d{1,3})")
    failed = pl.when(dsn.str.starts_with("4")).then(pl.lit("deferral")).otherwise(pl.lit("bounce"))
    to = pl.col("to")
    attempts = (
        told.filter(text.str.contains(": to=", literal=True))
        .filter(~state.is_in(["queued", "quarantined"]).fill_null(False))
        .select(
            "line",
            "id",
            "text",
            stamp=text.str.extract(STAMP),
            to=text.str.extract(_RECIPIENTS).str.split(","),
            event=state.replace_strict(_STATES, default=failed, return_dtype=pl.String),
            reply=pl.coalesce(
                text.str.extract(r", reply=(.*), stat="),
                text.str.extract(r", stat=(?:Deferred: |Sent \()?(.*?)\)?$"),
            ),
            enhanced_code=dsn,
            remote_mta=text.str.extract(r", relay=([^,\[\s]*[^,\[\s.])\.?(?: \[|,)"),
            lost=state.is_null() | ~text.str.contains(_RECIPIENTS),
        )
        # A program that hands over to the server on the same machine has delivered nothing.
        .filter(
            (pl.col("event") != "delivery")
            | ~text.str.contains(r", mailer=relay,.* relay=\S* ?\[(?:127\.|::1|IPv6:::1)")
        )
        .explode("to", empty_as_null=True)
        .with_columns(recipient=with_domain_lowered(to.str.strip_chars("<> ")))
    )
    # Who has no domain is an alias, a file or a program of this machine.
    is_mailed = pl.col("recipient").str.contains("@", literal=True) | pl.col("lost")
    return attempts.filter(is_mailed).with_columns(
        event=pl.when("lost").then(pl.lit("unreadable")).otherwise("event"),
        reply=pl.when("lost").then("text").otherwise("reply"),
        recipient=pl.when(~pl.col("lost")).then("recipient"),
    )
