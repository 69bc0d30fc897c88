"""Do dear work only on the rows that need it.

Expressions cannot skip work that their data makes needless: where a condition is false, the others
compute all the same. These look at each batch as it streams by, and take out the few rows first.
Built `portably` they are expressions alone, which compute all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from operator import or_

import polars as pl

Reader = Callable[..., pl.Expr]

_PORTABLE = ContextVar("_PORTABLE", default=False)


@contextmanager
def portably(*, wanted: bool) -> Iterator[None]:
    """Have what is built meanwhile hold no function of Python, if that is wanted."""
    before = _PORTABLE.set(wanted)
    try:
        yield
    finally:
        _PORTABLE.reset(before)


def is_portable() -> bool:
    """True while no function of Python is wanted."""
    return _PORTABLE.get()


def by_batch(cell: pl.Expr, read: Callable[[pl.Series], pl.Series], dtype: pl.DataType) -> pl.Expr:
    """What `read` makes of a batch of cells: for what depends on each cell alone."""
    return cell.map_batches(read, return_dtype=dtype, is_elementwise=True)


def compact(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows, their texts copied: a few that are kept keep all that they stood among."""
    texts = frame.select(pl.col(pl.String)).columns
    return frame.with_columns(pl.concat_str(name, pl.lit("")).alias(name) for name in texts)


# `replace_strict` would do what these two do, and holds all rows of a stream in memory.


def looked_up(number: pl.Expr, column: pl.Series) -> pl.Expr:
    """The value in a row of a column; null of null."""
    return pl.lit(column).gather(number)


def by_value(key: pl.Expr, values: Mapping[str, object]) -> pl.Expr:
    """The value of each key, of few; null of others."""
    keys = {value: [k for k, v in values.items() if v == value] for value in values.values()}
    return pl.coalesce(pl.when(key.is_in(of)).then(pl.lit(value)) for value, of in keys.items())


def only(
    cells: Sequence[pl.Expr], condition: Reader, reader: Reader, dtype: pl.DataType
) -> pl.Expr:
    """What `reader` makes of the cells in rows where their `condition` is true; elsewhere null.

    >>> frame = pl.DataFrame({"number": [1, 2]})
    >>> halves = only([pl.col("number")], lambda n: n % 2 == 0, lambda n: n / 2, pl.Float64())
    >>> frame.select(halves).to_series().to_list()
    [None, 1.0]
    """

    if is_portable():
        return _of_all(pl.lit(None, dtype), cells, condition, reader, dtype)

    def read(parts: Sequence[pl.Series]) -> pl.Series:
        frame = _frame(parts)
        nulls = pl.Series([None], dtype=dtype).new_from_index(0, frame.height)
        return _read_into(nulls, frame, _chosen(frame, condition), reader)

    return pl.map_batches(cells, read, return_dtype=dtype, is_elementwise=True)


def each_once(cell: pl.Expr, reader: Reader, dtype: pl.DataType) -> pl.Expr:
    """What `reader` makes of cells, each different one of a batch being read once; null of null.

    >>> frame = pl.DataFrame({"number": [3, None, 3]})
    >>> halved = each_once(pl.col("number"), lambda n: n / 2, pl.Float64())
    >>> frame.select(halved).to_series().to_list()
    [1.5, None, 1.5]
    """

    if is_portable():
        return reader(cell).cast(dtype)

    def read(cells: pl.Series) -> pl.Series:
        frame = cells.to_frame("cell")
        known = frame.unique().with_columns(found=reader(pl.col("cell")).cast(dtype))
        return frame.join(known, on="cell", how="left", maintain_order="left")["found"]

    return by_batch(cell, read, dtype)


def rest(done: pl.Expr, cells: Sequence[pl.Expr], full: Reader, dtype: pl.DataType) -> pl.Expr:
    """`done`; where it is null, what `full` reads in the cells, if any of them holds something."""

    def is_left(done: pl.Expr, *cells: pl.Expr) -> pl.Expr:
        return done.is_null() & reduce(or_, (cell.is_not_null() for cell in cells))

    if is_portable():
        return _of_all(done, [done, *cells], is_left, lambda _, *cells: full(*cells), dtype)

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        if parts[0].null_count() == 0:
            return parts[0]
        frame = _frame(parts)
        return _read_into(frame["0"], frame.drop("0"), _chosen(frame, is_left), full)

    return pl.map_batches([done, *cells], finish, return_dtype=dtype, is_elementwise=True)


def where(
    cells: Sequence[pl.Expr], condition: Reader, reader: Reader, dtype: pl.DataType
) -> pl.Expr:
    """The first cell, but what `reader` makes of them all in rows where the condition is true."""
    if is_portable():
        return _of_all(cells[0], cells, condition, reader, dtype)

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        frame = _frame(parts)
        return _read_into(frame["0"], frame, _chosen(frame, condition), reader)

    return pl.map_batches(cells, finish, return_dtype=dtype, is_elementwise=True)


def _of_all(
    column: pl.Expr, cells: Sequence[pl.Expr], condition: Reader, reader: Reader, dtype: pl.DataType
) -> pl.Expr:
    """The column, but what is read in the cells in rows where their condition is true.

    The fields of a struct are computed once each, however often the reader names its cells.
    """
    names = [str(number) for number in range(len(cells))]
    given = pl.struct(column.alias("column"), *map(pl.Expr.alias, cells, names))
    chosen = pl.field("chosen")
    kept = [pl.when(chosen).then(pl.field(name)).alias(name) for name in names]
    found = pl.when(chosen).then(reader(*map(pl.field, names)).cast(dtype))
    return (
        given.struct.with_fields(chosen=condition(*map(pl.field, names)))
        .struct.with_fields(kept)
        .struct.with_fields(found=found.otherwise(pl.field("column")))
        .struct.field("found")
    )


def _frame(parts: Sequence[pl.Series]) -> pl.DataFrame:
    """A frame of columns "0", "1" and so on; a constant, which comes as one row, has all rows."""
    rows = max(map(len, parts))
    full = (part if len(part) == rows else part.new_from_index(0, rows) for part in parts)
    return pl.DataFrame([part.alias(str(number)) for number, part in enumerate(full)])


def _chosen(frame: pl.DataFrame, condition: Reader) -> pl.Series:
    return frame.select(condition(*map(pl.col, frame.columns))).to_series()


def _read_into(
    column: pl.Series, frame: pl.DataFrame, chosen: pl.Series, reader: Reader
) -> pl.Series:
    """The column with what is read in the chosen rows, as a frame of their own, in their places."""
    if not chosen.any():
        return column
    chosen = chosen.fill_null(value=False)
    few = frame.filter(chosen).rechunk()  # else each chunk is read by itself
    found = few.with_columns(found=reader(*map(pl.col, few.columns)).cast(column.dtype))["found"]
    places = chosen.arg_true()
    if not column.dtype.is_nested():
        return column.scatter(places, found)
    # Lists and structs cannot be scattered, but gathered from one piece of memory.
    rows = pl.int_range(column.len(), eager=True)
    rows = rows.scatter(places, pl.int_range(found.len(), eager=True) + column.len())
    return pl.concat([column, found], rechunk=True).gather(rows)
