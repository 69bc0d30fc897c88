"""Measure the replay of ten policies: python tests/benchmarks/backtest.py [events] [addresses]."""

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl

from bouncekit.backtest import backtest
from bouncekit.classify import classify
from bouncekit.policy import presets

MAILINGS = 26
POLICIES = 10
REPLIES = (
    "550 5.1.1 User unknown",
    "552 5.2.2 Mailbox full",
    "554 5.7.1 blocked using zen.spamhaus.org",
    "451 4.3.0 Temporary system problem",
)


def history(events: int, addresses: int) -> pl.LazyFrame:
    """Give deliveries and bounces (7 %), most of these by the same 5 % of the addresses."""
    first = datetime(2025, 1, 7, 9, tzinfo=UTC)
    draw = pl.int_range(events, eager=False)
    number = draw.hash(550) % addresses
    mailing = draw % MAILINGS
    bad = number % 20 == 0
    bounced = pl.when(bad).then(draw.hash(1) % 10 < 9).otherwise(draw.hash(2) % 100 < 3)
    reply = pl.lit(pl.Series(list(REPLIES))).gather(draw.hash(3) % len(REPLIES))
    return (
        pl.select(number=number, mailing=mailing, bounced=bounced, reply=reply)
        .lazy()
        .select(
            time=pl.lit(first) + pl.duration(days=14 * pl.col("mailing")),
            event=pl.when("bounced").then(pl.lit("bounce")).otherwise(pl.lit("delivery")),
            recipient=pl.format("a{}@example.org", "number"),
            mailing=pl.format("m{}", "mailing"),
            reply=pl.when("bounced").then("reply"),
        )
    )


def main(events: int, addresses: int) -> None:
    """Print how long the replay takes."""
    frame = classify(history(events, addresses).collect())
    known = list(presets().values())
    policies = [
        replace(known[i % len(known)], name=f"{known[i % len(known)].name}_{i}")
        for i in range(POLICIES)
    ]
    start = time.perf_counter()
    table = backtest(frame, policies)
    took = time.perf_counter() - start
    bounced = frame.filter(pl.col("event") == "bounce").height
    print(f"{events:,} events ({bounced:,} bounces) of {addresses:,} addresses")
    print(f"{POLICIES} policies replayed in {took:.1f} s")
    print(table)


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:]]
    main(*(given + [5_000_000, 1_000_000][len(given) :]))
