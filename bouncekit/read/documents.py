"""Take the list of events out of a JSON document, one record after the other.

As a tree the document would take up to sixty times its size in memory.
"""

import json
import re
from collections.abc import Iterable
from typing import NoReturn

import polars as pl

from bouncekit.read.envelopes import LISTS, item_text

AT_ONCE = 10_000  # records that become a part of the column together

_BLANKS = re.compile(r"[ \t\n\r]*")  # RFC 8259 §2
_Found = tuple[pl.Series | None, int]  # a list of objects, and the place after where it was


def records_of(text: str) -> pl.Series | None:
    """Give the records of a document as text: of its array, or of the first that LISTS leads to.

    None where that finds no list of objects, or the document is damaged.

    >>> records_of('{"page": 1, "items": [{"a": 1}, {"a": "x"}]}').to_list()
    ['{"a": 1}', '{"a": "x"}']
    """
    at = _after(text, 0)
    if not text.startswith(("[", "{"), at):
        return None
    try:
        found, end = _array(text, at) if text.startswith("[", at) else _object(text, at)
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits, too
        return None
    return found if end == len(text) else None


def holds_none(text: str) -> bool:
    """Tell a document that has an empty list where its records would be: there was nothing.

    >>> holds_none('{"items": [], "paging": {"next": "x"}}')
    True
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits
        return False
    if isinstance(document, dict):
        return any(document[key] == [] for key in document if key.casefold() in LISTS)
    return bool(document == [])


def records_of_frame(text: str) -> list[str] | None:
    """Give the records of a document as pandas' `to_json` writes a frame, or None for others.

    By columns, by rows (which may be named by their addresses), or split into names and cells.

    >>> records_of_frame('{"a": {"0": 1, "1": 2}, "b": {"0": "x", "1": "y"}}')
    ['{"a": 1, "b": "x"}', '{"a": 2, "b": "y"}']
    """
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: a number of thousands of digits
        return None
    if not isinstance(frame, dict) or not frame:
        return None
    rows: list[dict[str, object]] = []
    match frame:
        case {"columns": list(names), "data": list(cells)} if all(map(_is_list, cells)):
            rows = [dict(zip(map(str, names), row, strict=False)) for row in cells]
        case _ if all(part and isinstance(part, dict) for part in frame.values()):
            rows = _turned(frame)
    return [json.dumps(row, ensure_ascii=False) for row in rows] or None


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _turned(frame: dict[str, dict[str, object]]) -> list[dict[str, object]]:
    """Give the rows of a frame by its rows or its columns; none of other objects in an object."""
    inner = set(map(tuple, frame.values()))
    if _are_numbers(frame):
        return list(frame.values())
    if all("@" in key for key in frame):
        return [{"address": key, **row} for key, row in frame.items()]
    if len(inner) == 1 and _are_numbers(*inner):
        return [{name: part[key] for name, part in frame.items()} for key in next(iter(inner))]
    return []


def _are_numbers(keys: Iterable[str]) -> bool:
    return all(map(str.isdecimal, keys))


def _object(text: str, at: int) -> _Found:
    found: pl.Series | None = None
    more, at = _begun(text, at, "}")
    while more:
        key, end = _decode(text, at)
        at = _after(text, end)
        if not isinstance(key, str) or not text.startswith(":", at):
            raise ValueError
        at = _after(text, at + 1)
        is_list = found is None and key.casefold() in LISTS
        if is_list and text.startswith("{", at):
            found, at = _object(text, at)
        elif is_list and text.startswith("[", at):
            found, at = _array(text, at, only_objects=True)
        else:
            at = _after(text, _decode(text, at)[1])
        more, at = _more(text, at, "}")
    return found, at


def _array(text: str, at: int, *, only_objects: bool = False) -> _Found:
    parts: list[pl.Series] = []
    items: list[str | None] = []
    kinds: set[type] = set()
    more, at = _begun(text, at, "]")
    while more:
        item, end = _decode(text, at)
        kinds.add(type(item))
        written = text[at:end]
        is_line = isinstance(item, dict | list) and "\n" not in written
        items.append(written if is_line else item_text(item))
        if len(items) == AT_ONCE:
            parts.append(pl.Series(items, dtype=pl.String))
            items = []
        more, at = _more(text, _after(text, end), "]")
    parts.append(pl.Series(items, dtype=pl.String))
    is_list = kinds == {dict} if only_objects else kinds & {dict, list}
    return pl.concat(parts) if is_list else None, at


def _begun(text: str, at: int, end: str) -> tuple[bool, int]:
    """Tell whether a list has an item, and where it, or what follows the list, begins."""
    at = _after(text, at + 1)
    return (False, _after(text, at + 1)) if text.startswith(end, at) else (True, at)


def _more(text: str, at: int, end: str) -> tuple[bool, int]:
    """Tell whether another item follows one, and where it, or what follows the list, begins."""
    if not text.startswith((",", end), at):
        raise ValueError
    return text.startswith(",", at), _after(text, at + 1)


def _after(text: str, at: int) -> int:
    """Give the place after the blanks here."""
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN is no JSON


_decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
