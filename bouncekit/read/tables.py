"""Read any table of bounces into the bounces frame."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import polars as pl

from bouncekit.read import cells
from bouncekit.read.bounds import check_columns
from bouncekit.read.containers import LINE, RAW, Table, open_parquet
from bouncekit.read.delimited import open_csv, open_excel
from bouncekit.read.files import Peek
from bouncekit.read.layouts import Layout, Options, fold, known_headings, recognise
from bouncekit.read.objects import open_json, open_ndjson
from bouncekit.read.spread import spread
from bouncekit.read.times import (
    SLASHED,
    first_and_second,
    has_local,
    instant,
    told,
    typed_forms,
    usual_form,
)
from bouncekit.schema import BOUNCES

Found = Mapping[str, list[pl.Expr]]  # column of the bounces frame -> cells that may fill it
Reader = Callable[[pl.Expr], pl.Expr]

# Columns that exist between the steps of `bounces`.
RECIPIENT, REPLY = pl.col("__recipient"), pl.col("__reply")
LOST, EVENT, TIME = pl.col("__lost"), pl.col("__event"), pl.col("__time")

# Words that only repeat what the event says, and so are no verdict of the service.
PLAIN_WORDS = ("bounce", "bounced")


def open_table(kind: str, path: Path, peek: Peek, *, mended: bool) -> Table:
    """A table of the kind `csv`, `excel`, `ndjson`, `json` or `parquet`."""
    if kind == "json":
        return open_json(path, peek, known_headings, mended=mended)
    if kind == "ndjson":
        return open_ndjson(path, peek, known_headings, mended=mended)
    if kind == "parquet":
        table = open_parquet(path)
    elif kind == "excel":
        table = open_excel(path, peek, mended=mended)
    else:
        table = open_csv(path, peek, mended=mended)
    check_columns(path, len(table.cells))
    return table


def bounces(
    table: Table, path: Path, options: Options
) -> tuple[Layout | None, pl.LazyFrame, tuple[str, ...]]:
    """Layout (None for bouncekit's own), bounces frame (columns of BOUNCES), what was inferred.

    A record without an address stays as event `unreadable` with its cells as the reply.
    Raises BouncekitError where the table has no addresses or `options` don't fit it.
    """
    if all(table.schema.get(column) == dtype for column, dtype in BOUNCES.items()):
        return None, table.frame.select(*BOUNCES), ()
    sample = table.sample()
    layout = recognise(table, sample, path, options)
    as_written = {**table.later, **table.cells}
    table, known = spread(table, layout)
    found = {column: [known[h] for h in headings] for column, headings in layout.fields.items()}
    usual_time, other_times = _times(table, layout, known, sample, options)
    columns = {
        "time": other_times,
        "event": pl.when(LOST).then(pl.lit("unreadable")).when(EVENT != "none").then(EVENT),
        "recipient": RECIPIENT,
        "reply": pl.when(LOST).then(_whole(table)).otherwise(REPLY),
        "source_class": _verdict(found, layout),
        **_codes(found),
        **_texts(found, layout),
        **_place(table, layout, path),
    }
    # Each step's columns are read many times by the next: as expressions Polars would
    # evaluate some of them over and over.
    frame = (
        table.frame.with_columns(
            __recipient=_recipient(found, layout), __reply=_reply(found), __time=usual_time
        )
        .with_columns(__event=_event(found, layout, as_written))
        .with_columns(__lost=_is_lost(table, layout))
        .select(columns[column].cast(dtype).alias(column) for column, dtype in BOUNCES.items())
    )
    return layout, frame, _inferred_zone(layout, sample, options)


def _recipient(found: Found, layout: Layout) -> pl.Expr:
    if layout.own:
        return found["recipient"][0]
    return _first(cells.address, found["recipient"])


def _is_lost(table: Table, layout: Layout) -> pl.Expr:
    """True for a record that is no event of anybody; bouncekit's own rows stay what they are."""
    is_raw = pl.col(RAW).is_not_null() if table.has_raw else pl.lit(False)
    if layout.own:
        return is_raw
    return is_raw | (RECIPIENT.is_null() & (EVENT != "none").fill_null(True))


def _whole(table: Table) -> pl.Expr:
    """Raw text of a lost record, or its cells in a line."""
    record = [pl.when(LOST).then(pl.col(c).cast(pl.String)) for c in table.columns]
    line = pl.concat_str(record, separator=", ", ignore_nulls=True)
    return pl.coalesce(pl.col(RAW), line) if table.has_raw else line


def _reply(found: Found) -> pl.Expr:
    """The first reply that is not blank, as it was written; never null."""
    replies = [pl.when(c.str.strip_chars() != "").then(c) for c in found.get("reply", ())]
    return pl.coalesce(*replies, pl.lit(""))


def _event(found: Found, layout: Layout, known: Mapping[str, pl.Expr]) -> pl.Expr:
    """The event as text: `none` where a word says nothing about delivery, null if it is unknown.

    A table without events is one of bounces, and so is a record with a reply and no event.
    """
    said = found.get("event", [])
    if layout.marks:
        folded = {fold(heading): cell for heading, cell in known.items()}
        marks = [
            pl.when(_is_set(folded[fold(heading)])).then(pl.lit(event))
            for event, headings in layout.marks.items()
            for heading in headings
            if fold(heading) in folded
        ]
        return pl.coalesce(*marks, pl.lit("none"))
    if layout.event or not said:
        return pl.lit(layout.event or "bounce")
    events = pl.coalesce(cells.event(cell, layout.words) for cell in said)
    if layout.own:
        return events
    is_silent = pl.all_horizontal(cells.text(cell).is_null() for cell in said)
    return pl.coalesce(events, pl.when(is_silent & (REPLY != "")).then(pl.lit("bounce")))


def _is_set(cell: pl.Expr) -> pl.Expr:
    """True for a cell that holds something but a no."""
    word = cell.str.strip_chars().str.to_lowercase()
    return word.is_not_null() & ~word.is_in(["", "false", "no", "0", "nein", "non"])


def _verdict(found: Found, layout: Layout) -> pl.Expr:
    """`service:verdict`: its own code, its class of bounce, or its word for the event."""
    classes = [cells.text(cell) for cell in found.get("source_class", ())]
    if layout.own:
        return pl.coalesce(*classes, pl.lit(None, pl.String()))
    if layout.verdict:
        return pl.lit(f"{layout.service}:{layout.verdict}")
    codes = [cells.pseudo_code(cell) for cell in found.get("reply_code", ())]
    words = [cells.text(cell) for cell in found.get("event", ())]
    word = pl.coalesce(*words, pl.lit(None, pl.String()))
    is_telling = EVENT.is_null() | EVENT.is_in(["bounce", "dropped", "none"])
    says_more = is_telling & ~word.str.to_lowercase().is_in(PLAIN_WORDS)
    verdict = pl.coalesce(*codes, *classes, pl.when(says_more).then(word))
    return pl.concat_str(pl.lit(f"{layout.service}:"), verdict)


def _codes(found: Found) -> dict[str, pl.Expr]:
    """Reply code and enhanced code: services put either into the column of the other."""
    coded = [*found.get("reply_code", ()), *found.get("enhanced_code", ())]
    enhanced = [*found.get("enhanced_code", ()), *found.get("reply_code", ())]
    return {
        "reply_code": _first(cells.reply_code, coded),
        "enhanced_code": _first(cells.enhanced_code, enhanced),
    }


def _texts(found: Found, layout: Layout) -> dict[str, pl.Expr]:
    readers = {
        "final_recipient": cells.address,
        "mailing": cells.first,
        "message_id": cells.text,
        "sender": cells.mailbox,
        "sending_ip": cells.ip,
        "remote_mta": cells.text,
    }
    return {
        column: _first(cells.text if layout.own else reader, found.get(column, ()))
        for column, reader in readers.items()
    }


def _place(table: Table, layout: Layout, path: Path) -> dict[str, pl.Expr]:
    """File and record number; bouncekit's own files remember those of the first reading."""
    source, line = pl.lit(str(path)), pl.col(LINE)
    if layout.own:
        was = {column: table.cells[column] for column in ("source", "line")}
        source = pl.coalesce(was["source"], source)
        line = pl.coalesce(was["line"].cast(pl.Int64, strict=False), line)
    return {"source": source, "line": line}


def _times(
    table: Table,
    layout: Layout,
    known: Mapping[str, pl.Expr],
    sample: pl.DataFrame,
    options: Options,
) -> tuple[pl.Expr, pl.Expr]:
    """The time in the shape most cells of its first column have, and what tells the others."""
    zone = options.tz or layout.zone or "UTC"
    form = (options.mapping or {}).get("time_format", layout.time_format)
    usual = pl.lit(None, BOUNCES["time"])
    others = []
    for place, heading in enumerate(layout.fields.get("time", ())):
        cell = known[heading]
        if form is not None:
            others.append(told(cell, form, zone=zone))
            continue
        seen = sample[heading] if heading in sample else pl.Series([], dtype=pl.String)
        if place == 0 and (quick := usual_form(seen)):
            usual = told(cell, quick, zone=zone)
            cell = pl.when(TIME.is_null()).then(cell)
        is_slashed = seen.str.strip_chars().str.contains(SLASHED).any()
        day_first = _day_first(table.frame, known[heading]) if is_slashed else None
        others.append(instant(cell, typed_forms(seen, day_first=day_first), zone=zone))
    return usual, pl.coalesce(TIME, *others)


def _inferred_zone(layout: Layout, sample: pl.DataFrame, options: Options) -> tuple[str, ...]:
    """What is to be told of times that name no zone; nothing where none is without."""
    for heading in layout.fields.get("time", ()):
        if options.tz is None and heading in sample and has_local(sample[heading]):
            return (f"times without a zone taken as {layout.zone or 'UTC'}",)
    return ()


def _day_first(frame: pl.LazyFrame, cell: pl.Expr) -> bool | None:
    """Whether 03/04/2024 is in April, told by the rest of its column; None if that is silent."""
    first, second = first_and_second(cell)
    days = frame.select(first=first > 12, second=second > 12).collect(engine="streaming").row(0)
    return {(True, False): True, (False, True): False}.get(days)


def _first(reader: Reader, found: Iterable[pl.Expr]) -> pl.Expr:
    """What the first of several cells says that says something; null without any."""
    return pl.coalesce(*map(reader, found), pl.lit(None))
