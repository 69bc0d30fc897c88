"""Postfix: `postfix/smtp[7]: 4F3B2C1D0A: to=<...>, relay=..., dsn=5.1.1, status=bounced (...)`.

Sender and message id stand on other lines of the same queue id (postfix.org, DEBUG_README). Short
queue ids are used again for later messages, so a delivery belongs to the last message before it
that had its id, and to none once that was removed. Lines of smtpd are about mail that came in.
"""

import polars as pl

from bouncekit.read.logs.lines import (
    as_events,
    first_part,
    second_part,
    with_domain_lowered,
)
from bouncekit.read.logs.stamps import stamp_of

_PROGRAM = r"postfix[\w./-]*\[\d+\]: (?:\[ID \d+ [\w.]+\] )?"
_QUEUE_ID = r"[0-9A-Za-z]{5,20}"
# Postfix may be called anything (syslog_name): then what it says tells it.
_SAID_BY_IT = (
    rf"\]: {_QUEUE_ID}: (?:to=<[^>]*>, (?:orig_to=|relay=)|from=<[^>]*>, size=\d+, nrcpt=|removed$"
    r"|(?:resent-)?message-id=<)"
)
LINE = rf"{_PROGRAM}(?:{_QUEUE_ID}: |connect |disconnect |warning: |NOQUEUE: )|{_SAID_BY_IT}"

# A host of this machine or its network, and what it says when it passes a message on.
_NEAR = r", relay=[^,]*\[(?:127\.|10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|::1\]|IPv6:::1\])"
_QUEUED_AS = r"queued as ([0-9A-Za-z]{5,20})"

# What may tell of a message: the rest of a log is passed over quickly.
_TELLING = r" status=| message-id=|: removed| from=<"
# With soft_bounce=yes Postfix defers what it would have bounced.
_EVENTS = {
    "sent": "delivery",
    "bounced": "bounce",
    "deferred": "deferral",
    "SOFTBOUNCE": "deferral",
}
# Questions whether an address exists are no mail (verify(8)).
_PROBES = ("deliverable", "undeliverable", "undeliverable-but-not-cached")

_key, _said, _line = pl.col("key"), pl.col("said"), pl.col("line")
_is_try, _is_from, _is_message, _is_removed, _is_given_up = (
    pl.col(name) for name in ("is_try", "is_from", "is_message", "is_removed", "is_given_up")
)
# cleanup(8) names the message id of a message before anything else is said of it.
_is_bound = _is_message | _is_removed
_MAY_BE_NEAR = _said.str.contains(r"\[(?:127\.|10\.|192\.168\.|172\.|::1\]|IPv6:::1\])")
_MAY_BE_PIPED = _said.str.contains("(delivered via ", literal=True)
_IS_DEFERRED = _said.str.contains(", status=deferred", literal=True)
# `to=<...>, orig_to=<...>`: whom an attempt was for
_WHO = first_part(_said, ", relay=")


