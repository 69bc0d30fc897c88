"""Read any table of bounces into the bounces frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from bouncekit.batches import rest, where
from bouncekit.files import with_formulas
from bouncekit.read import cells
from bouncekit.read.bounds import check_columns
from bouncekit.read.containers import LINE, RAW, Table, open_parquet
from bouncekit.read.delimited import open_csv, open_excel
from bouncekit.read.files import NotOursError, Peek
from bouncekit.read.layouts import (
    KEYED,
    NOT_SET,
    Layout,
    Options,
    clipped,
    fold,
    known_headings,
    recognise,
)
from bouncekit.read.objects import open_bodies, open_json, open_ndjson, within
from bouncekit.read.spread import spread
from bouncekit.read.times import (
    CLOCK,
    SLASHED,
    has_local,
    instant,
    proofs,
    told,
    typed_forms,
    usual_time,
)
from bouncekit.schema import BOUNCES, EVENTS

Found = Mapping[str, list[pl.Expr]]  # column of the bounces frame -> cells that may fill it
Reader = Callable[[pl.Expr], pl.Expr]
TEXT = pl.String()

# Columns that exist between the steps of `bounces`.
RECIPIENT, REPLY = pl.col("__recipient"), pl.col("__reply")
LOST, EVENT, PLACE = pl.col("__lost"), pl.col("__event"), pl.col("__place")

# What is to be told of dates such as 03/04/2024, by whether their day comes first.
ORDERS = {
    True: "day before month in dates such as 03/04/2024",
    False: "month before day in dates such as 03/04/2024",
    None: "dates such as 03/04/2024 left out, as nothing tells day from month: map time_format",
}
# Events of which the word says more than they do.
TELLING = pl.Series(["bounce", "dropped", "none"], dtype=cells.Told)
# Words that only repeat what the event says, and so are no verdict of the service.
PLAIN_WORDS = ("bounce", "bounced")


def open_table(kind: str, path: Path, peek: Peek, *, mended: bool) -> Table:
    """A table of the kind `csv`, `excel`, `ndjson`, `json`, `form`, `python` or `parquet`."""
    if kind == "json":
        return open_json(path, peek, known_headings, mended=mended)
    if kind == "ndjson":
        return open_ndjson(path, peek, known_headings, mended=mended)
    if kind in ("form", "python"):
        return open_bodies(kind, path, peek, known_headings, mended=mended)
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
    table, sample, layout = _recognised(table, path, options)
    if layout.own and table.kind == "csv":  # written by `classify -o`, formulas quoted
        table = replace(table, cells={h: with_formulas(cell) for h, cell in table.cells.items()})
    as_written = {**table.later, **table.cells}
    table, known = spread(table, layout)
    found = {c: [known[h] for h in headings] for c, headings in layout.fields.items() if headings}
    time, dates = _time(table, layout, known, sample, options)
    columns = {
        "time": time,
        "event": _told_event(),
        "recipient": RECIPIENT,
        "reply": _if_lost([REPLY, *_record(table)], _whole, TEXT),
        "source_class": _verdict(found, layout),
        **_codes(found),
        **_texts(found, layout),
        **_place(table, layout, path),
    }
    # Each step's columns are read many times by the next: as expressions Polars would
    # evaluate some of them over and over.
    frame = (
        table.frame.with_columns(
            __recipient=_recipient(found, layout),
            __reply=_reply(found, table),
            __place=cells.place(found["event"][0], layout.words) if "event" in found else None,
        )
        .with_columns(__event=_event(found, layout, as_written))
        .with_columns(__lost=_is_lost(table, layout))
        .select(columns[column].cast(dtype).alias(column) for column, dtype in BOUNCES.items())
    )
    inferred = (
        *_inferred_columns(layout, sample),
        *_inferred_zone(layout, sample, options),
        *dates,
    )
    return layout, frame, (*table.notes, *inferred)


def _recognised(table: Table, path: Path, options: Options) -> tuple[Table, pl.DataFrame, Layout]:
    """A table, its first records and its layout; of one without addresses that of its cells."""
    sample = table.sample()
    try:
        return table, sample, recognise(table, sample, path, options)
    except NotOursError:
        inner = None if options.mapping else within(table, sample, known_headings)
        if inner is None:
            raise
    sample = inner.sample()
    return inner, sample, recognise(inner, sample, path, options)


def _recipient(found: Found, layout: Layout) -> pl.Expr:
    if layout.own:
        return found["recipient"][0]
    named = _first(cells.address, found.get("recipient", ()))
    if "original_recipient" not in found:
        return named
    originally = found["original_recipient"][0]
    return where([named, originally], _second_is_filled, _second_address, TEXT)


def _second_is_filled(_: pl.Expr, cell: pl.Expr, *others: pl.Expr) -> pl.Expr:
    return cell.is_not_null() & (cell != "")


def _second_address(named: pl.Expr, cell: pl.Expr) -> pl.Expr:
    return pl.coalesce(cells.address(cell), named)


def _final_recipient(found: Found) -> pl.Expr:
    """The address that a mail was forwarded to, where it is another than the recipient."""
    if "original_recipient" not in found:
        return _first(cells.address, found.get("final_recipient", ()))

    def other(_: pl.Expr, __: pl.Expr, recipient: pl.Expr, *named: pl.Expr) -> pl.Expr:
        final = pl.coalesce(map(cells.address, named))
        return pl.when(final != recipient).then(final)

    none, originally = pl.lit(None, TEXT), found["original_recipient"][0]
    given = [none, originally, RECIPIENT, *found["recipient"]]
    return where(given, _second_is_filled, other, TEXT)


def _is_lost(table: Table, layout: Layout) -> pl.Expr:
    """True for a record that is no event of anybody; bouncekit's own rows stay what they are."""
    is_raw = pl.col(RAW).is_not_null() if table.has_raw else pl.lit(False)
    if layout.own:
        return is_raw
    return is_raw | (RECIPIENT.is_null() & (EVENT != "none").fill_null(True))


