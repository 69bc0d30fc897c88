r"""hMailServer: `"SMTPC"\t7\t12\t"2026-03-04 09:12:00.000"\t"192.0.2.25"\t"SENT: RCPT TO:<...>"`.

SMTPC is the client's side of a session, SMTPD the server's (https://www.hmailserver.com, Logging).
"""

import polars as pl

from bouncekit.read.logs import dialogue
from bouncekit.read.logs.lines import telling

LINE = r'^"(?:SMTPC|SMTPD|APPLICATION|DEBUG|TCPIP|POP3D|IMAPD)"\t\d+\t'
_TURN = (
    r'^"SMTPC"\t\d+\t\d+\t"(?P<stamp>[^"]*)"\t"(?P<ip>[^"]*)"\t'
    r'"(?P<who>SENT|RECEIVED): (?P<said>.*)"\s*$'
)


# A server that starts again counts its sessions from 1 again.
_SESSION = pl.concat_str(
    pl.col("text").str.extract(r'^"SMTPC"\t\d+\t(\d+)\t'),
    pl.col("text").str.extract(r'^"SMTPC"\t\d+\t\d+\t"[^"]*"\t"([^"]*)"'),
    separator=" ",
)
told = telling(r'^"SMTPC"\t', _SESSION)


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines of sessions that have not ended."""
    return dialogue.waiting(told, pl.col("text").str.contains(r'"SENT: (?i)QUIT'))


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per recipient."""
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