def told(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that tell of a message: line, key (the queue id), what is said, and before it.

    What kind of line each is stands in five more columns, so that it is looked for once. To split a
    text costs a twentieth of what a regular expression with groups costs.
    """
    text = pl.col("text")
    split = lines.filter(text.str.contains(_TELLING)).select(
        "line", before=first_part(text, "]: "), said=pl.coalesce(second_part(text, "]: "), text)
    )
    key, said = first_part(_said, ": "), second_part(_said, ": ")
    # syslog of Solaris: `[ID 197553 mail.info] 4F3B2C1D0A`
    plain = pl.when(key.str.starts_with("[ID ")).then(second_part(key, "] ")).otherwise(key)
    is_from = _said.str.starts_with("from=<")
    return split.select("line", "before", key=plain, said=said).with_columns(
        is_try=(_said.str.starts_with("to=") | _said.str.contains(": to=", literal=True))
        & _said.str.contains(" status=", literal=True),
        is_from=is_from,
        is_message=_said.str.starts_with("message-id="),
        is_removed=_said == "removed",
        # qmgr(8) names only the sender: `from=<...>, status=expired, returned to sender`.
        is_given_up=pl.when(is_from)
        .then(_said)
        .str.contains(", status=(?:force-)?expired")
        .fill_null(False),
    )


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give what is still open: sender, message id and the last deferral of each recipient.

    A message ends when it is removed. Of those whose end is in no log, and of messages refused
    before they were queued, the message id stays until CARRIED_LINES later ones have come.
    """
    # Most messages are removed in the block that they begin in: to drop these first leaves few.
    after = _since(told, _is_removed).filter(_is_try | _is_from | _is_message).collect()
    here = _since(after.lazy(), _is_message)
    given_up = here.filter(_is_given_up).group_by("key").agg(up=_line.max())
    what = pl.when(_is_try).then(_WHO).otherwise(_said.str.head(4))
    same = pl.struct("key", what)
    told_first, told_last = same.is_first_distinct(), same.is_last_distinct()
    is_open = ~_is_try | (_IS_DEFERRED & (_line > pl.col("up")).fill_null(True))
    return (
        here.filter(pl.when(_is_try).then(told_last).otherwise(told_first))
        .join(given_up, on="key", how="left", maintain_order="left")
        .filter(is_open)
    )


def _since(told: pl.LazyFrame, is_bound: pl.Expr) -> pl.LazyFrame:
    """Give the lines from the last such one of their message on, or all where it has none."""
    bounds = told.filter(is_bound).group_by("key").agg(bound=_line.max())
    return (
        told.join(bounds, on="key", how="left", maintain_order="left")
        .filter((_line >= pl.col("bound")).fill_null(True))
        .drop("bound")
    )


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of what `told` gives: one per attempt to deliver, one more on giving up."""
    message_id, sender = pl.col("message_id"), pl.col("sender")
    tries = (
        _with_last(told.filter(_is_try), told, "message_id", _is_message)
        .pipe(_with_last, told, "sender", _is_from)
        # from=<>: a bounce message of our own
        .filter(~sender.str.starts_with("from=<>").fill_null(False))
        .with_columns(
            message_id=_in_brackets(message_id.str.strip_prefix("message-id=")),
            sender=_in_brackets(sender.str.strip_prefix("from=")),
        )
    )
    tries = _without_hops(tries, told)
    all_tries = [tries.with_columns(is_expired=pl.lit(False))]
    # Few messages expire: to look for them first spares many blocks the rest.
    expire = told.filter(_is_given_up).select("key").unique().collect()
    if len(expire):
        theirs = told.join(expire.lazy(), on="key", how="semi", maintain_order="left")
        given_up = _given_up(tries.join(expire.lazy(), on="key", how="semi"), theirs)
        all_tries.append(given_up.with_columns(is_expired=pl.lit(True)))
    return as_events(_read(pl.concat(all_tries)))


def _without_hops(tries: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out what only handed a message to a filter: it goes on with another queue id.

    Filters on this network say the id (amavis: `queued as 4F3B2C1D0A`), those of pipe(8) send the
    message again by themselves. A port here that leads elsewhere (stunnel) says an id that is in no
    line of this log.
    """
    # Hardly a log has both, and most have neither: to look first spares many blocks the rest.
    near, piped = (
        told.select(_MAY_BE_NEAR.any(), _MAY_BE_PIPED.any().alias("piped")).collect().row(0)
    )
    if near:
        is_near = _said.str.contains(_NEAR) & _said.str.contains(_QUEUED_AS)
        keys = told.select(again="key").unique()
        again = pl.when(is_near).then(_said.str.extract(_QUEUED_AS))
        tries = tries.with_columns(again=again).join(keys, on="again", how="anti").drop("again")
    if piped:
        is_piped = _said.str.contains(r" status=sent \(delivered via \S+ service")
        ids = told.filter(_is_message).select("key", "said").unique()
        often = ids.group_by("said").agg(keys=pl.len()).filter(pl.col("keys") > 1)
        twice = often.select(twice=_in_brackets(pl.col("said").str.strip_prefix("message-id=")))
        twice_piped = pl.when(is_piped).then(pl.col("message_id")).alias("twice")
        tries = tries.with_columns(twice_piped).join(twice, on="twice", how="anti").drop("twice")
    return tries


def _in_brackets(said: pl.Expr) -> pl.Expr:
    return first_part(said.str.strip_prefix("<"), ">")


def _with_last(
    tries: pl.LazyFrame, told: pl.LazyFrame, name: str, is_said: pl.Expr
) -> pl.LazyFrame:
    """Add what was last said of the same message, and nothing of others that had its queue id."""
    last = told.filter(is_said | _is_bound).select(
        "line", "key", pl.when(is_said).then(_said).alias(name)
    )
    return tries.join_asof(last, on="line", by="key", check_sortedness=False)


def _given_up(tries: pl.LazyFrame, told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the last attempt for each recipient who was deferred until the message was given up."""
    ends = told.filter(_is_given_up | _is_bound).select(
        "key", "line", up=pl.when(_is_given_up).then("line"), up_before="before"
    )
    return (
        tries.sort("line")
        .join_asof(ends, on="line", by="key", strategy="forward", check_sortedness=False)
        .drop_nulls("up")
        .with_columns(who=_WHO)
        .unique(["key", "up", "who"], keep="last", maintain_order=True)
        .filter(_IS_DEFERRED)
        .with_columns(line="up", before="up_before")
        .select(tries.collect_schema().names())
    )


# What is believed of a line only where all of it can be read
_READ = ["to", "orig_to", "dsn", "status", "message_id", "sender"]
_status, _relay, _dsn, _reply = (pl.col(name) for name in ("status", "relay", "dsn", "reply"))


def _fields(tries: pl.LazyFrame) -> pl.LazyFrame:
    """Split each attempt into to, orig_to, relay, dsn, status and reply."""
    who, how, end, outcome = (pl.col(name) for name in ("who", "how", "end", "outcome"))
    return (
        tries.with_columns(who=_WHO, how=second_part(_said, ", relay="))
        # Until version 2.3 Postfix named no dsn.
        .with_columns(end=pl.coalesce(second_part(how, ", dsn="), how))
        .with_columns(
            to=_unless_empty(
                first_part(who, ", orig_to=").str.strip_prefix("to=").str.strip_chars("<>")
            ),
            orig_to=second_part(who, ", orig_to=").str.strip_chars("<>"),
            relay=first_part(how, ", "),
            dsn=pl.when(end != how).then(first_part(first_part(end, ", status="), ",")),
            outcome=second_part(end, ", status="),
        )
        .with_columns(
            status=first_part(outcome, " ("),
            reply=second_part(outcome, " (").str.strip_suffix(")"),
        )
    )


def _unless_empty(text: pl.Expr) -> pl.Expr:
    return pl.when(text != "").then(text)


def _read(tries: pl.LazyFrame) -> pl.LazyFrame:
    """Give the event of each attempt; a line that should tell of one and does not is unreadable."""
    to, orig_to = pl.col("to"), pl.col("orig_to")
    is_redirected = orig_to.str.contains("@", literal=True)  # `orig_to=<root>` is no address
    event = _status.replace_strict(_EVENTS, default=None, return_dtype=pl.String)
    # discard(8), and amavis
    is_discarded = (_relay == "none") | _reply.str.contains("Ok, discarded", literal=True)
    is_discarded &= _status == "sent"
    is_lost = ~(
        _key.str.contains(f"^{_QUEUE_ID}$")
        & _said.str.starts_with("to=")
        & _relay.is_not_null()
        & _status.str.contains("^(?:[a-z-]+|SOFTBOUNCE)$")
        & _reply.is_not_null()
        & _dsn.str.contains(r"^[245]\.\d{1,3}\.\d{1,3}$").fill_null(True)
    ).fill_null(False)
    return (
        _fields(tries)
        .filter(~(_status.is_in(_PROBES) | _is_handed_on()).fill_null(False))
        .with_columns(is_lost=is_lost)
        .with_columns(pl.when(~pl.col("is_lost")).then(pl.col(_READ)))
        .select(
            "line",
            "message_id",
            "sender",
            stamp=stamp_of(pl.col("before")),
            event=pl.when("is_lost")
            .then(pl.lit("unreadable"))
            .when("is_expired")
            .then(pl.lit("bounce"))
            .when(is_discarded)
            .then(pl.lit("dropped"))
            .otherwise(event),
            recipient=with_domain_lowered(pl.when(is_redirected).then(orig_to).otherwise(to)),
            final_recipient=pl.when(is_redirected).then(with_domain_lowered(to)),
            reply=pl.when("is_lost").then(_whole_line()).otherwise(_reply),
            enhanced_code=pl.when(~_is_vague()).then(_dsn),
            source_class=pl.when("is_expired")
            .then(pl.lit("postfix:expired"))
            .otherwise(pl.concat_str(pl.lit("postfix:"), _status)),
            remote_mta=_host(),
        )
    )


def _is_handed_on() -> pl.Expr:
    """True where nobody got the mail yet: it goes on with another queue id."""
    return (_status == "sent") & _reply.str.starts_with("forwarded as ")


def _whole_line() -> pl.Expr:
    before = pl.col("before")
    return (
        pl.when(before.str.ends_with(_said))  # nothing in it could be split
        .then(before)
        .otherwise(pl.concat_str(before, pl.lit("]: "), "key", pl.lit(": "), "said"))
    )


def _is_vague() -> pl.Expr:
    """True where a text that names its own code knows better than 5.0.0."""
    general = pl.when(_dsn.str.ends_with(".0.0")).then(_reply)
    return general.str.contains(r"[245]\.[1-9]\.[0-9]").fill_null(False)


def _host() -> pl.Expr:
    """Give the name of the host that answered, or of the one that did not."""
    host = pl.when(_relay.str.contains("[", literal=True)).then(first_part(_relay, "["))
    named = pl.when(host != "").then(host)
    unnamed = pl.when(named.is_null()).then(_reply)
    return pl.coalesce(
        named, unnamed.str.extract(r"(?:^|: |connect to )(?:host )?([\w.-]+\.[\w-]+)\[")
    )
