"""Read files of JSON objects: one a line (NDJSON), or in a document."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit.batches import by_batch
from bouncekit.errors import BouncekitError
from bouncekit.read.bodies import from_forms, from_literal, from_python, is_python
from bouncekit.read.bounds import bound, check_document
from bouncekit.read.containers import LINE, RAW, SAMPLE_ROWS, Table, text_source
from bouncekit.read.documents import records_of, records_of_frame
from bouncekit.read.envelopes import RECORD, TEXT, json_values, opened
from bouncekit.read.files import Peek, as_text, unmapped, unpack
from bouncekit.read.layouts import is_of_service
from bouncekit.read.streams import in_batches, in_large_batches, rows_within
from bouncekit.read.values import has_escapes, inner, parsed, tree_of, value

# Each record becomes a row of all values that any of them has.
RECORDS_AT_ONCE = 20_000
AT_ONCE = 1 << 23  # bytes of records
Known = Callable[[Iterable[str]], Iterable[str]]
Paths = dict[str, tuple[str, ...]]  # dotted heading -> the keys that lead to its value
VALUES, ESCAPED = "__values", "__escaped"  # what is in a record, and whether it has escapes
KEY = r'"(?:[^"\\]|\\.)*"\s*:'


def open_ndjson(
    path: Path, peek: Peek, known: Known = lambda seen: (), *, mended: bool = False
) -> Table:
    """A file with one JSON object a line; `mended` keeps broken lines as raw text.

    `known` gives headings to look for although the first records lack them, by those that they
    have. A dotted heading leads into nested objects.
    """
    source = text_source(path, peek)
    if peek.head.startswith(b"\xef\xbb\xbf") and isinstance(source, Path):
        source = unpack(path, peek.packing).removeprefix(b"\xef\xbb\xbf")
    whole = _is_ndjson(source)
    lines = pl.scan_lines(source, name=RECORD, glob=False).filter(TEXT.str.strip_chars() != "")
    batch = min(RECORDS_AT_ONCE, rows_within(AT_ONCE, peek.head))
    lines = in_large_batches(lines.with_row_index(LINE, offset=1), batch=batch)
    frame = opened(lines, _is_event)
    if frame is not lines or mended or not whole:
        return _looked_up("ndjson", frame, known, mended=mended or not whole)
    records = list(_objects(_first_lines(lines)))
    if any(isinstance(value, dict | list) for record in records for value in record.values()):
        return _looked_up("ndjson", frame, known, mended=False)
    paths = _paths(records)
    later = _later(known(paths), paths, lines)
    schema = dict.fromkeys(_top(paths, later), pl.String())
    scanned = pl.scan_ndjson(
        unmapped(source), schema=schema, row_index_name=LINE, row_index_offset=1
    )
    frame = in_large_batches(scanned, batch=batch)
    return Table("ndjson", frame, _cells(paths), tuple(_top(paths)), later=_cells(later))


def open_json(
    path: Path, peek: Peek, known: Known = lambda seen: (), *, mended: bool = False
) -> Table:
    """A JSON document, or several: their objects, or those in their list of events.

    Raises BouncekitError where nothing in the file is JSON.
    """
    text = _text(path, peek)
    if not mended and (records := records_of(text)) is not None:
        return _listed("json", records, known, mended=False)
    document = pl.DataFrame({RECORD: [text]}).select(inner(TEXT, ()))
    if document.item() is not None:
        return _listed("json", records_of_frame(text) or [text], known, mended=mended)
    documents = list(_documents(text))
    if pl.DataFrame({RECORD: documents}).select(inner(TEXT, ()).is_null().all()).item():
        raise _not_json(path, text)
    return _listed("json", documents, known, mended=True)


def _text(path: Path, peek: Peek) -> str:
    data = unpack(path, peek.packing)
    check_document(path, len(data))
    return as_text(data).lstrip("\ufeff")


def open_bodies(
    kind: str, path: Path, peek: Peek, known: Known = lambda seen: (), *, mended: bool = False
) -> Table:
    """A file of the kind `form` (bodies of posted forms) or `python` (dicts as Python prints)."""
    text = as_text(unpack(path, peek.packing)).lstrip("\ufeff")
    bodies = from_forms(text) if kind == "form" else from_python(text)
    return _listed(kind, list(bodies), known, mended=mended)


def within(table: Table, sample: pl.DataFrame, known: Known) -> Table | None:
    """The records in a table that has them in the cells of one column, as JSON or as Python's.

    Databases and log services export stored webhooks so. None where no column holds objects.
    """
    heading = next((h for h in sample.columns if _holds_objects(sample[h])), None)
    if heading is None:
        return None
    cell = table.cells[heading]
    if any(map(is_python, sample[heading].drop_nulls())):
        cell = by_batch(cell, _from_literals, pl.String())
    record = pl.coalesce(cell, pl.col(RAW)) if table.has_raw else cell
    frame = table.frame.select(LINE, record.alias(RECORD))
    return _looked_up("ndjson", opened(frame, _is_event), known, mended=True)


def _holds_objects(cells: pl.Series) -> bool:
    objects = sum(from_literal(cell).startswith("{") for cell in cells.drop_nulls())
    return objects > 0 and 2 * objects > cells.count()


def _from_literals(cells: pl.Series) -> pl.Series:
    """Cell by cell: nothing but Python reads Python's notation."""
    told = [cell if cell is None else from_literal(cell) for cell in cells]
    return pl.Series(cells.name, told, dtype=pl.String)


