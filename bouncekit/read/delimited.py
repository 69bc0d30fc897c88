"""Read files of separated cells (CSV): the dialect is sniffed, damaged records are kept as text."""

import csv
import io
import re
from codecs import getincrementaldecoder
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read import accounting
from bouncekit.read.containers import LINE, RAW, Table, text_source, written_in
from bouncekit.read.files import CHUNK, HEAD, NotOursError, Peek, packed_chunks
from bouncekit.read.streams import in_batches, in_large_batches, rows_within

SNIFFED_ROWS = 50
LONGEST_RECORD = 200  # lines a quoted cell may span before its opening quote counts as stray
LARGEST_RECORD = 1 << 20  # characters likewise
MENDED_AT_ONCE = 20_000  # records
AT_ONCE = 1 << 25  # bytes of records
# Exchange names its columns in a comment.
FIELDS = re.compile(r"^\ufeff?#Fields: *(.+)$", re.MULTILINE)
Record = tuple[int | str | None, ...]
IS_ADDRESS = re.compile(r"\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*\Z")


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written; `skip` and `body` count the lines before header and records."""

    separator: str
    skip: int
    body: int
    headings: list[str]
    has_header: bool
    notes: tuple[str, ...] = ()


def open_csv(path: Path, peek: Peek, *, mended: bool = False) -> Table:
    """A file of separated cells; `mended` reads it record by record to save what it can.

    A record with fewer cells than the header is padded with nulls, as Polars does. Raises
    NotOursError for a text that has no header.
    """
    return _separated(path, peek, text_source(path, peek), mended=mended)


def open_excel(path: Path, peek: Peek, *, mended: bool = False) -> Table:
    """The first sheet of an Excel workbook that holds anything, read as if it were CSV.

    Raises BouncekitError where the workbook is damaged or locked.
    """
    try:
        sheets = pl.read_excel(
            path, sheet_id=0, has_header=False, infer_schema_length=0, raise_if_empty=False
        )
    except Exception as error:  # the reader's errors have no class in common
        reason = str(error).partition("\n")[0]
        raise BouncekitError(
            f"{path} cannot be read as an Excel workbook ({reason}): save it as CSV."
        ) from None
    filled = [sheet for sheet in sheets.values() if sheet.height]
    if not filled:
        raise NotOursError(f"{path} is empty: export it again.")
    source = filled[0].write_csv(include_header=False).encode()
    whole = Peek(source[:HEAD], "", whole=len(source) <= HEAD)
    return _separated(path, whole, source, mended=mended)


def _separated(path: Path, peek: Peek, source: Path | bytes, *, mended: bool) -> Table:
    head = peek.head if isinstance(source, Path) else source[:HEAD]
    whole = peek.whole if isinstance(source, Path) else len(source) <= HEAD
    if not whole and b"\n" not in head and b"\r" not in head:
        raise NotOursError(f"{path} is no table: its first line is longer than {HEAD:,} bytes.")
    dialect = sniff(head.decode("utf-8-sig", "replace"), whole=whole)
    if not dialect.headings:
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    cells = {heading: pl.col(heading) for heading in dialect.headings}
    named = {"\t": "a tab", ";": "a semicolon", "|": "a bar"}.get(dialect.separator)
    delimiter = [f"delimiter {named}"] if named else []
    notes = (*delimiter, *dialect.notes, *written_in(peek, source))
    if not mended and not _is_cut(source, peek, dialect):
        frame = _scanned(source, dialect, head)
        if frame.collect_schema().names() == [LINE, *dialect.headings]:
            return Table("csv", frame, cells, tuple(dialect.headings), notes=notes)

    def pieces() -> Iterator[bytes]:
        if isinstance(source, Path):
            return packed_chunks(source, peek.packing)
        return (source[at : at + CHUNK] for at in range(0, len(source), CHUNK))

    frame = _mended(lambda: mend(_lines(pieces()), dialect), dialect)
    return Table("csv", frame, cells, tuple(cells), has_raw=True, notes=notes)


def _mended(records: Callable[[], Iterator[Record]], dialect: Dialect) -> pl.LazyFrame:
    names = [LINE, RAW, *dialect.headings]
    schema = pl.Schema({name: pl.Int64() if name == LINE else pl.String() for name in names})

    def frames() -> Iterator[pl.DataFrame]:
        left = records()
        while batch := list(islice(left, MENDED_AT_ONCE)):
            yield pl.DataFrame(batch, schema=schema, orient="row")

    return in_batches(frames, schema, "mended records")


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """The lines of a UTF-8 text, with their ends."""
    decoder = getincrementaldecoder("utf-8-sig")()
    held = ""
    for piece in pieces:
        *ended, held = (held + decoder.decode(piece)).split("\n")
        yield from (line + "\n" for line in ended)
    if held:
        yield held


def _scanned(source: Path | bytes, dialect: Dialect, head: bytes) -> pl.LazyFrame:
    frame = pl.scan_csv(
        source,
        separator=dialect.separator,
        skip_lines=dialect.skip,
        has_header=dialect.has_header,
        new_columns=dialect.headings,
        infer_schema=False,
        row_index_name=LINE,
        row_index_offset=1,
        glob=False,
        raise_if_empty=False,
    )
    return in_large_batches(frame, batch=rows_within(AT_ONCE, head))


def _is_cut(source: Path | bytes, peek: Peek, dialect: Dialect) -> bool:
    """True where the last record breaks off: no line end after it, and cells missing."""
    if peek.packing and isinstance(source, Path):
        return False  # a packed stream tells by itself
    if isinstance(source, Path):
        with source.open("rb") as file:
            file.seek(max(0, source.stat().st_size - len(peek.head)))
            tail = file.read()
    else:
        tail = source[-len(peek.head) :]
    last = tail.rsplit(b"\n", 1)[-1]
    missing = last.count(dialect.separator.encode()) < len(dialect.headings) - 1
    return b"\n" in tail and bool(last.strip()) and missing and b'"' not in last


def sniff(text: str, *, whole: bool = True) -> Dialect:
    r"""Separator, header and place of the first record, from the beginning of a file.

    >>> sniff("# June\nemail;reason\nann@example.org;no, thanks\n").separator
    ';'
    """
    if not whole:
        text = text[: text.rfind("\n") + 1] or text
    sniffed = [(_rows(text, separator), separator) for separator in ",;\t|"]
    rows, separator = max(sniffed, key=lambda each: _agreement(each[0]))
    if not rows:
        return Dialect(",", 0, 0, [], has_header=True)
    skip, body, header = rows[0]
    has_header = not any(IS_ADDRESS.match(cell) or cell.startswith("{") for cell in header)
    told = FIELDS.search(text)
    if told and len(fields := told[1].strip().split(separator)) == len(header):
        return Dialect(separator, skip, skip, _distinct(fields), has_header=False)
    if not has_header and (names := accounting.headings([row for *_, row in rows])):
        note = "columns named by their cells, as there is no header"
        return Dialect(separator, skip, skip, _distinct(names), has_header=False, notes=(note,))
    names = _distinct(header if has_header else [""] * len(header))
    return Dialect(separator, skip, body if has_header else skip, names, has_header)


def _rows(text: str, separator: str) -> list[tuple[int, int, list[str]]]:
    """The first rows from the header on, each after its first line and its end, in lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = []
    start = 0
    with suppress(csv.Error):  # a cell beyond the csv module's limit: what came before must do
        for row in islice(reader, SNIFFED_ROWS):
            if any(cell.strip() for cell in row):
                rows.append((start, reader.line_num, row))
            start = reader.line_num
    width = Counter(len(row) for *_, row in rows).most_common(1)[0][0] if rows else 0
    while rows and _is_preamble(rows[0][2], width):
        del rows[0]
    return rows[_titles([row for *_, row in rows]) :]


