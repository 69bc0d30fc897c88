"""MDaemon, sessions that went out: `Mon 2024-03-04 09:12:00: [12:1] <-- 550 5.1.1 No such user`.

`-->` is what MDaemon said and `<--` what it heard (https://help.mdaemon.com, Logging); in sessions
that came in it says the replies. Older versions write each session as a block of lines without its
number, below one that names it.
"""

import polars as pl

from bouncekit.read.logs import dialogue
from bouncekit.read.logs.lines import telling

_BEGIN = r"^ ?(?:[A-Z][a-z]{2} )?(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?): (?:\d\d: )?"
_NUMBER = r"(?:\[\d+:\d+\] )?"
LINE = rf"{_BEGIN}{_NUMBER}(?:--> |<-- |Session \d+; child \d+)".replace("?P<stamp>", "?:")
_TURN = rf"{_BEGIN}{_NUMBER}(?P<who>-->|<--) (?P<said>.*?)\s*$"


_BLOCK = r": Session \d+; child \d+"
# In old logs the lines without a number go together.
told = telling(LINE, pl.col("text").str.extract(r"\[(\d+:\d+)\]").fill_null(""))


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines of sessions that have not ended; of those in blocks, the last."""
    text, line, in_block = pl.col("text"), pl.col("line"), pl.col("key") == ""
    begins = in_block & text.str.contains(_BLOCK)
    last_block = pl.when(begins).then(line).max().fill_null(0)
    here = told.filter(~in_block | (line >= last_block))
    return dialogue.waiting(here, text.str.contains(r"--> (?i)QUIT") & ~in_block)


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per recipient."""
    text, said = pl.col("text"), pl.col("said")
    turn = pl.col("turn").struct.field
    begins = text.str.contains(_BLOCK)
    block = pl.when(begins).then(pl.col("line").cast(pl.String)).forward_fill().over("key")
    spoken = (
        told.with_columns(block=block, turn=text.str.extract_groups(_TURN))
        .filter(turn("who").is_not_null())
        .select("line", "key", "block", *(turn(name) for name in ("stamp", "who", "said")))
        .with_columns(key=pl.when(pl.col("key") == "").then("block").otherwise("key").fill_null(""))
    )
    is_ours = pl.col("who") == "-->"
    name = dialogue.greeting_host(said)
    heard = spoken.with_columns(
        command=pl.when(is_ours).then(said).forward_fill().over("key"),
        asked=pl.when(is_ours).then("line").forward_fill().over("key"),
        remote_mta=name.forward_fill().over("key"),
    ).filter(~is_ours, pl.col("command").is_not_null())
    return dialogue.events(_replies(heard))


def _replies(heard: pl.LazyFrame) -> pl.LazyFrame:
    """Join the lines of each reply that has come to its end (RFC 5321 §4.2.1).

    Only after the end of a mail may a command have more than one: 354, and the last word.
    """
    asked, said = ["key", "asked", "command"], pl.col("said")
    is_last = said.str.contains(r"^\d{3}(?:[^-]|$)")
    return (
        heard.with_columns(is_last=is_last)
        .with_columns(number=pl.col("is_last").cum_sum().over(asked) - pl.col("is_last"))
        .filter((pl.col("number") == 0) | pl.col("command").str.contains(dialogue.END))
        .group_by(*asked, "number", maintain_order=True)
        .agg(
            pl.col("line", "stamp", "remote_mta").first(),
            known=pl.col("line").last(),
            reply=said.str.join("\n"),
            is_whole=pl.col("is_last").any(),
        )
        .filter("is_whole")
    )
