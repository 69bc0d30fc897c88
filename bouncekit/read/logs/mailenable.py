r"""MailEnable, the activity log of SMTP: a command with its answer is a line.

`03/04/26 09:12:00\tSMTP-OU\t0A1B.MAI\t7\t192.0.2.25\tRCPT\tRCPT TO:<...>\t550 ...\t30\t10\t\tJune`:
SMTP-OU is mail that went out, SMTP-IN mail that came in (https://www.mailenable.com, log files).
"""

import polars as pl

from bouncekit.read.logs import dialogue
from bouncekit.read.logs.lines import telling

_TIME = r"(?P<month>\d\d)/(?P<day>\d\d)/(?P<year>\d\d) (?P<time>\d\d:\d\d:\d\d)"
LINE = r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d\tSMTP-(?:OU|IN)\t"
_TURN = (
    rf"^{_TIME}\tSMTP-OU\t[^\t]*\t[^\t]*\t(?P<ip>[^\t]*)\t(?P<verb>[^\t]*)\t"
    r"(?P<command>[^\t]*)\t(?P<reply>[^\t]*)"
)


# The name of the queue file, and a number
_SESSION = pl.col("text").str.extract(r"\tSMTP-OU\t([^\t]*\t[^\t]*)\t")
told = telling(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d\tSMTP-OU\t", _SESSION)


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines of sessions that have not ended."""
    return dialogue.waiting(told, pl.col("text").str.contains("\tQUIT\t", literal=True))


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per recipient."""
    turn = pl.col("turn").struct.field
    date = (pl.lit("20"), turn("year"), pl.lit("-"), turn("month"), pl.lit("-"), turn("day"))
    greeting = pl.when(turn("verb") == "CONN").then(turn("reply"))
    turns = (
        told.select("line", "key", turn=pl.col("text").str.extract_groups(_TURN))
        .filter(turn("ip").is_not_null())
        .select(
            "line",
            "key",
            known="line",
            stamp=pl.concat_str(*date, pl.lit(" "), turn("time")),
            command=turn("command"),
            reply=turn("reply"),
            ip=turn("ip"),
            name=dialogue.greeting_host(greeting),
            is_greeting=turn("verb") == "CONN",
        )
        .with_columns(
            remote_mta=pl.coalesce(pl.col("name").forward_fill().over("key", order_by="line"), "ip")
        )
        .filter(~pl.col("is_greeting"))
    )
    return dialogue.events(turns)