def _record(table: Table) -> list[pl.Expr]:
    """Raw text of a record (null where it was split), and its cells."""
    raw = pl.col(RAW) if table.has_raw else pl.lit(None, TEXT)
    return [raw, *(pl.col(c).cast(pl.String) for c in table.columns)]


def _whole(_reply: pl.Expr, raw: pl.Expr, *record: pl.Expr) -> pl.Expr:
    """Raw text of a lost record, or its cells in a line."""
    return pl.coalesce(raw, pl.concat_str(record, separator=", ", ignore_nulls=True))


def _reply(found: Found, table: Table) -> pl.Expr:
    """The first reply that is not blank, as it was written; never null."""
    replies = found.get("reply", ())
    reader = cells.listed if table.kind in KEYED else cells.written
    return _first(reader, replies).fill_null("") if replies else pl.lit("")


def _event(found: Found, layout: Layout, known: Mapping[str, pl.Expr]) -> pl.Expr:
    """The event as text: `none` where a word says nothing about delivery, null if it is unknown.

    A table without events is one of bounces, and so is a record with a reply and no event.
    """
    said = found.get("event", [])
    if layout.marks:
        folded = {fold(heading): cell for heading, cell in known.items()}
        marks = [
            pl.when(_is_set(folded[fold(heading)])).then(pl.lit(event, cells.Told))
            for event, headings in layout.marks.items()
            for heading in headings
            if fold(heading) in folded
        ]
        return pl.coalesce(*marks, pl.lit("none", cells.Told))
    if layout.event or not said:
        return pl.lit(layout.event or "bounce", cells.Told)
    of_bounces = layout.service == "generic" and "bounce" in fold(layout.fields["event"][0])
    if len(said) == 1:
        events = cells.event_at(PLACE, said[0], layout.words)
    else:
        events = pl.coalesce(cells.event(cell, layout.words) for cell in said)
    unknown = partial(_unknown, of_bounces=of_bounces)
    return events if layout.own else rest(events, [REPLY, *said], unknown, cells.Told)


def _told_event() -> pl.Expr:
    """The event of the frame: null for those that say nothing about delivery."""
    known = pl.Series([*EVENTS, None], dtype=BOUNCES["event"])
    unreadable = pl.lit("unreadable", BOUNCES["event"])
    return _if_lost([cells.at(EVENT, known)], lambda _: unreadable, BOUNCES["event"])


def _if_lost(found: list[pl.Expr], reader: Callable[..., pl.Expr], dtype: pl.DataType) -> pl.Expr:
    """The first cell, but what `reader` makes of them all in a record that is lost."""
    return where(
        [*found, LOST], lambda *cells: cells[-1], lambda *cells: reader(*cells[:-1]), dtype
    )


