"""Counts that parts of a list make apart, and that together are those of the whole list."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from bouncekit.history import told

# What every count looks at, to know what an event is and whom it is charged to.
ALWAYS = ("recipient", "time", "event", "category", "unmatched")


@dataclass(frozen=True)
class Tally:
    """What to count in each part of a frame, and how the counts of all parts go together.

    `count` takes the events of `history.told` and gives `keys`, with `sums` to add up (as Int64)
    and `firsts` of which the least stands. It looks at `columns` beside those of `ALWAYS`, and
    with `span` only at events of that time. With `by_recipient` addresses are counted, so that all
    events of one must lie in the same part.
    """

    count: Callable[[pl.LazyFrame], pl.LazyFrame]
    keys: tuple[str, ...]
    sums: tuple[str, ...] = ()
    firsts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    by_recipient: bool = False
    span: tuple[datetime, datetime] | None = None

    def together(self, counts: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Give the counts of the whole list of those of its parts."""
        return (
            pl.concat(counts)
            .group_by(self.keys)
            .agg(pl.col(self.sums).cast(pl.Int64).sum(), pl.col(self.firsts).min())
        )


# Makes counts over all parts, wherever they lie: in memory, on disk, on other machines.
Gather = Callable[[Sequence[Tally]], list[pl.DataFrame]]


def over(*parts: pl.DataFrame | pl.LazyFrame, as_of: datetime | None = None) -> Gather:
    """Give what makes counts over the parts of a classified frame, one part after the other."""

    def gather(tallies: Sequence[Tally]) -> list[pl.DataFrame]:
        counted = [
            pl.collect_all(
                [tally.count(told(part, as_of)) for tally in tallies], engine="streaming"
            )
            for part in parts
        ]
        return [
            tally.together(counts)
            for tally, counts in zip(tallies, zip(*counted, strict=True), strict=True)
        ]

    return gather
