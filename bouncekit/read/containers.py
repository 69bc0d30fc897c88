"""Tell what kind of container a file is, and give its records as a table of text cells."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.bodies import is_form, is_python
from bouncekit.read.bounds import bounded
from bouncekit.read.files import Peek, as_text, encoding, is_wide, packed_chunks, unpack

LINE = "__line"  # number of the record in its file, from 1
RAW = "__raw"  # text of a record that could not be split into cells, else null
SAMPLE_ROWS = 1_000
# Names of the first members of an .xlsx, .xlsb or .ods file; and what an .xls begins with.
WORKBOOK = (b"[Content_Types].xml", b"xl/", b"_rels/.rels", b"opendocument.spreadsheet")
BINARY = ("parquet", "excel")  # kinds whose bytes are no text
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# At the end of a piece of UTF-8, where it may be cut: a character's first byte and those after it.
LAST_CHARACTER = re.compile(rb"[\xc0-\xff][\x80-\xbf]{0,2}\Z")
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Table:
    """The records of one file, unread: `cells` gives each heading's text as an expression.

    `columns` of the frame hold a whole record between them; `has_raw` says that the frame has
    RAW. `later` are headings that may follow beyond the first records (NDJSON); `schema` is that
    of a file whose columns have types (Parquet); `notes` tell what was inferred.
    """

    kind: str
    frame: pl.LazyFrame
    cells: dict[str, pl.Expr]
    columns: tuple[str, ...]
    has_raw: bool = False
    later: dict[str, pl.Expr] = field(default_factory=dict)
    schema: dict[str, pl.DataType] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def sample(self) -> pl.DataFrame:
        """The first records, as text."""
        cells = [cell.alias(heading) for heading, cell in self.cells.items()]
        return self.frame.head(SAMPLE_ROWS).select(cells).collect()


def kind_of(head: bytes) -> str:
    """What the first bytes of a file are.

    One of parquet, excel, zip, binary, dmarc, form, python, ndjson, json or csv.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "excel" if any(mark in head for mark in WORKBOOK) else "zip"
    if head.startswith(OLE):
        return "excel"
    if not is_wide(head) and len(CONTROLS.findall(head)) > len(head) / 100:
        return "binary"
    text = head.decode(encoding(head), "replace").lstrip("\ufeff \t\r\n")
    if re.match(r"\[\s*[\[{\]]", text):
        return "json"
    if re.match(r"<\?xml|<feedback", text) and "<feedback" in text:
        return "dmarc"
    if is_form(text):
        return "form"
    if is_python(text):
        return "python"
    if not text.startswith("{"):
        return "csv"
    first, *others = text.splitlines()
    follows = next((line for line in others if line.strip()), "")
    return "ndjson" if _is_object(first) and follows.startswith("{") else "json"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def text_source(path: Path, peek: Peek) -> Path | bytes:
    """The path itself where Polars can stream it, else its text in memory as UTF-8."""
    streams = (
        encoding(peek.head).startswith("utf-8")
        and (b"\n" in peek.head or b"\r" not in peek.head)  # else line ends of an old Mac
        and _is_utf8(path, peek.packing)
    )
    if streams:
        return path
    text = as_text(unpack(path, peek.packing))
    return (text if "\n" in text else text.replace("\r", "\n")).encode()


def written_in(peek: Peek, source: Path | bytes) -> tuple[str, ...]:
    """What is to be told of a text's encoding: nothing where it is UTF-8."""
    name = encoding(peek.head)
    if isinstance(source, Path) or name.startswith("utf-8"):
        return ()
    return (f"encoding {name}",)


def _is_utf8(path: Path, packing: str) -> bool:
    """True where a text is UTF-8 to its end: one pass in bounded memory.

    Raises BouncekitError where a line is too long, or the text unpacks to too much of it.
    """
    return decodes(bounded(path, bool(packing), packed_chunks(path, packing)))


def decodes(pieces: Iterable[bytes]) -> bool:
    """True where pieces are UTF-8 together, wherever they were cut."""
    held = b""
    for piece in pieces:
        if not held and piece.isascii():
            continue
        octets = held + piece
        cut = LAST_CHARACTER.search(octets, len(octets) - 3)
        held = cut[0] if cut else b""
        if not _is_whole(octets[: len(octets) - len(held)]):
            return False
    return _is_whole(held)


def _is_whole(octets: bytes) -> bool:
    """True for UTF-8, looked at by Polars: Python takes ten times as long."""
    try:
        pl.Series([octets], dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return False
    return True


def open_parquet(path: Path) -> Table:
    """A Parquet file. Raises BouncekitError where it is damaged."""
    try:
        frame = pl.scan_parquet(path, row_index_name=LINE, row_index_offset=1, glob=False)
        schema = dict(frame.collect_schema())
    except (pl.exceptions.PolarsError, OSError):
        raise BouncekitError(
            f"{path} is damaged: it begins like Parquet but its data is broken; copy it again."
        ) from None
    del schema[LINE]
    cells = {
        heading: cell
        for name, dtype in schema.items()
        for heading, cell in _as_cells(name, pl.col(name), dtype)
    }
    flat = tuple(name for name, dtype in schema.items() if not dtype.is_nested())
    return Table("parquet", frame, cells, flat, schema=schema)


def _as_cells(heading: str, column: pl.Expr, dtype: pl.DataType) -> Iterator[tuple[str, pl.Expr]]:
    """The text cells of a column with a type; a struct has one for each of its fields."""
    if isinstance(dtype, pl.Struct):
        for name, inner in pl.Schema(dtype.to_schema()).items():
            yield from _as_cells(f"{heading}.{name}", column.struct.field(name), inner)
    elif isinstance(dtype, pl.Datetime):
        in_utc = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        mark = "Z" if dtype.time_zone else ""
        yield heading, in_utc.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f" + mark)
    elif isinstance(dtype, pl.List) and dtype.inner == pl.String:
        yield heading, column.list.join(",")
    elif not dtype.is_nested():
        yield heading, column.cast(pl.String, strict=False)
