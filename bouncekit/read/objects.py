"""Read files of JSON objects: one a line (NDJSON), or in a document."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.bounds import bound, check_document
from bouncekit.read.containers import LINE, RAW, SAMPLE_ROWS, Table, text_source
from bouncekit.read.envelopes import RECORD, TEXT, inner, opened
from bouncekit.read.files import Peek, as_text, unpack

Known = Callable[[Iterable[str]], Iterable[str]]
Paths = dict[str, tuple[str, ...]]  # dotted heading -> the keys that lead to its value


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
    lines = pl.scan_lines(source, name=RECORD).filter(TEXT.str.strip_chars() != "")
    lines = lines.with_row_index(LINE, offset=1)
    frame = opened(lines)
    if frame is not lines or mended or not whole:
        return _looked_up("ndjson", frame, known, mended=mended or not whole)
    paths = _paths(_objects(_first_lines(lines)))
    later = _met(lines, _later(known(paths), paths))
    top = _top(paths, later)
    schema = dict.fromkeys(top, pl.String())
    scanned = pl.scan_ndjson(source, schema=schema, row_index_name=LINE, row_index_offset=1)
    columns = tuple(dict.fromkeys(keys[0] for keys in paths.values()))
    return Table("ndjson", scanned, _cells(paths), columns, later=_cells(later))


def open_json(
    path: Path, peek: Peek, known: Known = lambda seen: (), *, mended: bool = False
) -> Table:
    """A JSON document, or several: their objects, or those in their list of events.

    Raises BouncekitError where nothing in the file is JSON.
    """
    data = unpack(path, peek.packing)
    check_document(path, len(data))
    text = as_text(data).lstrip("\ufeff")
    document = pl.DataFrame({RECORD: [text]}).select(inner(TEXT, ()))
    if document.item() is None:
        document = pl.DataFrame({RECORD: [line for line in text.splitlines() if line.strip()]})
        if document.select(inner(TEXT, ()).is_null().all()).item():
            raise _not_json(path, text)
        mended = True
    frame = opened(document.lazy(), at_once=True).with_row_index(LINE, offset=1)
    return _looked_up("json", frame.collect().lazy(), known, mended=mended)


def _not_json(path: Path, text: str) -> BouncekitError:
    try:
        json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        why = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
        return BouncekitError(
            f"{path}{place}: this is not JSON ({why}); the file may be cut off: export it again."
        )
    return BouncekitError(f"{path}: this is not JSON that bouncekit can read: export it again.")


def _looked_up(kind: str, frame: pl.LazyFrame, known: Known, *, mended: bool) -> Table:
    """A table of records that are JSON text in the column RECORD.

    Each record is parsed once, to columns of text by its top-level keys; inner values are
    looked up in these. `mended` looks every value up in the record by itself: slower, but a
    broken record harms no other.
    """
    is_object = TEXT.str.strip_chars().str.starts_with("{")
    paths = _paths(_objects(_first_lines(frame)))
    later = _met(frame, _later(known(paths), paths))
    if mended:
        is_object &= inner(TEXT, ()).is_not_null()
        frame = frame.with_columns(pl.when(~is_object).then(TEXT).alias(RAW))

        def whole(paths: Paths) -> dict[str, pl.Expr]:
            return {heading: inner(TEXT, keys) for heading, keys in paths.items()}

        return Table(kind, frame, whole(paths), (RECORD,), True, whole(later))
    schema = pl.Schema(dict.fromkeys(_top(paths), pl.String()))

    def parsed(records: pl.Series) -> pl.Series:
        text = records.fill_null("{}").str.join("\n").item() if len(records) else ""
        return pl.read_ndjson(text.encode(), schema=schema).to_struct(records.name)

    record = (
        pl.when(is_object)
        .then(TEXT)
        .map_batches(parsed, return_dtype=pl.Struct(schema), is_elementwise=True)
    )
    raw = pl.when(~is_object).then(TEXT).alias(RAW)
    frame = frame.select(LINE, RECORD, raw, record.alias("__record"))
    if schema:
        frame = frame.with_columns(pl.col("__record").struct.unnest())
    rare = {heading: inner(TEXT, keys) for heading, keys in later.items()}
    return Table(kind, frame.drop("__record"), _cells(paths), (RECORD,), True, rare)


def _first_lines(frame: pl.LazyFrame) -> list[str]:
    lines = frame.select(TEXT).head(SAMPLE_ROWS).collect()
    return [line for line in lines.to_series().to_list() if line is not None]


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(json.JSONDecodeError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


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


def _later(known: Iterable[str], paths: Paths) -> Paths:
    return {heading: tuple(heading.split(".")) for heading in known if heading not in paths}


def _met(frame: pl.LazyFrame, paths: Paths) -> Paths:
    """Those of the paths whose last key stands anywhere in the records: one pass for all."""
    if not paths:
        return {}
    spelled = {heading: _spellings(keys[-1]) for heading, keys in paths.items()}
    every = sorted(set().union(*spelled.values()))
    found = TEXT.str.extract_many(every, overlapping=True).explode().unique()
    met = set(frame.select(found).collect(engine="streaming").to_series())
    return {heading: keys for heading, keys in paths.items() if spelled[heading] & met}


def _spellings(key: str) -> set[str]:
    """A key as it stands in JSON, which may escape what is not ASCII."""
    return {json.dumps(key), json.dumps(key, ensure_ascii=False)}


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
        pl.scan_lines(source, name=RECORD)
        .select(is_object.all())
        .collect(engine="streaming")
        .item()
    )
