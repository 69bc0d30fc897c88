"""Read files of JSON objects: one a line (NDJSON), or in a document."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.containers import LINE, RAW, Table, text_source
from bouncekit.read.files import Peek, as_text, unpack

Paths = dict[str, tuple[str, ...]]  # dotted heading -> the keys that lead to its value

# Keys under which services wrap the list of their events.
LISTS = ("items", "results", "data", "events", "events_by_user", "records", "bounces")


def open_ndjson(
    path: Path, peek: Peek, known: Iterable[str] = (), *, mended: bool = False
) -> Table:
    """A file with one JSON object a line; `mended` keeps broken lines as raw text.

    `known` are headings to look for although the first records lack them. A dotted heading
    leads into nested objects.
    """
    source = text_source(path, peek)
    head = (peek.head if isinstance(source, Path) else source).decode("utf-8-sig", "replace")
    paths = _paths(_objects(head.splitlines()))
    if peek.head.startswith(b"\xef\xbb\xbf") and isinstance(source, Path):
        source = unpack(path, peek.packing).removeprefix(b"\xef\xbb\xbf")
    later = {heading: tuple(heading.split(".")) for heading in known if heading not in paths}
    if mended or not _is_ndjson(source):
        return _mended_ndjson(source, paths, later)
    return _scan_ndjson("ndjson", source, paths, later)


def open_json(path: Path, peek: Peek) -> Table:
    """A JSON document, or several: their objects, or those in their list of events.

    Raises BouncekitError where nothing in the file is JSON.
    """
    text = as_text(unpack(path, peek.packing))
    try:
        records = list(_records(json.loads(text)))
    except json.JSONDecodeError as error:
        records = [record for line in text.splitlines() for record in _line_records(line)]
        if all(RAW in record for record in records):
            raise BouncekitError(
                f"{path}, line {error.lineno}: this is not JSON ({error.msg}); "
                "the file may be cut off: export it again."
            ) from None
    lines = "\n".join(json.dumps(record) for record in records)
    return _scan_ndjson("json", lines.encode(), _paths(records), {}, has_raw=True)


def _line_records(line: str) -> Iterator[dict[str, Any]]:
    if line.strip():
        try:
            yield from _records(json.loads(line))
        except json.JSONDecodeError:
            yield {RAW: line}


def _records(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON value; what is none is kept as raw text."""
    if isinstance(value, list):
        for item in value:
            yield from _records(item)
    elif isinstance(value, dict):
        yield from [value] if (wrapped := _wrapped(value)) is None else _records(wrapped)
    else:
        yield {RAW: json.dumps(value, ensure_ascii=False)}


def _wrapped(value: dict[str, Any]) -> Any:
    """What an object wraps under one of LISTS, if that holds objects, else None."""
    for key, inner in value.items():
        if key.casefold() in LISTS:
            if isinstance(inner, dict) and _wrapped(inner) is not None:
                return inner
            if isinstance(inner, list) and all(isinstance(item, dict) for item in inner):
                return inner
    return None


def _objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(json.JSONDecodeError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _paths(records: Iterable[dict[str, Any]]) -> Paths:
    """Dotted heading -> keys that lead to it, for every value that is not an object."""
    paths: Paths = {}

    def visit(value: dict[str, Any], above: tuple[str, ...]) -> None:
        for key, inner in value.items():
            keys = (*above, key)
            if isinstance(inner, dict):
                visit(inner, keys)
            else:
                paths.setdefault(".".join(keys), keys)

    for record in records:
        visit(record, ())
    paths.pop(RAW, None)
    return paths


def _scan_ndjson(
    kind: str, source: Path | bytes, paths: Paths, later: Paths, *, has_raw: bool = False
) -> Table:
    """Scan objects whose top-level values are all text; inner ones are looked up in that."""
    top = dict.fromkeys(keys[0] for keys in [*paths.values(), *later.values()])
    schema = {key: pl.String() for key in [*top, *[RAW] * has_raw]}
    frame = pl.scan_ndjson(source, schema=schema, row_index_name=LINE, row_index_offset=1)

    def cells(paths: Paths) -> dict[str, pl.Expr]:
        return {
            heading: _inner(pl.col(keys[0]), keys[1:]) if len(keys) > 1 else pl.col(keys[0])
            for heading, keys in paths.items()
        }

    columns = tuple(dict.fromkeys(keys[0] for keys in paths.values()))
    return Table(kind, frame, cells(paths), columns, has_raw, cells(later))


def _mended_ndjson(source: Path | bytes, paths: Paths, later: Paths) -> Table:
    """Look up every value in each line by itself: slower, but a broken line harms no other."""
    line = pl.col("line")
    is_object = line.str.strip_chars().str.starts_with("{")
    frame = (
        pl.scan_lines(source)
        .filter(line.str.strip_chars() != "")
        .with_row_index(LINE, offset=1)
        .with_columns(pl.when(~is_object | _inner(line, ()).is_null()).then(line).alias(RAW))
    )

    def cells(paths: Paths) -> dict[str, pl.Expr]:
        return {heading: _inner(line, keys) for heading, keys in paths.items()}

    return Table("ndjson", frame, cells(paths), ("line",), True, cells(later))


def _inner(column: pl.Expr, keys: tuple[str, ...]) -> pl.Expr:
    """The value in a column of JSON text under `keys`, as text."""
    path = "$" + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in keys)
    return column.str.json_path_match(path)


def _is_ndjson(source: Path | bytes) -> bool:
    """True where every line is in braces, so that a line cut short is noticed."""
    line = pl.col("line").str.strip_chars()
    is_object = (line == "") | (line.str.starts_with("{") & line.str.ends_with("}"))
    return bool(pl.scan_lines(source).select(is_object.all()).collect(engine="streaming").item())