def _unknown(reply: pl.Expr, *said: pl.Expr, of_bounces: bool) -> pl.Expr:
    """A bounce where no event is said, but a reply, or any word in a column of bounces."""
    is_silent = pl.all_horizontal(cells.text(cell).is_null() for cell in said)
    is_bounce = is_silent & (reply != "")
    if of_bounces:
        is_bounce |= pl.any_horizontal(_is_set(cell) for cell in said)
    return pl.when(is_bounce).then(pl.lit("bounce", cells.Told))


def _is_set(cell: pl.Expr) -> pl.Expr:
    """True for a cell that holds something but a no."""
    word = cell.str.strip_chars().str.to_lowercase()
    return word.is_not_null() & ~word.is_in(NOT_SET)


def _verdict(found: Found, layout: Layout) -> pl.Expr:
    """`service:verdict`: its own code, its class of bounce, or its word for the event."""
    classes = [cells.text(cell) for cell in found.get("source_class", ())]
    if layout.own:
        return pl.coalesce(*classes, pl.lit(None, TEXT))
    service = pl.lit(f"{layout.service}:")
    if layout.verdict:
        return service + layout.verdict
    codes = [cells.pseudo_code(cell) for cell in found.get("reply_code", ())]
    said = [pl.concat_str(service, verdict) for verdict in (*codes, *classes)]
    return pl.coalesce(*said, _verdict_of_word(found.get("event", ()), layout))


def _verdict_of_word(said: Sequence[pl.Expr], layout: Layout) -> pl.Expr:
    """The verdict where the word for the event is all there is: known words have theirs ready."""

    def verdict(word: pl.Expr, event: pl.Expr) -> pl.Expr:
        is_telling = event.is_null() | event.is_in(TELLING.implode())
        says_more = is_telling & ~word.str.to_lowercase().is_in(PLAIN_WORDS)
        return pl.concat_str(pl.lit(f"{layout.service}:"), pl.when(says_more).then(word))

    if layout.marks:  # no mark is set
        unmarked = pl.when(EVENT == "none").then(pl.lit(f"{layout.service}:none"))
        return pl.coalesce(verdict(_first(cells.text, said), EVENT), unmarked)
    if len(said) != 1 or layout.event:
        return verdict(_first(cells.text, said), EVENT)
    words, events = list(layout.words), list(layout.words.values())
    known = pl.DataFrame({"word": words, "event": pl.Series(events, dtype=cells.Told)})
    ready = known.select(verdict(pl.col("word"), pl.col("event"))).to_series()
    return where(
        [cells.at(PLACE, ready), said[0], EVENT, PLACE],
        lambda _, cell, event, place: place.is_null() & cell.is_not_null(),
        lambda _, cell, event, place: verdict(cells.text(cell), event),
        TEXT,
    )


