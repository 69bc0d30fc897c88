r"""MailEnable, the activity log of SMTP: a command with its answer is a line.

`03/04/26 09:12:00\tSMTP-OU\t0A1B.MAI\t7\t192.0.2.25\tRCPT\tRCPT TO:<...>\t550 ...\t30\t10\t\tJune`:
SMTP-OU is mail that went out, SMTP-IN mail that came in (https://www.mailenable.com, log files).
"""

import polars as pl

from bouncekit.read.logs import dialogue

_TIME = r"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d\d) (?P<time>\d\d:\d\d:\d\d)"
LINE = r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d\tSMTP-(?:OU|IN)\t"
_TURN = (
    rf"^{_TIME}\tSMTP-OU\t(?P<session>[^\t]*\t[^\t]*)\t(?P<ip>[^\t]*)\t(?P<verb>[^\t]*)\t"
    r"(?P<command>[^\t]*)\t(?P<reply>[^\t]*)"
)


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per recipient."""
    turn = pl.col("turn").struct.field
    date = (pl.lit("20"), turn("year"), pl.lit("-"), turn("month"), pl.lit("-"), turn("day"))
    greeting = pl.when(turn("verb") == "CONN").then(turn("reply"))
    turns = (
        lines.filter(pl.col("text").str.contains(LINE))
        .select("line", turn=pl.col("text").str.extract_groups(_TURN))
        .filter(turn("session").is_not_null())
        .select(
            "line",
            stamp=pl.concat_str(*date, pl.lit(" "), turn("time")),
            session=turn("session"),
            command=turn("command"),
            reply=turn("reply"),
            ip=turn("ip"),
            name=dialogue.greeting_host(greeting),
            is_greeting=turn("verb") == "CONN",
        )
        .with_columns(
            remote_mta=pl.coalesce(
                pl.col("name").forward_fill().over("session", order_by="line"), "ip"
            )
        )
        .filter(~pl.col("is_greeting"))
    )
    return dialogue.events(turns)
