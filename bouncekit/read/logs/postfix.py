"""Postfix: `postfix/smtp[7]: 4F3B2C1D0A: to=<...>, relay=..., dsn=5.1.1, status=bounced (...)`.

Sender and message id stand on other lines of the same queue id (postfix.org, DEBUG_README). Short
queue ids are used again for later messages, so a delivery belongs to the last message before it
that had its id, and to none once that was removed. Lines of smtpd are about mail that came in.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import STAMP

_PROGRAM = r"postfix[\w./-]*\[\d+\]: (?:\[ID \d+ [\w.]+\] )?"
_QUEUE_ID = r"([0-9A-Za-z]{5,20})"
LINE = rf"{_PROGRAM}(?:[0-9A-Za-z]{{5,20}}: |connect |disconnect |warning: |NOQUEUE: )"

# What may tell of a message: the rest of a log is passed over quickly.
_TELLING = r" status=| message-id=|: removed| from=<"
# Anchored and with one way to read each line: that halves the time of the regular expression.
_DELIVERY = (
    r"^[^\]]*\]: (?:\[ID [0-9]+ [A-Za-z0-9_.]+\] )?(?P<id>[0-9A-Za-z]{5,20}): "
    r"to=<?(?P<to>[^<>, ]*)>?, (?:orig_to=<?(?P<orig_to>[^<>, ]*)>?, )?"
    r"relay=(?P<relay>[^,]*), (?:conn_use=[0-9]+, )?delay=[^,]*, (?:delays=[^,]*, )?"
    r"(?:dsn=(?P<dsn>[245]\.[0-9]{1,3}\.[0-9]{1,3}), )?"
    r"status=(?P<status>[a-z-]+)(?: \((?P<reply>.*))?$"
)
_EVENTS = {"sent": "delivery", "bounced": "bounce", "deferred": "deferral"}
# Questions whether an address exists are no mail (verify(8)).
_PROBES = ("deliverable", "undeliverable", "undeliverable-but-not-cached")


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt."""
    text = pl.col("text")
    told = lines.filter(text.str.contains("postfix", literal=True)).filter(
        text.str.contains(_TELLING)
    )
    ours = pl.col("sender").fill_null("?") != ""  # from=<>: a bounce message of our own
    tried = _of_its_message(_tried(told), told).filter(ours)
    # Few messages expire; to look for them at once spares reading all attempts a second time.
    given_up = _given_up(told).collect(engine="streaming")
    if given_up.is_empty():
        return as_events(tried)
    theirs = told.filter(text.str.contains_any(given_up["id"].unique().to_list()))
    again = _of_its_message(_tried(theirs), theirs).filter(ours)
    expired = _expired(given_up.lazy(), theirs, again)
    both = pl.concat([tried, expired], how="diagonal").sort("line", maintain_order=True)
    return as_events(both)


def _of_its_message(tried: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Add message_id, sender, and `life`: the line on which the queue id was last given back."""
    joined = _after(tried, told, ": removed", r": ()removed$", "life")
    for mark, pattern, name in (
        (" message-id=", r": message-id=<?([^>\s]*)", "message_id"),
        (" from=<", r": from=<([^>]*)>", "sender"),
    ):
        joined = _after(joined, told, mark, pattern, name)
    return joined


def _after(
    tried: pl.LazyFrame, told: pl.LazyFrame, mark: str, pattern: str, name: str
) -> pl.LazyFrame:
    """Add what the last line before with the same queue id says, if it is of the same life."""
    text, line = pl.col("text"), pl.col("line")
    known = (
        told.filter(text.str.contains(mark, literal=True))
        .select(
            "line",
            id=text.str.extract(rf"\]: {_QUEUE_ID}{pattern.partition('(')[0]}"),
            said=text.str.extract(pattern),
            at=line,
        )
        .filter(pl.col("id").is_not_null())
    )
    joined = tried.join_asof(known, on="line", by="id", strategy="backward", check_sortedness=False)
    if name == "life":
        return joined.with_columns(life=pl.col("at").fill_null(0)).drop("said", "at")
    is_of_life = (pl.col("at") > pl.col("life")) | (pl.col("life") == 0)
    return joined.with_columns(pl.when(is_of_life).then("said").alias(name)).drop("said", "at")


def _tried(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give each attempt to deliver; a line that should tell of one and does not is unreadable."""
    text = pl.col("text")
    attempt = text.str.contains(" status=", literal=True) & text.str.contains(": to=", literal=True)
    said = text.str.extract_groups(_DELIVERY)
    field = pl.col("said").struct.field
    status, relay = field("status"), field("relay")
    lost = status.is_null()
    reply = field("reply").str.strip_suffix(")")
    # A text that names its own code knows better than 5.0.0.
    vague = field("dsn").str.ends_with(".0.0") & reply.str.contains(r"[245]\.[1-9]\.[0-9]")
    to, orig_to = field("to"), field("orig_to")
    return (
        told.filter(attempt)
        .select("line", "text", stamp=text.str.extract(STAMP), said=said)
        .filter(~status.is_in(_PROBES).fill_null(False))
        .select(
            "line",
            "stamp",
            id=field("id"),
            event=pl.when(lost)
            .then(pl.lit("unreadable"))
            .otherwise(status.replace_strict(_EVENTS, default=None, return_dtype=pl.String)),
            recipient=with_domain_lowered(pl.coalesce(orig_to, to)),
            final_recipient=pl.when(orig_to.is_not_null()).then(with_domain_lowered(to)),
            reply=pl.when(lost).then("text").otherwise(reply),
            enhanced_code=pl.when(~vague.fill_null(False)).then(field("dsn")),
            source_class=pl.concat_str(pl.lit("postfix:"), status),
            remote_mta=pl.coalesce(
                pl.when(~relay.is_in(["none", "local", "virtual"])).then(
                    relay.str.extract(r"^([^\[,:]+)\[")
                ),
                reply.str.extract(r"(?:^|said: |connect to )(?:host )?([\w.-]+\.[\w-]+)\["),
            ),
        )
        .sort("line")
    )


def _given_up(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that say that a message has waited too long: line, stamp and queue id."""
    text = pl.col("text")
    return (
        told.filter(text.str.contains("status=(?:force-)?expired"))
        .select(
            "line",
            stamp=text.str.extract(STAMP),
            id=text.str.extract(rf"qmgr\[\d+\]: {_QUEUE_ID}: from="),
        )
        .filter(pl.col("id").is_not_null())
    )


def _expired(given_up: pl.LazyFrame, told: pl.LazyFrame, tried: pl.LazyFrame) -> pl.LazyFrame:
    """Give a bounce of each recipient that was still deferred when its message expired.

    qmgr(8) names only the sender: `from=<...>, status=expired, returned to sender`.
    """
    last = (
        tried.filter(pl.col("event").is_in(["delivery", "bounce", "deferral"]))
        .sort("line")
        .unique(["id", "life", "recipient"], keep="last")
        .filter(pl.col("event") == "deferral")
        .drop("line", "stamp")
    )
    return (
        _after(given_up, told, ": removed", r": ()removed$", "life")
        .join(last, on=["id", "life"])
        .with_columns(event=pl.lit("bounce"), source_class=pl.lit("postfix:expired"))
    )
