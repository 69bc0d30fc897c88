r"""hMailServer: `"SMTPC"\t7\t12\t"2026-03-04 09:12:00.000"\t"192.0.2.25"\t"SENT: RCPT TO:<...>"`.

SMTPC is the client's side of a session, SMTPD the server's (https://www.hmailserver.com, Logging).
APPLICATION tells of messages: `SMTPDeliverer - Message 5: Delivering message from ... to .... File:
...` begins an attempt for all who are left (ExternalDelivery.cpp of hMailServer). How it ended is
said of the message, not of a recipient; so it counts where it was the last attempt and is certain
whom it is about: the only one who was left, or the one for whom there was no server.
"""

import polars as pl

from bouncekit.read.logs import dialogue
from bouncekit.read.logs.lines import as_events, telling, with_domain_lowered

LINE = r'^"(?:SMTPC|SMTPD|APPLICATION|DEBUG|TCPIP|POP3D|IMAPD)"\t\d+\t'
_TURN = (
    r'^"SMTPC"\t\d+\t\d+\t"(?P<stamp>[^"]*)"\t"(?P<ip>[^"]*)"\t'
    r'"(?P<who>SENT|RECEIVED): (?P<said>.*)"\s*$'
)
_DELIVERER = r'^"APPLICATION"\t\d+\t"(?P<stamp>[^"]*)"\t"SMTPDeliverer - (Message \d+): '
_WORD = rf'{_DELIVERER}(?P<said>.*)"\s*$'
_BEGIN = r"^Delivering message from (?P<sender>\S+) to (?P<to>.+?)\.? File: "
_NO_SERVER = r"^No mail servers could be found for the address (\S+?)\.?$"
_GIVEN_UP = "Message could not be delivered. Returning error log to sender."
_END = r"^Message (?:could not be delivered|delivery thread completed)"
_ATTEMPT = ["key", "attempt"]

# A server that starts again counts its sessions from 1 again, but not its messages.
_SESSION = pl.concat_str(
    pl.col("text").str.extract(r'^"SMTPC"\t\d+\t(\d+)\t'),
    pl.col("text").str.extract(r'^"SMTPC"\t\d+\t\d+\t"[^"]*"\t"([^"]*)"'),
    separator=" ",
)
_MESSAGE = pl.col("text").str.extract(_DELIVERER, 2)
told = telling(rf'^"SMTPC"\t|{_DELIVERER}', pl.coalesce(_SESSION, _MESSAGE))


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines of sessions and of attempts that have not ended."""
    text = pl.col("text")
    is_end = text.str.contains(r'^"SMTPC".*"SENT: (?i)QUIT') | text.str.extract(
        _WORD, 3
    ).str.contains(_END).fill_null(False)
    return dialogue.waiting(told, is_end)


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per recipient."""
    return pl.concat([_sessions(told), _undeliverable(told)])


def _undeliverable(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of attempts that found no server, and of those that were the last."""
    said, to = pl.col("said"), pl.col("to")
    begins = to.is_not_null()
    ended = said.str.contains(_END).shift(fill_value=False)
    lines = (
        told.filter(pl.col("key").str.starts_with("Message "))
        .select("line", "key", pl.col("text").str.extract_groups(_WORD).struct.unnest())
        .drop_nulls("said")
        .sort("line")
        .with_columns(said.str.extract_groups(_BEGIN).struct.unnest())
        .with_columns(attempt=(begins | ended).cum_sum().over("key"))
    )
    begun = lines.filter(begins).select(*_ATTEMPT, "sender", "to")
    failed = lines.drop("sender", "to").join(begun, on=_ATTEMPT, how="left")
    unserved = failed.with_columns(recipient=said.str.extract(_NO_SERVER)).drop_nulls("recipient")
    last = failed.filter(said == _GIVEN_UP)
    alone = last.filter(~to.str.contains(",", literal=True)).with_columns(recipient=to)
    why = unserved.select(*_ATTEMPT, "recipient", "said")
    given_up = pl.concat([last.drop("said").join(why, on=_ATTEMPT), alone], how="diagonal").unique(
        ["line", "recipient"], keep="first", maintain_order=True
    )
    tried = [
        unserved.with_columns(event=pl.lit("deferral")),
        given_up.with_columns(event=pl.lit("bounce"), source_class=pl.lit("hmailserver:expired")),
    ]
    return as_events(
        pl.concat(tried, how="diagonal")
        .with_columns(reply="said", recipient=with_domain_lowered("recipient"))
        # a bounce message of our own
        .filter(pl.col("sender").fill_null("?") != "<Empty>")
    )


def _sessions(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give what became of each recipient in its session."""
    turn = pl.col("turn").struct.field
    said = pl.col("said")
    spoken = (
        told.select("line", "key", turn=pl.col("text").str.extract_groups(_TURN))
        .filter(turn("who").is_not_null())
        .select("line", "key", *(turn(name) for name in ("stamp", "ip", "who", "said")))
    )
    name = dialogue.greeting_host(said).forward_fill().over("key", order_by="line")
    turns = spoken.select(
        "line",
        "key",
        "stamp",
        known="line",
        is_reply=pl.col("who") == "RECEIVED",
        command=pl.when(pl.col("who") == "SENT").then(said).forward_fill().over("key"),
        reply=said.str.replace_all("[nl]", "\n", literal=True),
        remote_mta=pl.coalesce(name, "ip"),
    )
    return dialogue.events(turns.filter("is_reply", pl.col("command").is_not_null()))