def _listed(kind: str, records: list[str] | pl.Series, known: Known, *, mended: bool) -> Table:
    frame = pl.LazyFrame({RECORD: records}, schema={RECORD: pl.String()})
    return table_of_records(kind, frame, known, mended=mended)[0]


def table_of_records(
    kind: str, frame: pl.LazyFrame, known: Known, *, mended: bool = False
) -> tuple[Table, pl.DataFrame]:
    """The table of records in memory, or of those that they wrap, and these as they were found.

    `frame` has the records in RECORD; its other columns tell in what was found whence it is.
    """
    numbered = opened(frame, _is_event, at_once=True).with_row_index(LINE, offset=1).collect()
    parts = in_batches(
        lambda: numbered.iter_slices(RECORDS_AT_ONCE), numbered.schema, "records of a document"
    )
    return _looked_up(kind, parts, known, mended=mended), numbered


def _documents(text: str) -> Iterator[str]:
    """The JSON documents that follow one another in a text, whatever parts them.

    Firehose writes nothing between them. A line that begins none is given as it is.
    """
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            end = decoder.raw_decode(text, at)[1]
        except (ValueError, RecursionError):  # ValueError: a number of thousands of digits, too
            end = text.find("\n", at) + 1 or len(text)
        yield text[at:end].strip()
        at = end


def _not_json(path: Path, text: str) -> BouncekitError:
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        why = (
            error.msg
            if isinstance(error, json.JSONDecodeError)
            else "too deep, or too long a number"
        )
        return BouncekitError(
            f"{path}{place}: this is not JSON ({why}); the file may be cut off: export it again."
        )
    return BouncekitError(f"{path}: this is not JSON that bouncekit can read: export it again.")


