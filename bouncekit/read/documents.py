"""Take the list of events out of a JSON document, one record after the other.

As a tree the document would take up to sixty times its size in memory.
"""

import json
import re
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
