"""Measure decisions and offenders: python tests/benchmarks/decide.py [events] [addresses]."""

import sys
import time

import polars as pl
from backtest import history

from bouncekit.classify import classify
from bouncekit.offenders import offenders
from bouncekit.policy import decide, presets


def main(events: int, addresses: int) -> None:
    """Print how long each policy takes."""
    frame = classify(history(events, addresses).collect())
    bounced = frame.filter(pl.col("event") == "bounce").height
    print(f"{events:,} events ({bounced:,} bounces) of {addresses:,} addresses")
    for name in presets():
        start = time.perf_counter()
        decisions = decide(frame, name)
        took = time.perf_counter() - start
        removed = decisions.filter(pl.col("verdict") == "remove").height
        print(f"{name:20} {took:5.1f} s, {removed:,} removed")
    start = time.perf_counter()
    offenders(frame)
    print(f"{'offenders':20} {time.perf_counter() - start:5.1f} s")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:] or ["5000000", "1000000"]))
