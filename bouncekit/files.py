"""Text that no spreadsheet and no terminal obeys."""

from typing import TypeVar

import polars as pl

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

# A cell that begins like this is a formula to a spreadsheet (OWASP: CSV injection).
_FORMULA = r"^[=+\-@\t\r]"


def without_formulas(frame: Frame) -> Frame:
    """Put an apostrophe before each text cell that a spreadsheet would run as a formula.

    >>> without_formulas(pl.DataFrame({"reply": ["=1+1", "550 no"]}))["reply"].to_list()
    ["'=1+1", '550 no']
    """
    cell = pl.col(pl.String)
    return frame.with_columns(
        pl.when(cell.str.contains(_FORMULA)).then(pl.lit("'") + cell).otherwise(cell).name.keep()
    )


def with_formulas(cells: pl.Series) -> pl.Series:
    """Take the apostrophes of `without_formulas` away again.

    >>> with_formulas(pl.Series(["'=1+1", "'t is"])).to_list()
    ['=1+1', "'t is"]
    """
    return cells.str.replace(r"^'([=+\-@\t\r])", "${1}")


def printable(text: str) -> str:
    """Leave out what steers a terminal: replies are written by strangers."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