def _looked_up(kind: str, frame: pl.LazyFrame, known: Known, *, mended: bool) -> Table:
    """A table of records that are JSON text in the column RECORD.

    Each record is parsed once, to the values at all headings. `mended` looks every value up in
    the record by itself: slower, but a broken record harms no other.
    """
    is_object = TEXT.str.strip_chars().str.starts_with("{")
    paths = _paths(_objects(_first_lines(frame)))
    later = _later(known(paths), paths, frame)
    if mended:
        is_object &= inner(TEXT, ()).is_not_null()
        frame = frame.with_columns(pl.when(~is_object).then(TEXT).alias(RAW))

        def whole(paths: Paths) -> dict[str, pl.Expr]:
            return {heading: inner(TEXT, keys) for heading, keys in paths.items()}

        return Table(kind, frame, whole(paths), (RECORD,), True, whole(later))
    tree = tree_of([*paths.values(), *later.values()])
    record = parsed(pl.when(is_object).then(TEXT), tree, strict=True) if tree else pl.lit(None)
    raw = pl.when(~is_object).then(TEXT).alias(RAW)
    escaped = has_escapes(TEXT).alias(ESCAPED)
    frame = frame.select(LINE, RECORD, raw, escaped, record.alias(VALUES))
    of_record = (pl.col(VALUES), TEXT, pl.col(ESCAPED))

    def found(paths: Paths) -> dict[str, pl.Expr]:
        return {heading: value(*of_record, keys, tree) for heading, keys in paths.items()}

    return Table(kind, frame, found(paths), (RECORD,), True, found(later))


def _first_lines(frame: pl.LazyFrame) -> list[str]:
    lines = frame.select(TEXT).head(SAMPLE_ROWS).collect()
    return [line for line in lines.to_series().to_list() if line is not None]


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    return (value for value in json_values(lines) if isinstance(value, dict))


def _paths(records: Iterable[dict[str, Any]]) -> Paths:
    """Dotted heading -> keys that lead to it, for every value that is not an object.

    Users' own data may bring ever new ones: what is beyond the bound is not looked for.
    """
    paths: Paths = {}
    most = bound("BOUNCEKIT_COLUMNS")

    def visit(value: dict[str, Any], above: tuple[str, ...]) -> None:
        for key, within in value.items():
            keys = (*above, key)
            if isinstance(within, dict):
                if len(keys) < 8:
                    visit(within, keys)
            elif key and not keys[0].startswith("__"):  # names of our own columns
                heading = ".".join(keys)
                if heading in paths or len(paths) < most:
                    paths[heading] = paths.get(heading, keys)

    for record in records:
        visit(record, ())
    return paths


def _is_event(value: dict[str, Any]) -> bool:
    return is_of_service(_paths([value]))


def _later(known: Iterable[str], paths: Paths, frame: pl.LazyFrame) -> Paths:
    """The known headings whose keys are in a frame's records, though not in the first of them."""
    new = {heading: tuple(heading.split(".")) for heading in known if heading not in paths}
    there = _keys(frame, {key for keys in new.values() for key in keys})
    return {heading: keys for heading, keys in new.items() if there.issuperset(keys)}


def _keys(frame: pl.LazyFrame, wanted: Iterable[str]) -> set[str]:
    """Those of the wanted keys that are in a frame's records, and others with escapes.

    Some hundred headings may be in a record; to make columns of all takes most of the time.
    """
    quoted = TEXT.str.strip_chars(": \t\r\n")
    is_wanted = quoted.is_in([f'"{key}"' for key in wanted])
    found = (
        frame.select(TEXT.str.extract_all(KEY))
        .explode(RECORD)
        .filter(is_wanted | has_escapes(quoted))
        .select(quoted)
        .unique()
        .collect(engine="streaming")
    )
    return set(json_values(found.to_series()))


def _top(*paths: Paths) -> list[str]:
    return list(dict.fromkeys(keys[0] for each in paths for keys in each.values()))


def _cells(paths: Paths) -> dict[str, pl.Expr]:
    return {
        heading: inner(pl.col(keys[0]), keys[1:]) if len(keys) > 1 else pl.col(keys[0])
        for heading, keys in paths.items()
    }


def _is_ndjson(source: Path | bytes) -> bool:
    """True where every line is in braces, so that a line cut short is noticed."""
    line = TEXT.str.strip_chars()
    is_object = (line == "") | (line.str.starts_with("{") & line.str.ends_with("}"))
    return bool(
        pl.scan_lines(source, name=RECORD, glob=False)
        .select(is_object.all())
        .collect(engine="streaming")
        .item()
    )