def _is_preamble(row: list[str], width: int) -> bool:
    """True for what some exports put above the header: comments, a title, Excel's `sep=;`."""
    return row[0].lstrip().startswith(("#", "sep=")) or (len(row) == 1 and width > 1)


def _titles(rows: list[list[str]]) -> int:
    """How many rows stand above several headings: titles among empty cells of a spreadsheet."""
    filled = [list(filter(str.strip, row)) for row in rows]
    titles = next((n for n, cells in enumerate(filled) if len(cells) > 1), 0)
    return 0 if any("@" in cell for row in filled[: titles + 1] for cell in row) else titles


def _agreement(rows: list[tuple[int, int, list[str]]]) -> tuple[float, int, int]:
    """Share of rows as wide as the header (0 where that has one cell), its place, its width.

    Commas in each row's reply or date agree with one another, but not with the header.
    """
    widths = [len(row) for *_, row in rows] or [1]
    if widths[0] == 1:
        return 0.0, 0, 1
    agreeing = sum(width == widths[0] for width in widths[1:])
    return round(agreeing / max(len(widths) - 1, 1), 1) or 0.05, -rows[0][0], widths[0]


def _distinct(header: list[str]) -> list[str]:
    """Headings, each once: a repeated or empty one is named by its place."""
    names: list[str] = []
    for place, heading in enumerate(header, start=1):
        name = heading.strip()
        names.append(name if name and name not in names else f"{name} column {place}".strip())
    return names


def mend(lines: Iterator[str], dialect: Dialect) -> Iterator[Record]:
    """Records of a damaged CSV as (number, raw text or None, cells...); nothing is left out.

    A record with too many cells and a last one that breaks off are given as raw text; after
    a quote that never closes reading goes on at the next line.
    """
    lines = islice(lines, dialect.body, None)
    width = len(dialect.headings)
    ahead: deque[str] = deque()
    number = 0
    while _look_ahead(ahead, lines):
        number += 1
        cells, height = _record([*ahead], dialect.separator)
        while len(cells) > width and not cells[-1]:
            cells.pop()
        is_last = height == len(ahead) and not ahead[-1].endswith("\n")
        breaks_off = is_last and 0 < len(cells) < width
        if len(cells) > width or breaks_off:
            yield (number, ahead.popleft().rstrip("\r\n"), *[None] * width)
            continue
        if cells:
            yield (number, None, *(cell or None for cell in cells), *[None] * (width - len(cells)))
        for _ in range(height):
            ahead.popleft()


def _look_ahead(ahead: deque[str], lines: Iterator[str]) -> bool:
    """Read on as far as a record may reach; False where nothing is left."""
    size = sum(map(len, ahead))
    while len(ahead) < LONGEST_RECORD and size < LARGEST_RECORD:
        line = next(lines, None)
        if line is None:
            break
        ahead.append(line)
        size += len(line)
    return bool(ahead)


def _record(lines: list[str], separator: str) -> tuple[list[str], int]:
    """Cells of the record that begins on the first line, and the number of its lines."""
    for strict, span in ((True, len(lines)), (False, 1)):
        reader = csv.reader(lines[:span], delimiter=separator, strict=strict)
        with suppress(csv.Error):
            cells = next(reader)
            if not strict and cells:
                cells[-1] = cells[-1].rstrip("\r\n")
            return cells, reader.line_num
    return lines[0].split(separator), 1  # beyond the limits of the csv module
