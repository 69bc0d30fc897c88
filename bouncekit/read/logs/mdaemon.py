"""MDaemon, sessions that went out: `Mon 2024-03-04 09:12:00: [12:1] <-- 550 5.1.1 No such user`.

`-->` is what MDaemon said and `<--` what it heard (https://help.mdaemon.com, Logging); in sessions
that came in it says the replies. Older versions write each session as a block of lines without its
number, below one that names it.
"""

import polars as pl

from bouncekit.read.logs import dialogue

_BEGIN = r"^ ?(?:[A-Z][a-z]{2} )?(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?): (?:\d\d: )?"
_NUMBER = r"(?:\[(?P<session>\d+:\d+)\] )?"
LINE = rf"{_BEGIN}{_NUMBER}(?:--> |<-- |Session \d+; child \d+)".replace("?P<stamp>", "?:")
_TURN = rf"{_BEGIN}{_NUMBER}(?P<who>-->|<--) (?P<said>.*?)\s*$"


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per recipient."""
    text, said = pl.col("text"), pl.col("said")
    turn = pl.col("turn").struct.field
    block = text.str.extract(r"Session (\d+; child \d+)").forward_fill()
    spoken = (
        lines.filter(text.str.contains(LINE))
        .select("line", block=block, turn=text.str.extract_groups(_TURN))
        .filter(turn("who").is_not_null())
        .select("line", "block", *(turn(name) for name in ("session", "stamp", "who", "said")))
        .with_columns(session=pl.coalesce("session", "block", pl.lit("")))
    )
    is_ours = pl.col("who") == "-->"
    name = dialogue.greeting_host(said)
    heard = spoken.with_columns(
        command=pl.when(is_ours).then(said).forward_fill().over("session"),
        asked=pl.when(is_ours).then("line").forward_fill().over("session"),
        remote_mta=name.drop_nulls().first().over("session"),
    ).filter(~is_ours, pl.col("command").is_not_null())
    # A reply of several lines is one: its lines follow the same command.
    turns = heard.group_by("session", "asked", "command", maintain_order=True).agg(
        pl.col("line", "stamp", "remote_mta").first(), reply=said.str.join("\n")
    )
    return dialogue.events(turns)
