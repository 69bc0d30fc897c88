"""Tell events of messages that were sent from those of messages that nobody sent."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import polars as pl

from bouncekit.conform import conformed
from bouncekit.errors import BouncekitError
from bouncekit.read.files import unmapped
from bouncekit.schema import BOUNCES, Category, Event

Sent = pl.DataFrame | pl.LazyFrame | str | PathLike[str] | Sequence[str | PathLike[str]]

# Headings of a sent list, in small letters without marks.
HEADINGS = {
    "recipient": "recipient originalrecipient recipientaddress recipientemail email emailaddress "
    "address mail to toaddress toemail rcpt rcptto subscriber subscriberemail contact contactemail",
    "message_id": "messageid msgid smtpid smtpmessageid sgmessageid internetmessageid",
}
# The `source_class` of events read from mails: the others come from one's own server or service.
_WRITTEN_BY_ANYBODY = "^(?:dsn:|arf:|mail$)"
# What strangers can forge. Deliveries and opens come from one's own log, and a wish to leave the
# list is granted whoever asks.
FORGEABLE = ("bounce", "deferral", "complaint", "auto_reply", "dropped")


def match_sent(frame: pl.DataFrame | pl.LazyFrame, sent: Sent) -> pl.DataFrame | pl.LazyFrame:
    """Mark the events that match no sent message; gives a frame as eager or lazy as the one given.

    `sent` is a table of what was sent, or its file or files (CSV, Parquet, NDJSON; a plain list of
    addresses will do), with a column of recipients, of message ids, or both. An event matches if
    its message id was sent to its recipient (or to its `final_recipient`); where the event or the
    table has no ids, if its recipient is in the table. A bounce mail without an id matches nothing
    in a table with ids, since anybody can write one. Angle brackets and the case of addresses don't
    matter. What is marked already, such as by a signed return path, stays marked.

    Adds `unmatched` (Boolean). What is unmatched counts for nothing in offenders, incidents, alerts
    and decisions: it never removes an address. Raises BouncekitError for a file that cannot be read
    or has no such column, and for a frame without recipients.
    """
    lazy = conformed(frame)
    names = lazy.collect_schema().names()
    if "recipient" not in names:
        raise BouncekitError(
            "The frame has no column 'recipient'; read the export with bk.read() or rename it."
        )
    for name in ("message_id", "final_recipient", "source_class"):
        if name not in names:
            lazy = lazy.with_columns(pl.lit(None, BOUNCES[name]).alias(f"_{name}"))
        else:
            lazy = lazy.with_columns(pl.col(name).alias(f"_{name}"))
    keyed = lazy.with_columns(
        _id=_message_id("_message_id"),
        _to=_address("recipient"),
        _final=_address("_final_recipient"),
    )
    table = sent_messages(sent)
    known = table.collect_schema().names()
    matches = [pl.lit(False)]
    # A bounce mail quotes the message: one that names no id, where ids are known, proves nothing.
    has_id = pl.lit(False)
    if "message_id" in known:
        is_mail = pl.col("_source_class").str.contains(_WRITTEN_BY_ANYBODY).fill_null(False)
        has_id = pl.col("_id").is_not_null() | is_mail
    if "recipient" in known:
        for name in ("_to", "_final"):
            keyed = _hit(keyed, table, {name: "recipient"}, f"_in{name}")
            matches.append(pl.col(f"_in{name}") & ~has_id)
    if "message_id" in known:
        keys = [{"_id": "message_id", name: "recipient"} for name in ("_to", "_final")]
        for number, on in enumerate(keys if "recipient" in known else [{"_id": "message_id"}]):
            keyed = _hit(keyed, table, on, f"_pair{number}")
            matches.append(pl.col(f"_pair{number}"))
    before = pl.col("unmatched").fill_null(False) if "unmatched" in names else pl.lit(False)
    marked = keyed.with_columns(unmatched=before | ~pl.any_horizontal(matches)).select(
        *(name for name in names if name != "unmatched"), "unmatched"
    )
    return marked.collect(engine="streaming") if isinstance(frame, pl.DataFrame) else marked


def sent_messages(sent: Sent) -> pl.LazyFrame:
    """Give recipient and message_id (String, what there is of them) of what was sent.

    Raises BouncekitError for a file that cannot be read and a table that has neither.
    """
    if isinstance(sent, str | PathLike):
        sent = [sent]
    if isinstance(sent, pl.DataFrame | pl.LazyFrame):
        return _columns(sent.lazy(), "The sent list")
    tables = [_columns(_scanned(Path(path)), str(path)) for path in sent]
    if not tables:
        raise BouncekitError("There is no sent list; give a table or a file.")
    shared = set.intersection(*(set(table.collect_schema().names()) for table in tables))
    if not shared:
        raise BouncekitError(
            "One sent list has only recipients, another only message ids; give them one by one."
        )
    return pl.concat(table.select(sorted(shared)) for table in tables)


def without_unmatched(lazy: pl.LazyFrame) -> pl.LazyFrame:
    """Make unmatched events count for nothing; a frame that was not compared stays as it is.

    Their recipients stay in the frame: nothing is lost, and nobody is charged.
    """
    if "unmatched" not in lazy.collect_schema().names():
        return lazy
    is_void = pl.col("unmatched").fill_null(False) & pl.col("event").is_in(FORGEABLE)
    return lazy.with_columns(
        event=pl.when(is_void).then(pl.lit("unreadable", Event)).otherwise("event"),
        category=pl.when(is_void).then(pl.lit("unclassified", Category)).otherwise("category"),
    )


def tell_unmatched(decisions: pl.DataFrame, frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Add to `because` how many events of a recipient match nothing that was sent."""
    lazy = frame.lazy()
    if "unmatched" not in lazy.collect_schema().names():
        return decisions
    counted = (
        lazy.filter(pl.col("unmatched") & pl.col("event").is_in(FORGEABLE))
        .group_by("recipient")
        .agg(_unmatched=pl.len())
    )
    said = pl.format(
        " {} for it {} no message that you sent, and so {} for nothing.",
        pl.when(pl.col("_unmatched") == 1)
        .then(pl.lit("1 event"))
        .otherwise(pl.format("{} events", "_unmatched")),
        pl.when(pl.col("_unmatched") == 1).then(pl.lit("matches")).otherwise(pl.lit("match")),
        pl.when(pl.col("_unmatched") == 1).then(pl.lit("counts")).otherwise(pl.lit("count")),
    ).fill_null("")
    return (
        decisions.lazy()
        .join(counted, on="recipient", how="left", maintain_order="left")
        .with_columns(because=pl.col("because") + said)
        .drop("_unmatched")
        .collect(engine="streaming")
    )


