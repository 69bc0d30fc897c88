"""Do dear work only on the rows that need it.

Expressions cannot skip work that their data makes needless: where a condition is false, the others
compute all the same. These look at each batch as it streams by, and take out the few rows first.
"""

from collections.abc import Callable, Sequence

import polars as pl

Reader = Callable[..., pl.Expr]


def by_batch(cell: pl.Expr, read: Callable[[pl.Series], pl.Series], dtype: pl.DataType) -> pl.Expr:
    """What `read` makes of a batch of cells: for what depends on each cell alone."""
    return cell.map_batches(read, return_dtype=dtype, is_elementwise=True)


def looked_up(number: pl.Expr, column: pl.Series) -> pl.Expr:
    """The value in a row of a column; null of null.

    `replace_strict` would do it without Python, and would hold all rows of a stream in memory.
    """
    return by_batch(number, column.gather, column.dtype)


def only(
    condition: pl.Expr, cells: Sequence[pl.Expr], reader: Reader, dtype: pl.DataType
) -> pl.Expr:
    """What `reader` makes of the cells in rows where the condition is true; elsewhere null.

    >>> frame = pl.DataFrame({"number": [1, 2], "is_odd": [True, False]})
    >>> halved = only(pl.col("is_odd"), [pl.col("number")], lambda n: n / 2, pl.Float64())
    >>> frame.select(halved).to_series().to_list()
    [0.5, None]
    """

    def read(parts: Sequence[pl.Series]) -> pl.Series:
        chosen, *given = _full(parts)
        return _read(chosen, given, reader, dtype)

    return pl.map_batches([condition, *cells], read, return_dtype=dtype, is_elementwise=True)


def each_once(cell: pl.Expr, reader: Reader, dtype: pl.DataType) -> pl.Expr:
    """What `reader` makes of cells, each different one of a batch being read once; null of null.

    >>> frame = pl.DataFrame({"number": [3, None, 3]})
    >>> halved = each_once(pl.col("number"), lambda n: n / 2, pl.Float64())
    >>> frame.select(halved).to_series().to_list()
    [1.5, None, 1.5]
    """

    def read(cells: pl.Series) -> pl.Series:
        frame = cells.to_frame("cell")
        known = frame.unique().with_columns(found=reader(pl.col("cell")).cast(dtype))
        return frame.join(known, on="cell", how="left", maintain_order="left")["found"]

    return by_batch(cell, read, dtype)


def rest(done: pl.Expr, cells: Sequence[pl.Expr], full: Reader, dtype: pl.DataType) -> pl.Expr:
    """`done`; where it is null, what `full` reads in the cells."""

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        done, *given = _full(parts)
        left = done.null_count()
        if left == 0 or (len(given) == 1 and left == given[0].null_count()):
            return done
        is_left = done.is_null()
        return done.zip_with(~is_left, _read(is_left, given, full, dtype))

    return pl.map_batches([done, *cells], finish, return_dtype=dtype, is_elementwise=True)


def unless(is_plain: pl.Expr, cell: pl.Expr, full: Reader) -> pl.Expr:
    """The cell itself where `is_plain` or null; elsewhere what `full` reads in it."""
    return where(~is_plain, [cell], full, pl.String())


def where(
    condition: pl.Expr, cells: Sequence[pl.Expr], full: Reader, dtype: pl.DataType
) -> pl.Expr:
    """The first cell, but what `full` makes of them all in rows where the condition is true."""

    def finish(parts: Sequence[pl.Series]) -> pl.Series:
        chosen, *given = _full(parts)
        chosen = chosen.fill_null(value=False)
        if not chosen.any():
            return given[0]
        return given[0].zip_with(~chosen, _read(chosen, given, full, dtype))

    return pl.map_batches([condition, *cells], finish, return_dtype=dtype, is_elementwise=True)


def _read(
    chosen: pl.Series, given: Sequence[pl.Series], reader: Reader, dtype: pl.DataType
) -> pl.Series:
    """Read the chosen rows as a frame of their own, and put what is found back into its place."""
    names = [str(n) for n in range(len(given))]
    few = pl.DataFrame([part.alias(n) for part, n in zip(given, names, strict=True)]).filter(chosen)
    if few.is_empty():
        return pl.Series([None], dtype=dtype).new_from_index(0, len(chosen))
    found = (
        few.lazy().with_columns(found=reader(*map(pl.col, names)).cast(dtype)).collect()["found"]
    )
    place = chosen.to_frame("chosen").select(pl.when("chosen").then(pl.col("chosen").cum_sum() - 1))
    return found.gather(place.to_series())


def _full(parts: Sequence[pl.Series]) -> list[pl.Series]:
    """Give a constant, which comes as one row, as many rows as the others have."""
    rows = max(map(len, parts))
    return [part if len(part) == rows else part.new_from_index(0, rows) for part in parts]
