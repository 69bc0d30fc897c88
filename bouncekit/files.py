"""Files written whole or not at all, and text that no spreadsheet and no terminal obeys."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import polars as pl

from bouncekit.errors import BouncekitError

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

# A cell that begins like this is a formula to a spreadsheet (OWASP: CSV injection).
_FORMULA = r"^[=+\-@\t\r]"


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the place of `path` if all went well.

    Raises BouncekitError if the folder is not there or cannot be written to.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as problem:
        raise BouncekitError(
            f"{target}: cannot be written there ({problem.strerror}); choose another place."
        ) from None
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        draft.chmod(0o644)
        draft.replace(target)
    except OSError as problem:
        raise BouncekitError(
            f"{target}: cannot be written ({problem.strerror}); nothing was changed."
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def watched(frame: pl.LazyFrame, progress: Callable[[int], None]) -> pl.LazyFrame:
    """Give a lazy frame that tells `progress` how many more of its rows went by."""

    def told(rows: pl.DataFrame) -> pl.DataFrame:
        progress(rows.height)
        return rows

    return frame.map_batches(told, streamable=True, schema=frame.collect_schema())


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
