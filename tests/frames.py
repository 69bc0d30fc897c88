"""Tiny bounces frames, written as lines of text."""

from datetime import UTC, datetime
from typing import Any

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


def large_list() -> pl.DataFrame:
    """Give a list of 240 addresses: an outage, a public one, a weekly list, and odd rows."""
    rows: list[dict[str, Any]] = []

    def event(when: str | None, what: str, to: str | None, reply: str = "", **more: Any) -> None:
        time = at(when) if when else None
        rows.append({"time": time, "event": what, "recipient": to, "reply": reply or None, **more})

    addresses = [f"r{n}@{('bigmail', 'other', 'gmail')[n % 3]}.example" for n in range(240)]
    for week in range(6):
        for number, to in enumerate(addresses):
            when = f"2025-03-{1 + 5 * week:02} 09:{number % 60:02}"
            mta = f"mx{number % 4}.{to.partition('@')[2]}" if number % 2 else None
            common = {"mailing": "weekly", "remote_mta": mta, "message_id": f"{week}.{number}"}
            if number % 11 == 0 and week > number % 4:
                event(when, "bounce", to, f"550 5.1.1 <{to}> User unknown", **common)
            elif number % 13 == 0:
                event(when, "bounce", to, "552 5.2.2 Mailbox full", **common)
            elif number % 17 == 0:
                event(when, "deferral", to, "451 4.7.1 Greylisted, wait 300 seconds", **common)
            elif week == 3 and "bigmail" in to and number % 2:
                event(when, "bounce", to, f"550 5.1.1 <{to}> User unknown", **common)
            else:
                event(when, "delivery", to, "250 ok", **common)
    said = "550-5.1.1 The email account that you tried to reach does not exist"
    for number in range(30):
        to = f"g{number}@gmail.com"
        event("2020-11-20 09:00", "delivery", to, mailing="november")
        event(f"2020-12-15 21:{number + 10}", "bounce", to, said, mailing="december")
    event("2025-04-01 09:00", "complaint", addresses[1], mailing="april")
    event("2025-04-02 09:00", "engagement", addresses[11])
    for day in (5, 6):  # a message that is tried again the next day
        event(f"2025-04-0{day} 23:00", "bounce", addresses[3], "552 full", message_id="overnight")
    event(None, "bounce", addresses[2], "550 5.1.1 no such user", message_id="undated")
    event("2025-04-03 09:00", "bounce", None, "554 5.7.1 blocked using zen.spamhaus.org")
    event("2025-04-03 09:00", "bounce", "Zoë@bücher.example", "550 Postfach &uuml;berf=C3=BCllt")
    event("2025-04-03 09:00", "bounce", addresses[4], "550 5.1.1 forged", message_id="forged")
    schema = {name: BOUNCES[name] for name in BOUNCES if name not in ("source", "line")}
    return pl.DataFrame(rows, schema)
