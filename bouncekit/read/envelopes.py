"""Take events out of what services wrap them in: arrays, pages of results, messages of queues."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import polars as pl

from bouncekit.batches import by_batch

Keys = tuple[str, ...]

# Keys under which services wrap the list of their events.
LISTS = (
    *("items", "results", "data", "events", "events_by_user", "records", "bounces", "value", "d"),
    *("messages", "recipients", "suppresseddestinationsummaries", "suppressions", "contacts"),
    *("emails", "mandrill_events"),
)
# Keys that lead to the one event an object wraps: Amazon SNS (alone, in a queue, in a Lambda
# record), EventBridge, SparkPost, Unisender Go, Elasticsearch.
ENVELOPES: tuple[Keys, ...] = (
    *(("Sns", "Message"), ("Message",), ("Body",), ("body",), ("detail",), ("event_data",)),
    *(("msys", f"{kind}_event") for kind in ("message", "track", "gen", "unsubscribe", "relay")),
    *(("_source",), ("SuppressedDestination",)),
)
# As above where it is text: CloudWatch logs, alone and in the answers of queries.
LOGGED: tuple[Keys, ...] = (("message",), ("@message",))
DEPTH = 4  # envelopes within envelopes that are opened
SEEN = 200  # records that are looked at to find what wraps them

RECORD = "__text"  # one record as JSON text
# Polars writes objects and arrays it was to read as text without escaping what is in their strings
# again: quotes in a reply would break them. Where there are any, other means are used.
ESCAPE = "\\"
TEXT = pl.col(RECORD)


def inner(column: pl.Expr, keys: Keys) -> pl.Expr:
    """The value in a column of JSON text under `keys`, as text."""
    path = "$" + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in keys)
    return column.str.json_path_match(path)


def items(column: pl.Expr) -> pl.Expr:
    """The items of JSON arrays, each as text; of other text, a list of that alone.

    >>> pl.select(items(pl.lit('[{"a": 1}, "b"]'))).item().to_list()
    ['{"a": 1}', 'b']
    """

    def split(arrays: pl.Series) -> pl.Series:
        if arrays.str.contains(ESCAPE, literal=True).any():
            told = [None if array is None else list(_texts(array)) for array in arrays]
            return pl.Series(told, dtype=pl.List(pl.String))
        lines = '{"each":' + arrays.fill_null("null") + "}"
        text = lines.str.join("\n").item() if len(lines) else ""
        return pl.read_ndjson(text.encode(), schema={"each": pl.List(pl.String)})["each"]

    text = column.str.strip_chars()
    array = inner(pl.when(text.str.starts_with("[")).then(text), ())
    several = by_batch(array, split, pl.List(pl.String()))
    several = pl.when(several.list.len() > 0).then(several)
    return pl.when(array.is_null()).then(pl.concat_list(column)).otherwise(several)


def _texts(array: str) -> Iterator[str | None]:
    """The items of an array, each as text."""
    try:
        items = json.loads(array)
    except (ValueError, RecursionError):  # such as a number of thousands of digits
        items = [array]
    yield from map(item_text, items)


def item_text(item: Any) -> str | None:
    """An item of an array as text, in one line."""
    is_text = item is None or isinstance(item, str)
    return item if is_text else json.dumps(item, ensure_ascii=False)


def opened(frame: pl.LazyFrame, *, at_once: bool = False) -> pl.LazyFrame:
    """Records (column RECORD, JSON text) out of what wraps them: the same frame if nothing does.

    What wraps them is told by the first records; others stay as they are. `at_once` is for a
    document in memory: it is taken apart once, not again for each look at its records.
    """
    for _ in range(DEPTH):
        sample = frame.select(TEXT).head(SEEN).collect().to_series().to_list()
        values = list(_values(sample))
        lists = list(dict.fromkeys(keys for value in values for keys in _lists(value)))
        wraps = list(dict.fromkeys(keys for value in values for keys in _envelopes(value)))
        if lists:
            array = [pl.when(TEXT.str.strip_chars().str.starts_with("[")).then(TEXT)]
            for keys in filter(None, lists):
                found = inner(TEXT, keys)
                array.append(pl.when(found.str.starts_with("[")).then(found))
            frame = frame.with_columns(items(pl.coalesce(*array, TEXT)).alias(RECORD)).explode(
                RECORD
            )
        elif wraps:
            bodies = []
            for keys in wraps:
                found = inner(TEXT, keys)
                bodies.append(pl.when(found.str.strip_chars().str.starts_with("{")).then(found))
            frame = frame.with_columns(pl.coalesce(*bodies, TEXT).alias(RECORD))
        else:
            break
        if at_once:
            frame = frame.collect().lazy()
    return frame


def _values(lines: Iterable[str | None]) -> Iterator[Any]:
    for line in lines:
        with suppress(ValueError, RecursionError):
            yield json.loads(line or "")


def _lists(value: Any) -> Iterator[Keys]:
    """Keys that lead to a list of objects in a value; none for a list itself."""
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        yield ()
    if not isinstance(value, dict):
        return
    for key, within in value.items():
        if key.casefold() not in LISTS:
            continue
        is_list = isinstance(within, list) and within and all(isinstance(i, dict) for i in within)
        if is_list or (isinstance(within, str) and within.startswith("[{")):
            yield (key,)
            return
        if isinstance(within, dict) and (deeper := next(_lists(within), None)):
            yield (key, *deeper)
            return


def _envelopes(value: Any) -> Iterator[Keys]:
    """Keys that lead to the one event an object wraps."""
    if not isinstance(value, dict):
        return
    for keys in (*ENVELOPES, *LOGGED):
        within: Any = value
        for key in keys:
            within = within.get(key) if isinstance(within, dict) else None
        is_wrapped = isinstance(within, dict) and keys not in LOGGED
        if is_wrapped or (isinstance(within, str) and within.startswith("{")):
            yield keys
            return
