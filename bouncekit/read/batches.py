"""Read what nearly all cells hold the cheap way, and the dear way only in batches that need it.

Expressions cannot skip work that their data makes needless. These look at each batch as it streams
by: the results are those of reading every cell the dear way.
"""

from collections.abc import Callable, Sequence

import polars as pl

Readers = Callable[..., pl.Expr]


def rest(done: pl.Expr, cells: Sequence[pl.Expr], full: Readers, dtype: pl.DataType) -> pl.Expr:
    """`done`; where it is null, what `full` reads in the cells.

    `full` gets the cells, null in rows that are done, and is not asked in a batch without others.
    """

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        done, *given = parts
        left = done.null_count()
        if left == 0 or (len(given) == 1 and left == given[0].null_count()):
            return done
        frame, names = _frame(done, *given)
        is_left = pl.col("0").is_null()
        told = full(*(pl.when(is_left).then(pl.col(name)) for name in names[1:]))
        return frame.select(pl.coalesce(pl.col("0"), told.cast(dtype))).to_series()

    return pl.map_batches([done, *cells], finish, return_dtype=dtype, is_elementwise=True)


def unless(is_plain: pl.Expr, cell: pl.Expr, full: Readers) -> pl.Expr:
    """The cell itself where `is_plain`; elsewhere what `full` reads in it."""

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        is_plain, given = parts
        if is_plain.all():
            return given
        frame, _ = _frame(*parts)
        told = full(pl.when(~pl.col("0")).then(pl.col("1")))
        return frame.select(pl.when("0").then("1").otherwise(told)).to_series()

    return pl.map_batches([is_plain, cell], finish, return_dtype=pl.String(), is_elementwise=True)


def where(
    condition: pl.Expr, cells: Sequence[pl.Expr], full: Readers, dtype: pl.DataType
) -> pl.Expr:
    """The first cell, but what `full` makes of them all in rows where the condition is true."""

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        condition, *given = parts
        if not condition.any():
            return given[0]
        frame, names = _frame(*parts)
        cells = [pl.when("0").then(pl.col(name)) for name in names[1:]]
        return frame.select(pl.when("0").then(full(*cells)).otherwise("1")).to_series()

    return pl.map_batches([condition, *cells], finish, return_dtype=dtype, is_elementwise=True)


def _frame(*parts: pl.Series) -> tuple[pl.DataFrame, list[str]]:
    """A frame of series called "0", "1" and so on; a constant has a row, as all the others have."""
    rows = max(map(len, parts))
    names = [str(n) for n in range(len(parts))]
    full = [part if len(part) == rows else part.new_from_index(0, rows) for part in parts]
    return pl.DataFrame([part.alias(name) for name, part in zip(names, full, strict=True)]), names
