"""What became of every record: files, events, duplicates, times, and what was inferred."""

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from bouncekit.files import one_line

FILES = {
    "source": pl.String(),
    "kind": pl.String(),
    "name": pl.String(),
    "records": pl.Int64(),
    "unreadable": pl.Int64(),
    "inferred": pl.String(),
}


DMARC = "DMARC"  # name of the files that hold aggregate reports, which tell of no bounces


@dataclass(frozen=True, repr=False)
class Account:
    """The accounting of a bounces frame, which need not be in memory.

    `files` has a row per file: source, kind (csv, mail, ..., skipped), name of the service,
    records, unreadable, and what was inferred (delimiter, encoding, zone of times). Rows are
    records less duplicates.
    """

    lazy: pl.LazyFrame
    files: pl.DataFrame

    @property
    def records(self) -> int:
        """Records in all files."""
        return int(self.files["records"].sum())

    @property
    def unreadable(self) -> int:
        """Records kept as event `unreadable`."""
        return int(self.files["unreadable"].sum())

    @cached_property
    def events(self) -> dict[str | None, int]:
        """Rows by event, the most frequent first; None for words that tell of no event."""
        counts = self.lazy.group_by("event").agg(rows=pl.len()).collect(engine="streaming")
        ordered = counts.sort("rows", "event", descending=[True, False], nulls_last=True)
        return dict(ordered.iter_rows())

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return sum(self.events.values())

    @property
    def duplicates(self) -> int:
        """Records left out because another tells of the same event."""
        return self.records - self.rows

    @cached_property
    def _times(self) -> dict[str, object]:
        is_undated = pl.col("time").is_null() & (pl.col("event") != "unreadable").fill_null(True)
        told = self.lazy.select(
            first=pl.col("time").min(), last=pl.col("time").max(), undated=is_undated.sum()
        )
        return told.collect(engine="streaming").row(0, named=True)

    @property
    def undated(self) -> int:
        """Readable rows without a time: the export has none, or none that can be read."""
        return int(str(self._times["undated"] or 0))

    @property
    def neutral(self) -> int:
        """Rows whose event is null: a word such as `processed`, or one bouncekit doesn't know."""
        return self.events.get(None, 0)

    @property
    def summary(self) -> str:
        """The accounting in one sentence."""
        is_skipped, is_dmarc = pl.col("kind") == "skipped", pl.col("name") == DMARC
        read = self.files.filter(~is_skipped & ~is_dmarc)
        skipped = self.files.filter(is_skipped)["source"].to_list()
        dmarc = self.files.filter(is_dmarc).height
        names = ", ".join(read["name"].unique(maintain_order=True)) or "none of bounces"
        what = f"Read {_count(self.records, 'row')} from {_count(read.height, 'file')} ({names})"
        were = "was a duplicate" if self.duplicates == 1 else "were duplicates"
        always = (
            f"{self.unreadable:,} could not be read, {self.duplicates:,} {were} and counted once"
        )
        told = [
            (self.undated, f"{self.undated:,} without a time"),
            (self.neutral, f"{self.neutral:,} tell of neither bounce nor delivery"),
            (dmarc, f"{_count(dmarc, 'file')} of DMARC reports tell of no bounces"),
            (len(skipped), f"skipped {_listed(skipped)}"),
        ]
        return f"{what}: {', '.join([always, *(text for number, text in told if number)])}."

    def __str__(self) -> str:
        """The summary, then files by kind, rows by event, the time they span, what was inferred."""
        kinds = self.files["kind"].value_counts().sort("count", "kind", descending=[True, False])
        events = (f"{event or 'none'} {rows:,}" for event, rows in self.events.items())
        lost = self.files.filter(pl.col("unreadable") > 0).sort("unreadable", descending=True)
        first, last = self._times["first"], self._times["last"]
        lines = [
            ("files", ", ".join(f"{kind} {count:,}" for kind, count in kinds.iter_rows())),
            ("events", ", ".join(events) or "none"),
            ("time", f"{first:%Y-%m-%d} to {last:%Y-%m-%d} (UTC)" if first else "none"),
            *[("unreadable", _listed(_places(lost)))] * (lost.height > 0),
            *(("inferred", what) for what in self._inferred),
        ]
        return "\n".join([self.summary, *(f"  {name:<12}{said}" for name, said in lines)])

    def __repr__(self) -> str:
        """The same, so that a notebook shows it."""
        return str(self)

    @property
    def _inferred(self) -> list[str]:
        """What was inferred of how many files; of which one, where it was but one of several."""
        each = self.files.with_columns(pl.col("inferred").str.split("; ")).explode("inferred")
        told = each.filter(pl.col("inferred") != "").group_by("inferred").agg("source")
        return [
            f"{one_line(what)} ({_listed(of) if len(of) == 1 else _count(len(of), 'file')})"
            for what, of in told.sort("inferred").iter_rows()
        ]


@dataclass(frozen=True, repr=False)
class Reading(Account):
    """A bounces frame in memory and its accounting."""

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The bounces frame."""
        return self.lazy.collect()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def _places(files: pl.DataFrame) -> list[str]:
    return [f"{row['source']} {row['unreadable']:,}" for row in files.iter_rows(named=True)]


def _listed(names: list[str]) -> str:
    """Up to three names, and how many more there are."""
    more = [f"{len(names) - 3:,} more"] * (len(names) > 3)
    return ", ".join([*map(one_line, names[:3]), *more])
