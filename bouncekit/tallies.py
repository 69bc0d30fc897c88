"""Counts that parts of a list make apart, and that together are those of the whole list."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from bouncekit.batches import compact
from bouncekit.history import told

# What every count looks at, to know what an event is and whom it is charged to.
ALWAYS = ("recipient", "time", "event", "source_class", "category", "unmatched")

# Counts of parts that wait to be put together, in rows.
MERGED = 200_000


@dataclass(frozen=True)
class Tally:
    """What to count in each part of a frame, and how the counts of all parts go together.

    `count` takes the events of `history.told` and gives `keys`, with `sums` to add up (as Int64),
    `firsts` of which the least stands and `lasts` of which the greatest does. It looks at
    `columns` beside those of `ALWAYS`, and with `span` only at events of that time. With
    `by_recipient` addresses are counted, so that all events of one must lie in the same part.
    """

    count: Callable[[pl.LazyFrame], pl.LazyFrame]
    keys: tuple[str, ...]
    sums: tuple[str, ...] = ()
    firsts: tuple[str, ...] = ()
    lasts: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    by_recipient: bool = False
    span: tuple[datetime, datetime] | None = None

    def together(self, counts: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Give the counts of the whole list of those of its parts."""
        sums = pl.col(self.sums).cast(pl.Int64)
        parts = [each.select(*self.keys, sums, *self.firsts, *self.lasts) for each in counts]
        if len(parts) == 1:
            return parts[0]
        return (
            pl.concat(parts)
            .group_by(self.keys)
            .agg(sums.sum(), pl.col(self.firsts).min(), pl.col(self.lasts).max())
        )


# Makes counts over all parts, wherever they lie: in memory, on disk, on other machines.
Gather = Callable[[Sequence[Tally]], list[pl.DataFrame]]


def over(*parts: pl.DataFrame | pl.LazyFrame, as_of: date | str | None = None) -> Gather:
    """Give what makes counts over the parts of a classified frame, one part after the other."""

    def gather(tallies: Sequence[Tally]) -> list[pl.DataFrame]:
        counted: list[list[pl.DataFrame]] = [[] for _ in tallies]
        for part in parts:
            counts = [tally.count(told(part, as_of)) for tally in tallies]
            for held, new in zip(counted, pl.collect_all(counts, engine="streaming"), strict=True):
                held.append(compact(new))
            counted = [_merged(*each) for each in zip(tallies, counted, strict=True)]
        return [tally.together(held) for tally, held in zip(tallies, counted, strict=True)]

    return gather


def _merged(tally: Tally, held: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Put counts together that are many: those of all parts would be many times those of all."""
    first, *others = held
    if sum(each.height for each in others) < max(MERGED, first.height):
        return held
    return [tally.together(held)]
