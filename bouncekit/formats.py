"""What each mail service takes as a list of addresses not to mail."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from bouncekit import toml
from bouncekit.errors import BouncekitError
from bouncekit.files import is_formula, without_formulas

# What may stand in a column, made from decisions. Mailgun wants RFC 2822 dates; without one it
# takes the time of the upload.
CONTENT: Mapping[str, pl.Expr] = {
    "recipient": pl.col("recipient"),
    "category": pl.col("category").cast(pl.String),
    "because": pl.col("because"),
    "policy": pl.col("policy"),
    "code": pl.coalesce(pl.col("reply_code").cast(pl.String), pl.lit("550")),
    "iso_time": pl.col("last_bounce").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "rfc_2822_time": pl.col("last_bounce").dt.strftime("%a, %d %b %Y %H:%M:%S GMT").fill_null(""),
}
AT_ONCE = 100_000  # rows that are quoted at a time
# Quotes round each cell and a separator after it are the most that CSV adds, beside doubled quotes.
_AROUND_A_CELL = 3
# One address that is none makes some services refuse a whole file.
_ADDRESS = r"^[^\p{Cc}]+@[^\p{Cc}\s@]+$"
# What begins like a formula and may be somebody's address: no function, cell or program is named.
_HARMLESS = r"^[=+-][\p{L}\p{N}._=+-]*@[^@,;|]+$"


@dataclass(frozen=True)
class Format:
    """How a service takes addresses; `rules/suppression_formats.toml` says what the fields mean."""

    service: str
    kind: str
    import_as: str
    source: str
    columns: Mapping[str, str] = field(hash=False)
    header: bool = True
    list: str = ""
    rows: int | None = None
    bytes: int | None = None

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns of decisions that it is made from."""
        made = [CONTENT[c].meta.root_names() for c in self.columns.values() if c[:1] != "="]
        return tuple(name for names in made for name in names)


@cache
def formats() -> Mapping[str, Format]:
    """Give the formats by the name of their service."""
    known = toml.ours("rules/suppression_formats.toml")
    return {name: Format(service=name, **about) for name, about in known.items()}


def find_format(service: str) -> Format:
    """Give a service's format; raises BouncekitError for one that is not known."""
    if service not in formats():
        raise BouncekitError(
            f"There is no format for '{service}'; use one of {', '.join(formats())}."
        )
    return formats()[service]


def is_address() -> pl.Expr:
    """True where `recipient` is an address that a service's import reads as one.

    In what a service imports an address cannot be quoted, so one that a spreadsheet would run as
    more than a sum is left out: nobody's mailbox is called `=cmd|'/c'!A1`.
    """
    address = pl.col("recipient")
    is_safe = ~is_formula(address) | address.str.contains(_HARMLESS)
    return (address.str.contains(_ADDRESS) & is_safe).fill_null(False)


def table(removals: pl.DataFrame, to: Format) -> pl.DataFrame:
    """Give the rows of the file, before `quoted`."""
    constants = {name: c[1:].split("|") for name, c in to.columns.items() if c[:1] == "="}
    rows = removals.select(
        pl.lit(constants[name]).alias(name) if name in constants else CONTENT[content].alias(name)
        for name, content in to.columns.items()
    )
    for name in constants:
        rows = rows.explode(name)
    return rows


def quoted(rows: pl.DataFrame, to: Format) -> pl.DataFrame:
    """Quote what a spreadsheet would run.

    What people open holds no such cell. In what a service imports the address stays as it is:
    `'+ann@example.org` would be another address.
    """
    if to.service == "csv":
        return without_formulas(rows)
    address = next(name for name, content in to.columns.items() if content == "recipient")
    return without_formulas(rows.drop(address)).with_columns(rows[address]).select(rows.columns)


def _slices(rows: pl.DataFrame, to: Format, size: int = AT_ONCE) -> Iterator[pl.DataFrame]:
    """Give the rows quoted, some at a time: what all are quoted to is all of them once more."""
    for begin in range(0, max(rows.height, 1), size):
        yield quoted(rows[begin : begin + size], to)


def parts(rows: pl.DataFrame, to: Format) -> Iterator[pl.DataFrame]:
    """Cut the rows into files that the service takes: at least one, and none too large."""
    if to.kind == "json_calls" or not (to.rows or to.bytes):
        yield rows
        return
    cell = pl.all().cast(pl.String).fill_null("")
    size = cell.str.len_bytes() + cell.str.count_matches('"', literal=True) + _AROUND_A_CELL
    row = pl.sum_horizontal(size)
    sizes = pl.concat(some.select(row).to_series() for some in _slices(rows, to))
    room = to.bytes and to.bytes - sum(len(name) + 1 for name in rows.columns)
    begin = 0
    while True:
        most = min(to.rows or rows.height, rows.height - begin)
        if room:
            most = max(1, min(most, int((sizes[begin:].cum_sum() <= room).sum())))
        yield rows[begin : begin + most]
        begin += most
        if begin >= rows.height:
            return


def write(part: pl.DataFrame, to: Format, path: Path) -> None:
    """Write one file (UTF-8, no BOM, LF)."""
    with path.open("wb") as file:
        if to.kind == "json_calls":
            file.writelines(_calls(part, to))
            return
        header = to.header and to.kind == "csv"
        for some in _slices(part, to):
            some.write_csv(
                file,
                include_header=header,
                # An address may hold a comma or a quote: in mere lines nothing is quoted.
                quote_style="never" if to.kind == "lines" else "necessary",
            )
            header = False


def _calls(part: pl.DataFrame, to: Format) -> Iterator[bytes]:
    """Give a line per call: the removals are few beside the events, and the calls fewer."""
    for call in _slices(part, to, to.rows or max(part.height, 1)):
        if call.height:
            yield (json.dumps({to.list: call.to_dicts()}, ensure_ascii=False) + "\n").encode()