def _codes(found: Found) -> dict[str, pl.Expr]:
    """Reply code and enhanced code: services put either into the column of the other."""
    coded = [*found.get("reply_code", ()), *found.get("enhanced_code", ())]
    enhanced = [*found.get("enhanced_code", ()), *found.get("reply_code", ())]
    return {
        "reply_code": _first(cells.reply_code, coded, BOUNCES["reply_code"]),
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
    texts = {
        column: _first(cells.text if layout.own else reader, found.get(column, ()))
        for column, reader in readers.items()
    }
    if layout.own:
        return texts
    texts["final_recipient"] = _final_recipient(found)
    hosts = [column for column in ("sending_ip", "remote_mta") if column in found]
    return texts | {column: _of_mail(texts[column]) for column in hosts}


def _of_mail(host: pl.Expr) -> pl.Expr:
    """The IP address or name of a host; of an open or click it is the reader's, and left out."""
    return where(
        [host, EVENT], lambda _, event: event == "engagement", lambda *_: pl.lit(None), TEXT
    )


def _place(table: Table, layout: Layout, path: Path) -> dict[str, pl.Expr]:
    """File and record number; bouncekit's own files remember those of the first reading."""
    source, line = pl.lit(str(path)), pl.col(LINE)
    if layout.own:
        was = {column: table.cells[column] for column in ("source", "line")}
        source = pl.coalesce(was["source"], source)
        line = pl.coalesce(was["line"].cast(pl.Int64, strict=False), line)
    return {"source": source, "line": line}


def _time(
    table: Table,
    layout: Layout,
    known: Mapping[str, pl.Expr],
    sample: pl.DataFrame,
    options: Options,
) -> tuple[pl.Expr, tuple[str, ...]]:
    """The time, and what is to be told of the order of its days and months."""
    zone = options.tz or layout.zone or "UTC"
    form = (options.mapping or {}).get("time_format", layout.time_format)
    headings = layout.fields.get("time", ())
    if form is not None:
        given = [known[heading] for heading in headings]
        return _first(lambda cell: told(cell, form, zone=zone), given, BOUNCES["time"]), ()
    known, sample = _with_clock(layout, known, sample)
    given = [known[heading] for heading in headings]
    forms, notes = [], []
    for heading in headings:
        seen = sample[heading] if heading in sample else pl.Series([], dtype=pl.String)
        day_first = None
        if seen.str.strip_chars().str.contains(SLASHED).any():
            day_first = _day_first(table.frame, known[heading])
            notes.append(ORDERS[day_first])
        forms.append(typed_forms(seen, day_first=day_first))

    def full(*left: pl.Expr) -> pl.Expr:
        times = zip(left, forms, strict=True)
        return pl.coalesce(instant(cell, typed, zone=zone) for cell, typed in times)

    usual = pl.lit(None, BOUNCES["time"])
    if headings and headings[0] in sample:
        usual = usual_time(given[0], sample[headings[0]], zone=zone)
    time = rest(usual, given, full, BOUNCES["time"]) if given else usual
    return time, tuple(dict.fromkeys(notes))


def _with_clock(
    layout: Layout, known: Mapping[str, pl.Expr], sample: pl.DataFrame
) -> tuple[Mapping[str, pl.Expr], pl.DataFrame]:
    """Cells and sample of a table that nobody described, its dates with their times of day.

    Some exports have a column for each.
    """
    date = next((h for h in layout.fields.get("time", ()) if h in sample), None)
    if layout.service != "generic" or date is None or sample[date].str.contains(":").any():
        return known, sample
    named = {heading for headings in layout.fields.values() for heading in headings}
    is_clock = pl.all().str.contains(CLOCK)
    told = sample.select(is_clock.any() & (is_clock | (pl.all() == "")).all()).row(0, named=True)
    clock = next((h for h, is_one in told.items() if is_one and h not in named), None)
    if clock is None:
        return known, sample

    def joined(cell: Callable[[str], pl.Expr]) -> pl.Expr:
        return pl.concat_str(cell(date), cell(clock).fill_null(""), separator=" ").alias(date)

    return {**known, date: joined(known.__getitem__)}, sample.with_columns(joined(pl.col))


def _inferred_columns(layout: Layout, sample: pl.DataFrame) -> tuple[str, ...]:
    """Which headings were taken for what, in a table that nobody described."""
    if layout.service != "generic":
        return ()
    seen = {c: [h for h in names if h in sample] for c, names in layout.fields.items()}
    taken = (f"{column} = {clipped(names)}" for column, names in seen.items() if names)
    return (", ".join(taken).replace(";", ","),)


def _inferred_zone(layout: Layout, sample: pl.DataFrame, options: Options) -> tuple[str, ...]:
    """What is to be told of times that name no zone; nothing where the zone is known."""
    if options.tz is not None or layout.zone == "UTC":
        return ()
    is_left = pl.lit(True)
    for heading in layout.fields.get("time", ()):
        if heading in sample:
            if has_local(sample.filter(is_left)[heading]):
                zone = (layout.zone or "UTC").replace("Etc/GMT+", "UTC-")  # whose signs are odd
                return (f"times without a zone taken as {zone}",)
            is_left &= cells.text(pl.col(heading)).is_null()
    return ()


def _day_first(frame: pl.LazyFrame, cell: pl.Expr) -> bool | None:
    """Whether 03/04/2024 is in April, told by the rest of its column; None if that is silent."""
    day, month = proofs(cell)
    proved = frame.select(day=day, month=month).collect(engine="streaming").row(0)
    return {(True, False): True, (False, True): False}.get(proved)


def _first(reader: Reader, found: Sequence[pl.Expr], dtype: pl.DataType = TEXT) -> pl.Expr:
    """What the first of several cells says that says something; null without any."""
    if not found:
        return pl.lit(None, dtype)
    cell, *others = found
    if not others:
        return reader(cell)
    return rest(reader(cell), others, lambda *cells: pl.coalesce(map(reader, cells)), dtype)