def unmatched(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Report the events that match nothing that was sent: forged, or missing from the sent list.

    Takes a classified frame that `match_sent` has marked, or `read` with a key for return paths. A
    row per event, category and provider (a recipient's domain where it has no name): event,
    category, provider · events, recipients (UInt32) · share (Float64: of all such events) ·
    first_seen, last_seen (Datetime). Most events first. A share of 100 % that begins in one hour
    is a forger's; a small one in every category is a sent list with gaps. Raises BouncekitError for
    a frame that was not marked.
    """
    if "unmatched" not in frame.collect_schema().names():
        raise BouncekitError(
            "The frame has no column 'unmatched'; compare it with match_sent(frame, sent) first."
        )
    domain = pl.col("recipient").str.extract(r"@([^@]*)$").str.to_lowercase()
    keys = ["event", "category", "provider"]
    return (
        conformed(frame)
        .filter(pl.col("event").is_in(FORGEABLE))
        .with_columns(provider=pl.coalesce("provider", domain))
        .group_by(keys)
        .agg(
            events=pl.col("unmatched").sum(),
            recipients=pl.col("recipient").filter("unmatched").n_unique(),
            share=pl.col("unmatched").mean(),
            first_seen=pl.col("time").filter("unmatched").min(),
            last_seen=pl.col("time").filter("unmatched").max(),
        )
        .filter(pl.col("events") > 0)
        .sort("events", *keys, descending=[True, False, False, False])
        .collect(engine="streaming")
    )


def _hit(events: pl.LazyFrame, table: pl.LazyFrame, on: dict[str, str], name: str) -> pl.LazyFrame:
    """Add `name`: true where the events' columns hold a row of the table's columns."""
    keys = table.select(pl.col(theirs).alias(ours) for ours, theirs in on.items())
    known = keys.drop_nulls().unique().with_columns(pl.lit(True).alias(name))
    joined = events.join(known, on=[*on], how="left", maintain_order="left")
    return joined.with_columns(pl.col(name).fill_null(False))


def _columns(table: pl.LazyFrame, place: str) -> pl.LazyFrame:
    names = table.collect_schema().names()
    plain = {"".join(c for c in name.lower() if c.isalnum()): name for name in reversed(names)}
    found = {
        column: next((plain[heading] for heading in headings.split() if heading in plain), None)
        for column, headings in HEADINGS.items()
    }
    clean = {"recipient": _address, "message_id": _message_id}
    columns = {column: clean[column](name) for column, name in found.items() if name is not None}
    if not columns:
        shown = ", ".join(" ".join(name.split()) for name in names[:8])
        raise BouncekitError(
            f"{place}: has no column of recipients or message ids (its columns: {shown}); name "
            "one 'recipient' or 'message_id'."
        )
    return table.select(**columns)


def _scanned(path: Path) -> pl.LazyFrame:
    kind = next((s for s in reversed(path.suffixes) if s not in (".gz", ".zst")), "").lower()
    try:
        if kind == ".parquet":
            return pl.scan_parquet(path, glob=False)
        if kind in (".ndjson", ".jsonl"):
            return pl.scan_ndjson(unmapped(path), infer_schema_length=None)
        # In other encodings the addresses can be read, and only they count.
        head = pl.read_csv(
            path,
            has_header=False,
            infer_schema=False,
            n_rows=1,
            encoding="utf8-lossy",
            glob=False,
        )
        if head.is_empty():
            raise BouncekitError(f"{path}: the sent list is empty; export it again.")
        comma = max(",;\t", key=str(head.item(0, 0)).count) if head.width == 1 else ","
        # A list of addresses alone has no headings.
        is_list = any("@" in str(cell) for cell in head.row(0)) and comma == ","
        table = pl.scan_csv(
            path,
            has_header=not is_list,
            infer_schema=False,
            separator=comma,
            encoding="utf8-lossy",
            glob=False,
        )
        table.select(pl.all().count()).collect(engine="streaming")  # tells what is broken, if it is
        names = table.collect_schema().names()
        return table.rename({names[0]: "recipient"}) if is_list else table
    except (OSError, pl.exceptions.PolarsError) as problem:
        reason = (str(problem).splitlines() or ["no reason given"])[0]
        raise BouncekitError(f"{path}: not readable as a sent list ({reason}).") from None


def _address(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars(" \t<>").str.to_lowercase()


def _message_id(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars(" \t<>").replace("", None)
