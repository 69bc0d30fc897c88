"""Take events out of what services wrap them in: arrays, pages of results, messages of queues."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import polars as pl

from bouncekit.batches import by_batch
from bouncekit.read.values import ESCAPE, Keys, inner

# Keys under which services wrap the list of their events.
LISTS = (
    *("items", "results", "data", "events", "events_by_user", "records", "bounces", "value", "d"),
    *("messages", "recipients", "suppresseddestinationsummaries", "suppressions", "contacts"),
    *("emails", "mandrill_events", "tracking_activities", "payload", "body"),
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
# Names that people give to what a service sent, beside what they know of it themselves: they wrap
# it only if it is a service's event, and the whole is none.
STORED = ("payload", "data", "event", "event_data", "webhook", "record", "content", "raw", "json")
DEPTH = 4  # envelopes within envelopes that are opened
SEEN = 200  # records that are looked at to find what wraps them

RECORD = "__text"  # one record as JSON text
TEXT = pl.col(RECORD)


def items(column: pl.Expr) -> pl.Expr:
    """The items of JSON arrays, each as text; of other text, a list of that alone.

    >>> pl.select(items(pl.lit('[{"a": 1}, "b"]'))).item().to_list()
    ['{"a": 1}', 'b']
    """
    return by_batch(column, _items, pl.List(pl.String()))


def _items(cells: pl.Series) -> pl.Series:
    """The same; null for an empty array."""
    text = pl.col("text").str.strip_chars()
    arrays = pl.when(text.str.starts_with("[")).then(text)
    frame = cells.to_frame("text").with_columns(arrays=arrays)
    try:
        lists = _split(frame["arrays"])
    except pl.exceptions.ComputeError:  # some are no arrays
        frame = frame.with_columns(arrays=pl.when(inner(arrays, ()).is_not_null()).then(arrays))
        lists = _split(frame["arrays"])
    listed = pl.when(pl.col("items").list.len() > 0).then("items")
    alone = pl.when(pl.col("arrays").is_null()).then(pl.concat_list("text"))
    return frame.with_columns(items=lists).select(pl.coalesce(alone, listed)).to_series()


def _split(arrays: pl.Series) -> pl.Series:
    """The items of arrays, each as text."""
    has_escapes = arrays.str.contains(ESCAPE, literal=True).fill_null(False)
    lines = '{"each":' + arrays.set(has_escapes, None).fill_null("null") + "}"
    lines = lines.str.replace_all("\n", " ", literal=True)
    data = lines.str.join("\n").item().encode() if len(lines) else b""
    lists = pl.read_ndjson(data, schema={"each": pl.List(pl.String)})["each"]
    if not has_escapes.any():
        return lists
    told = [list(_texts(array)) for array in arrays.filter(has_escapes)]
    several = pl.concat([lists, pl.Series(told, dtype=lists.dtype)])
    place = pl.when("escaped").then(pl.col("escaped").cum_sum() + len(lists) - 1)
    places = has_escapes.to_frame("escaped").select(place.otherwise(pl.int_range(pl.len())))
    return several.gather(places.to_series())


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


def opened(
    frame: pl.LazyFrame,
    is_event: Callable[[dict[str, Any]], bool] = lambda value: False,
    *,
    at_once: bool = False,
) -> pl.LazyFrame:
    """Records (column RECORD, JSON text) out of what wraps them: the same frame if nothing does.

    What wraps them is told by the first records; others stay as they are. `is_event` knows the
    events of services. `at_once` is for a document in memory: it is taken apart once, not again for
    each look at its records.
    """
    for _ in range(DEPTH):
        sample = frame.select(TEXT).head(SEEN).collect().to_series().to_list()
        values = list(json_values(sample))
        lists = list(dict.fromkeys(keys for value in values for keys in _lists(value)))
        wraps = list(
            dict.fromkeys(keys for value in values for keys in _envelopes(value, is_event))
        )
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


def json_values(texts: Iterable[str | None]) -> Iterator[Any]:
    """What texts say in JSON; those that are none are left out."""
    for text in texts:
        with suppress(ValueError, RecursionError):
            yield json.loads(text or "")


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


def _envelopes(value: Any, is_event: Callable[[dict[str, Any]], bool]) -> Iterator[Keys]:
    """Keys that lead to the one event an object wraps."""
    if not isinstance(value, dict):
        return
    for key in STORED:
        stored = value.get(key)
        if isinstance(stored, dict) and is_event(stored) and not is_event(value):
            yield (key,)
            return
    for keys in (*ENVELOPES, *LOGGED):
        within: Any = value
        for key in keys:
            within = within.get(key) if isinstance(within, dict) else None
        is_wrapped = isinstance(within, dict) and keys not in LOGGED
        if is_wrapped or (isinstance(within, str) and within.startswith("{")):
            yield keys
            return
