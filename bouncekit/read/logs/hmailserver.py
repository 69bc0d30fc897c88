r"""hMailServer: `"SMTPC"\t7\t12\t"2026-03-04 09:12:00.000"\t"192.0.2.25"\t"SENT: RCPT TO:<...>"`.

SMTPC is the client's side of a session, SMTPD the server's (https://www.hmailserver.com, Logging).
"""

import polars as pl

from bouncekit.read.logs import dialogue

LINE = r'^"(?:SMTPC|SMTPD|APPLICATION|DEBUG|TCPIP|POP3D|IMAPD)"\t\d+\t'
_TURN = (
    r'^"SMTPC"\t\d+\t(?P<session>\d+)\t"(?P<stamp>[^"]*)"\t"(?P<ip>[^"]*)"\t'
    r'"(?P<who>SENT|RECEIVED): (?P<said>.*)"\s*$'
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per recipient."""
    turn = pl.col("turn").struct.field
    said = pl.col("said")
    spoken = (
        lines.filter(pl.col("text").str.starts_with('"SMTPC"'))
        .select("line", turn=pl.col("text").str.extract_groups(_TURN))
        .filter(turn("who").is_not_null())
        .select("line", *(turn(name) for name in ("session", "stamp", "ip", "who", "said")))
        .with_columns(name=dialogue.greeting_host(said))
    )
    # A server that starts again counts its sessions from 1 again.
    session = pl.concat_str("session", "ip", separator=" ")
    turns = spoken.select(
        "line",
        "stamp",
        session=session,
        is_reply=pl.col("who") == "RECEIVED",
        command=pl.when(pl.col("who") == "SENT").then(said).forward_fill().over(session),
        reply=said.str.replace_all("[nl]", "\n", literal=True),
        remote_mta=pl.coalesce(pl.col("name").drop_nulls().first().over(session), "ip"),
    )
    return dialogue.events(turns.filter("is_reply", pl.col("command").is_not_null()))
