"""Sendmail: `sm-mta[7]: 424CxUgh000123: to=<...>, relay=..., dsn=5.1.1, stat=User unknown`.

Fields: https://www.sendmail.org/~ca/email/doc8.12/op-sh-2.html (2.1.1, what is logged). A line may
name several recipients. Lines of rulesets (`reject=`) are about mail that came in.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import stamp_of

_QUEUE_ID = r"(?:sendmail|sm-[\w-]+)\[\d+\]: (?:\[ID \d+ [\w.]+\] )?([0-9A-Za-z]{8,20})"
LINE = rf"{_QUEUE_ID}: (?:to=|from=|clone |ruleset=|[0-9A-Za-z]{{8,20}}: )"

_RECIPIENTS = r": to=(.*?),? (?:ctladdr|delay|xdelay|mailer)="
# `424CxUgh000123: 424CxUgi000123: DSN: User unknown`: the second is a message of its own about the
# first.
_NOTICE = r": ([0-9A-Za-z]{8,20}): (?:DSN|sender notify|return to sender|postmaster notify): "
# What a filter on this machine says that took a message: with which queue id it goes on.
_AGAIN = (
    r", relay=\S* ?\[(?:127\.|::1|IPv6:::1)[^\]]*\],.* stat=Sent \(.*?(?:queued as )?"
    r"\b([0-9A-Za-z]{8,20})(?:\)| Message accepted)"
)
_GIVEN_UP = "Cannot send message "
_STATES = {"Sent": "delivery", "Deferred": "deferral"}
_about = pl.col("text").str.extract(_QUEUE_ID)


def told(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that tell of a message, with `key`, its queue id.

    A line about a notice comes twice: for the message that it is about, and for its own.
    """
    text = pl.col("text")
    ours = lines.filter(text.str.contains(LINE)).with_columns(key=_about)
    notices = ours.with_columns(key=text.str.extract(_NOTICE)).drop_nulls("key")
    return pl.concat([ours, notices]).sort("line", maintain_order=True)


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give, of messages under way, the arrival and the last attempt for each recipient.

    No line says that a message is done: it is when as many recipients as it came with have had an
    answer and none is put off. Nothing more is kept of one whose arrival is in no log.
    """
    attempts = _tried(told).drop_nulls("recipient")
    last = attempts.unique(["key", "recipient"], keep="last")
    put_off = (pl.col("event") == "deferral").sum()
    answers = last.group_by("key").agg(put_off=put_off, answered=pl.len() - put_off)
    answered = (
        answers.join(_arrived(told), on="key", how="left")
        .filter(pl.col("put_off") == 0, pl.col("answered") >= pl.col("awaited").fill_null(0))
        .select("key")
    )
    done = pl.concat([answered, _last_words(told).select("key")])
    needed = pl.concat(
        [_arrived(told).select(line="at"), _marks(told).select(line="at"), last.select("line")]
    )
    here = told.join(done, on="key", how="anti", maintain_order="left")
    return here.join(needed, on="line", how="semi", maintain_order="left")


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per delivery attempt and recipient, and one more on giving up."""
    came_before = pl.col("at") < pl.col("line")
    tried = (
        _tried(told)
        .join(_marks(told).select("key", mark="at"), on="key", how="left", maintain_order="left")
        .filter((pl.col("mark") > pl.col("line")).fill_null(True))
        # A hop, if the log tells how it goes on: else somebody took the message there.
        .join(told.select(again="key"), on="again", how="anti", maintain_order="left")
        .join(_arrived(told), on="key", how="left", maintain_order="left")
        .with_columns(pl.when(came_before).then(pl.col("sender", "message_id")))
        .filter(pl.col("sender").fill_null("?") != "")
    )
    both = pl.concat([tried, _given_up(told, tried)], how="diagonal")
    return as_events(both.sort("line", maintain_order=True))


def _arrived(told: pl.LazyFrame) -> pl.LazyFrame:
    text = pl.col("text")
    return (
        told.filter(text.str.contains(": from=", literal=True))
        .select(
            "key",
            at="line",
            sender=text.str.extract(r": from=<?([^>,]*)"),
            message_id=text.str.extract(r", msgid=<?([^>,\s]*)"),
            awaited=text.str.extract(r", nrcpts=(\d+)").cast(pl.UInt32, strict=False),
        )
        .unique("key", keep="first", maintain_order=True)
    )


def _marks(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the messages that are notices of our own, and the line that says so."""
    notices = told.filter(pl.col("key") != _about)
    return notices.select("key", at="line").unique("key", keep="first", maintain_order=True)


def _last_words(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that say that a message was given up."""
    text = pl.col("text")
    is_said = text.str.contains(_NOTICE) & text.str.contains(_GIVEN_UP, literal=True)
    return told.filter(pl.col("key") == _about, is_said).select(
        "key", "line", up="line", up_stamp=stamp_of(text)
    )


def _given_up(told: pl.LazyFrame, tried: pl.LazyFrame) -> pl.LazyFrame:
    """Give a bounce of each recipient that was put off until its message was given up."""
    return (
        tried.sort("line", maintain_order=True)
        .join_asof(
            _last_words(told), on="line", by="key", strategy="forward", check_sortedness=False
        )
        .drop_nulls("up")
        .unique(["key", "up", "recipient"], keep="last", maintain_order=True)
        .filter(pl.col("event") == "deferral")
        .with_columns(
            line="up",
            stamp="up_stamp",
            event=pl.lit("bounce"),
            source_class=pl.lit("sendmail:expired"),
        )
    )


def _tried(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give each attempt for each recipient; a line that cannot be read is unreadable."""
    text = pl.col("text")
    state = text.str.extract(r", stat=(\w+)")
    dsn = text.str.extract(r", dsn=([245]\.\d{1,3}\.\d{1,3})")
    failed = pl.when(dsn.str.starts_with("4")).then(pl.lit("deferral")).otherwise(pl.lit("bounce"))
    to = pl.col("to")
    # What Sendmail calls any 550, where it does not repeat the reply; the code is the receiver's.
    is_any_refusal = text.str.contains(r", dsn=5\.7\.\d+, stat=User unknown$")
    vague = pl.when(is_any_refusal).then(pl.concat_str(pl.lit("dsn="), dsn))
    attempts = (
        told.filter(text.str.contains(": to=", literal=True), pl.col("key") == _about)
        .filter(~state.is_in(["queued", "quarantined"]).fill_null(False))
        .select(
            "line",
            "key",
            "text",
            stamp=stamp_of(text),
            to=text.str.extract(_RECIPIENTS).str.split(","),
            event=state.replace_strict(_STATES, default=failed, return_dtype=pl.String),
            reply=pl.coalesce(
                vague,
                text.str.extract(r", reply=(.*), stat="),
                text.str.extract(r", stat=(?:Deferred: |Sent \()?(.*?)\)?$"),
            ),
            enhanced_code=dsn,
            remote_mta=text.str.extract(r", relay=([^,\[\s]*[^,\[\s.])\.?(?: \[|,)"),
            again=text.str.extract(_AGAIN),
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
