"""Tiny bounces frames, written as lines of text."""

from datetime import UTC, datetime

import polars as pl

from bouncekit.classify import classify
from bouncekit.schema import BOUNCES

COLUMNS = ("time", "event", "recipient", "mailing", "reply")


def bounces(text: str) -> pl.DataFrame:
    """Read a classified frame from lines of: day, hour, event, recipient, #mailing, reply.

    A `-` for day and hour is no time; the mailing may be left out, and so may the reply.
    """
    rows = [row(line) for line in text.strip().splitlines()]
    frame = pl.DataFrame(rows, {name: BOUNCES[name] for name in COLUMNS}, orient="row")
    return classify(frame)


def row(line: str) -> tuple[datetime | None, str, str, str | None, str | None]:
    day, hour, event, recipient, *rest = line.split(maxsplit=4)
    reply = rest[0] if rest else ""
    mailing = None
    if reply.startswith("#"):
        mailing, _, reply = reply[1:].partition(" ")
    return at(f"{day} {hour}"), event, recipient, mailing, reply or None


def at(text: str) -> datetime | None:
    """Give a time in UTC: `at("2025-01-07 09:00")`."""
    return None if text == "- -" else datetime.fromisoformat(text).replace(tzinfo=UTC)
