"""Small files of JSON, one event or one batch each, as one table.

So webhooks are stored by the thousand. To open a file takes 50 ms, however little it holds.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from bouncekit.read.containers import Table, kind_of
from bouncekit.read.documents import records_of, records_of_frame
from bouncekit.read.envelopes import RECORD
from bouncekit.read.files import Peek, as_text, peek
from bouncekit.read.layouts import fold, known_headings, told_by_name
from bouncekit.read.made import is_made
from bouncekit.read.objects import table_of_records

# Fewer files are read one by one.
FEWEST = 20
# Records that become a table together: of more, the samples of a table would not show all.
AT_ONCE = 1_000

_FILE = "__file"

T = TypeVar("T")


@dataclass(frozen=True)
class Shape:
    """What files have in common whose records are told in the same way."""

    kind: str
    keys: frozenset[str]
    named: frozenset[str]


@dataclass(frozen=True)
class Places:
    """The file of each record of a table, and its number there."""

    sources: pl.Series
    lines: pl.Series

    def named(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Give a bounces frame source and line by the number of the record in the table."""
        number = pl.col("line") - 1
        return frame.with_columns(
            source=pl.lit(self.sources).gather(number), line=pl.lit(self.lines).gather(number)
        )


def shape_of(path: Path) -> tuple[Shape, int] | None:
    """Tell what a small file of JSON objects looks like, and how many; None for any other."""
    if not path.is_file():
        return None
    seen = peek(path)
    kind = kind_of(seen.head)
    if not seen.whole or kind not in ("json", "ndjson") or is_made(path):
        return None
    try:
        values = [json.loads(record) for record in _records(kind, seen)]
    except (ValueError, RecursionError):
        return None
    if not values or not all(isinstance(value, dict) for value in values):
        return None
    keys = frozenset(key for value in values for key in _keys(value))
    return Shape(kind, keys, told_by_name(path)), len(values)


def agree(shapes: Iterable[Shape]) -> bool:
    """True where no two files spell one key in two ways: a table would take the first alone."""
    keys = frozenset().union(*(shape.keys for shape in shapes))
    return len(set(map(fold, keys))) == len(keys)


def _keys(value: dict[str, Any]) -> Iterator[str]:
    """Give the keys of a record and of the objects in it, also of those that are texts there.

    What wraps events is alike, whatever it wraps.
    """
    for key, within in value.items():
        yield key
        if isinstance(within, str) and within.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                within = json.loads(within)
        if isinstance(within, dict):
            yield from (f"{key}.{inner}" for inner in within)


def gathered(kind: str, paths: Sequence[Path]) -> tuple[Table, Places, bool]:
    """Give the table of all records of files, where each is from, and whether they were wrapped."""
    each = [_records(kind, peek(path)) for path in paths]
    records = pl.DataFrame(
        {
            _FILE: [number for number, found in enumerate(each) for _ in found],
            RECORD: [record for found in each for record in found],
        },
        schema={_FILE: pl.UInt32(), RECORD: pl.String()},
    )
    table, numbered = table_of_records(kind, records.lazy(), known_headings)
    file = pl.col(_FILE)
    places = numbered.select(
        source=pl.lit(pl.Series([str(path) for path in paths])).gather(file),
        line=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(file),
    )
    is_wrapped = not numbered[RECORD].equals(records[RECORD])
    return table, Places(places["source"], places["line"]), is_wrapped


def _records(kind: str, seen: Peek) -> list[str]:
    """Give the records of a small file as text; none of one that is no plain list of them."""
    text = as_text(seen.head).lstrip("\ufeff")
    if kind == "ndjson":
        return [line for line in text.split("\n") if line.strip()]
    listed = records_of(text)
    if listed is not None:
        return list(listed)
    return [] if records_of_frame(text) is not None else [text]


def chunks(files: Iterable[tuple[T, int]]) -> Iterator[list[T]]:
    """Give as many files at a time as become a table together, by their numbers of records."""
    held: list[T] = []
    count = 0
    for file, records in files:
        if held and count + records > AT_ONCE:
            yield held
            held, count = [], 0
        held.append(file)
        count += records
    if held:
        yield held
