"""Text that no spreadsheet, terminal or browser obeys, and frames that tell how far they are."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TypeVar

import polars as pl

from bouncekit.errors import BouncekitError

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
Texts = TypeVar("Texts", pl.Series, pl.Expr)

# What makes a cell a formula to a spreadsheet, the full-width forms included; blanks, quotes and
# marks without a shape before it are no help. A spreadsheet that takes another separator than ours
# begins cells inside of ours (OWASP, CSV Injection).
_FORMULA = "[=+\\-@＝＋－＠]"
_BEFORE_IT = r"""[\s"'\p{Cc}\p{Cf}\p{Z}]*"""
_CELL_BEGINS = r"(?:^|[,;|\t\r\n])"
# It also drops these where a cell begins with them, and looks at what is left.
_DROPPED = r"'*[\t\r\n]"


def watched(frame: pl.LazyFrame, progress: Callable[[int], None]) -> pl.LazyFrame:
    """Give a lazy frame that tells `progress` how many more of its rows went by."""

    def told(rows: pl.DataFrame) -> pl.DataFrame:
        progress(rows.height)
        return rows

    return frame.map_batches(told, streamable=True, schema=frame.collect_schema())


def refuse_bytes(path: Path) -> None:
    """Raise BouncekitError for a path that is no text: Polars takes none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise BouncekitError(f"{path}: its name is not UTF-8; rename it.") from None


def without_formulas(frame: Frame) -> Frame:
    """Put an apostrophe before whatever a spreadsheet would run, in each text cell.

    That is `=`, `+`, `-` and `@` where a cell begins, and after a comma, semicolon, bar, tab or
    line break inside of it; and a tab or line break that begins a cell. `with_formulas` undoes it.

    >>> without_formulas(pl.DataFrame({"reply": ["=1+1", "550 no;=1"]}))["reply"].to_list()
    ["'=1+1", "550 no;'=1"]
    """
    cell = pl.col(pl.String)
    # What is null costs nothing: only the few that need it are taken apart.
    quoted = (
        pl.when(is_formula(cell))
        .then(cell)
        .str.replace_all(f"({_CELL_BEGINS}{_BEFORE_IT})({_FORMULA})", "${1}'${2}")
        .str.replace(f"^({_DROPPED})", "'${1}")
    )
    return frame.with_columns(quoted.fill_null(cell).name.keep())


def with_formulas(cells: Texts) -> Texts:
    """Take the apostrophes of `without_formulas` away again.

    >>> with_formulas(pl.Series(["'=1+1", "'t is"])).to_list()
    ['=1+1', "'t is"]
    """
    return cells.str.replace(f"^'({_DROPPED})", "${1}").str.replace_all(
        f"({_CELL_BEGINS}{_BEFORE_IT})'({_FORMULA})", "${1}${2}"
    )


def is_formula(text: pl.Expr) -> pl.Expr:
    """True where a spreadsheet would run a part of the text."""
    return text.str.contains(f"{_CELL_BEGINS}{_BEFORE_IT}{_FORMULA}|^{_DROPPED}")


def printable(text: str) -> str:
    """Leave out what steers a terminal or hides in a line: replies are written by strangers."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def one_line(text: str) -> str:
    """Make text of strangers printable in one line: a line break of theirs could forge ours."""
    return " ".join(printable(text).split())


def in_html(text: str) -> str:
    r"""Escape text for HTML, and for what typesets formulas there: JupyterLab, nbconvert.

    MathJax joins no delimiters across elements: `$`, and the `\` of `\(` and `\begin`, stand alone.

    >>> in_html(r"<b>$1$")
    '&lt;b&gt;<span>$</span>1<span>$</span>'
    """
    shown = escape(text)
    for delimiter in ("$", "\\"):
        shown = shown.replace(delimiter, f"<span>{delimiter}</span>")
    return shown
