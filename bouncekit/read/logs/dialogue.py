"""What became of each recipient in a session whose commands and replies stand in the log."""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered

# RFC 5321 §3.3: after `RCPT TO` comes `DATA`, answered by 354, and after its end the last word.
END = r"(?i)^(?:DATA\b|BDAT\b|(?:\[nl\])?\.?$)"
_MAIL = ["key", "mail"]
# A session that says nothing for so many lines of others has ended without a word.
SILENT_LINES = 500_000


def greeting_host(said: pl.Expr) -> pl.Expr:
    """Give the host name in a greeting (RFC 5321 §4.2: `220 mx.example.org ESMTP`), else null.

    `220 2.0.0 Ready`, which answers STARTTLS, names none.
    """
    return said.str.extract(r"^220[ -]([\w.-]+\.[A-Za-z][\w-]+)(?:\s|$)")


def waiting(told: pl.LazyFrame, is_end: pl.Expr) -> pl.LazyFrame:
    """Give the lines of sessions that have not ended, and of none that has long been silent."""
    line = pl.col("line")
    ended = told.filter(is_end).group_by("key").agg(end=line.max())
    return (
        told.join(ended, on="key", how="left", maintain_order="left")
        .filter((line > pl.col("end")).fill_null(True))
        .filter(line.max().over("key") + SILENT_LINES > line.max())
        .drop("end")
    )


def events(turns: pl.LazyFrame) -> pl.LazyFrame:
    """Give an event for each recipient that a session names.

    `turns` has a row for each command that was answered: line and known (UInt32, where the answer
    begins and ends), stamp, key (the session), command, reply, remote_mta (String). Who was
    accepted shares what was said after the end of the mail; a session that ends before tells
    nothing of them.
    """
    command, reply = pl.col("command"), pl.col("reply")
    in_order = turns.sort("line").with_columns(
        mail=command.str.contains(r"(?i)^MAIL FROM").cum_sum().over("key"),
        sender=command.str.extract(r"(?i)^MAIL FROM: ?<([^>]*)>").forward_fill().over("key"),
        to=command.str.extract(r"(?i)^RCPT TO: ?<([^>]*)>"),
    )
    ended = (
        in_order.filter(command.str.contains(END))
        # Some logs hold no line for the end of the mail: both replies follow DATA.
        .with_columns(last_word=reply.str.replace(r"^354.*(?:\n|$)", ""))
        .filter(pl.col("last_word") != "")
        .group_by(_MAIL)
        .agg(pl.col("last_word").first(), ended=pl.col("known").first())
    )
    was_accepted = reply.str.starts_with("2")
    outcome = pl.when(was_accepted).then("last_word").otherwise(reply)
    return as_events(
        in_order.filter(pl.col("to").is_not_null())
        .join(ended, on=_MAIL, how="left", maintain_order="left")
        .with_columns(
            reply=outcome,
            known=pl.when(was_accepted)
            .then(pl.max_horizontal("known", "ended"))
            .otherwise("known"),
        )
        .filter(reply.is_not_null())
        .with_columns(
            event=reply.str.head(1).replace_strict(
                {"2": "delivery", "4": "deferral", "5": "bounce"},
                default="unreadable",
                return_dtype=pl.String,
            ),
            recipient=with_domain_lowered("to"),
        )
        # MAIL FROM:<>: a bounce message of our own
        .filter(pl.col("sender").fill_null("?") != "")
    )
