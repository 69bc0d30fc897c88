"""Haraka: `[NOTICE] [<uuid>.1.1] [outbound] recipient <ann@example.org> rejected: 550 ...`.

What the lines say: outbound/hmail.js, connection.js and logger.js of https://haraka.github.io. Only
refused recipients are named where mail goes out; who was delivered, or bounced with the whole mail,
is told by the lines of the same transaction where it came in.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import stamp_of

_UUID = r"([0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}(?:\.\d+)+)"
# Its three formats: `[LEVEL] [uuid] [source] message`, `level=LEVEL uuid=... message="..."` and
# `{"level":"LEVEL","uuid":"...","message":"..."}`.
LINE = (
    rf"\[[A-Z]+\] \[{_UUID}\] \[|\blevel=[A-Z]+ uuid={_UUID} (?:source|origin)="
    rf'|\{{"level":"[A-Z]+","uuid":"{_UUID}",'
)
_FRAME = (
    rf"(?:\[[A-Z]+\] \[|\buuid=)\"?{_UUID.replace('(', '(?P<uuid>', 1)}"
    r'(?:\] \[|"? (?:source|origin)="?)(?P<origin>[\w/.-]+)(?:\] |"? message=)'
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)")?(?P<said>.*)$'
)
_REFUSED = r"^recipient <(?P<recipient>[^>]*)> (?P<event>rejected|deferred): (?P<reply>.*)$"
_EVENTS = {"rejected": "bounce", "deferred": "deferral"}
# What befalls a mail as a whole: `bouncing mail: ...`, `Temp failing <file> for 64 seconds: ...`.
_WHOLE = r"^(?:(?P<bounce>[Bb]ouncing mail)|Temp failing \S+ for [\d.]+ seconds): (?P<reply>.*)$"
_MEMBER = ["uuid", "recipient"]
# What counts of what Haraka's plugins and core say
_COUNTS = r"\boutbound\b|recipient <|\bmid\b"

# `<uuid>.1` came in, and goes out as `<uuid>.1.1`, `<uuid>.1.2`: one for each domain.
_TRANSACTION = r"([0-9A-F-]{36}\.\d+)"


def told(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines that tell of mails, with `key`, the transaction in which each came in."""
    text = pl.col("text")
    ours = lines.filter(text.str.contains(LINE) & text.str.contains(_COUNTS))
    return ours.with_columns(key=text.str.extract(_TRANSACTION))


def waiting(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the lines of transactions of which a recipient still waits.

    Where a mail came in is in no log: those of mails that neither bounced nor were delivered.
    Transactions that were refused in the end stay until CARRIED_LINES later ones have come.
    """
    spoken = _once(_spoken(told))
    outbound = spoken.filter(pl.col("origin") == "outbound")
    ends = _happened(spoken).filter(pl.col("event").is_in(["bounce", "delivery"]))
    done = ends.select("key", "recipient")
    taken = _taken(spoken)
    open_keys = taken.join(done, on=["key", "recipient"], how="anti").select("key").unique()
    known = taken.select("key").unique()
    said = pl.col("said")
    is_over = said.str.contains(r"^[Bb]ouncing mail: |^delivered .*\brcpts=\"?\d+/0/")
    over = outbound.filter(is_over).select("uuid").unique()
    unknown = outbound.join(known, on="key", how="anti").join(over, on="uuid", how="anti")
    of_open = told.join(open_keys, on="key", how="semi").select("line")
    needed = pl.concat([of_open, unknown.select("line")])
    return told.join(needed, on="line", how="semi", maintain_order="left")


def events(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events, one per delivery attempt.

    A mail whose recipients the log does not name gives one event without a recipient.
    """
    spoken = _once(_spoken(told))
    hosts = spoken.filter(pl.col("origin") == "outbound").select(
        "uuid", "line", ip=pl.col("said").str.extract(r"^Attempting to deliver to: (\S+):\d+")
    )
    who = _members(spoken).select(*_MEMBER, "sender", "message_id").unique(_MEMBER)
    return as_events(
        _happened(spoken)
        .join(who, on=_MEMBER, how="left", maintain_order="left")
        # <>: a bounce message of our own
        .filter(pl.col("sender").fill_null("?") != "")
        .sort("line", maintain_order=True)
        .join_asof(
            hosts.drop_nulls("ip").sort("line"), on="line", by="uuid", check_sortedness=False
        )
        .with_columns(
            recipient=with_domain_lowered("recipient"),
            remote_mta=pl.coalesce("host", "ip"),
        )
    )


def _once(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Work out a frame that is asked for several times; it is no longer than its block."""
    return frame.collect().lazy()


def _happened(spoken: pl.LazyFrame) -> pl.LazyFrame:
    """Give what became of whom: line, key, stamp, uuid, recipient, event, reply, host."""
    outbound = spoken.filter(pl.col("origin") == "outbound").drop("origin")
    members, refused = _once(_members(spoken)), _once(_refused(outbound))
    delivered = _once(_delivered(_ended(outbound), members, refused))
    whole = _whole(outbound, members, refused, delivered)
    return pl.concat([refused, delivered, whole], how="diagonal")


def _spoken(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give line, key, stamp, uuid (of a mail), origin (who speaks) and said."""
    text = pl.col("text")
    frame = pl.col("frame").struct.field
    # JSON in the form of the others: `,"host":"mx.example.org"` becomes ` host="mx.example.org"`.
    plain = text.str.replace_all(r',"(\w+)":', " $1=")
    written = pl.when(text.str.contains('{"level":', literal=True)).then(plain).otherwise(text)
    said = pl.concat_str(frame("quoted").fill_null("").pipe(_unescaped), frame("said"))
    return told.select(
        "line", "key", stamp=stamp_of(text), frame=written.str.extract_groups(_FRAME)
    ).select(
        "line", "key", "stamp", frame("uuid"), frame("origin"), said=said.str.strip_suffix("}")
    )


def _unescaped(quoted: pl.Expr) -> pl.Expr:
    return quoted.str.replace_all(r'\\(["\\])', "$1")


def _taken(spoken: pl.LazyFrame) -> pl.LazyFrame:
    """Give who was taken in each transaction: key, recipient, sender, domain."""
    said = pl.col("said")
    core = spoken.filter(pl.col("origin") == "core", said.str.starts_with("recipient <"))
    return (
        core.filter(~said.str.contains(r"\bcode=\"?DENY"))
        .select(
            "key",
            taken_at="line",
            recipient=said.str.extract("^recipient <([^>]*)>"),
            sender=said.str.extract(r'\bsender="?<?([^">\s]*)'),
        )
        .with_columns(domain=pl.col("recipient").str.extract("@([^@]*)$").str.to_lowercase())
    )


def _members(spoken: pl.LazyFrame) -> pl.LazyFrame:
    """Give who may get each mail: uuid, recipient, sender, message_id, what `_charged` asks for."""
    said = pl.col("said")
    message = spoken.filter(pl.col("origin") == "core").select(
        "key", message_id=said.str.extract(r"^message mid=\"?<([^>]*)>")
    )
    outbound = spoken.filter(pl.col("origin") == "outbound").select("uuid", "key").unique()
    is_only_domain = pl.col("domain").n_unique().over("key") == 1
    return (
        outbound.join(_of_whom(spoken), on="uuid", how="left")
        .join(_taken(spoken).with_columns(is_only_domain=is_only_domain), on="key")
        .join(message.drop_nulls().unique("key"), on="key", how="left")
    )


def _of_whom(spoken: pl.LazyFrame) -> pl.LazyFrame:
    """Give the domain that each mail goes to: uuid, to_domain, and named_at, a line number."""
    said = pl.col("said")
    named = pl.coalesce(
        said.str.extract(r"^recipient <[^>]*@([^>@]+)> (?:rejected|deferred): "),
        said.str.extract(r'^delivered .*?\bdomain="?([^"\s]+)'),
        said.str.extract(r"\bDomain (\S+) sends and receives no email"),
        said.str.extract(r"(?:No Such Domain|for domain|No MX for|MX Lookup for):? (\S+)"),
    )
    return (
        spoken.filter(pl.col("origin") == "outbound")
        .select("uuid", to_domain=named.str.to_lowercase(), named_at="line")
        .drop_nulls("to_domain")
        .unique("uuid", keep="first", maintain_order=True)
    )


def _charged(happened: pl.LazyFrame, members: pl.LazyFrame) -> pl.LazyFrame:
    """Give what happened to a mail for each of its recipients, once without where none is known.

    Where no line so far names which of several domains it went to, nobody is charged with it.
    """
    is_named = (pl.col("named_at") <= pl.col("line")).fill_null(False)
    is_theirs = pl.col("domain") == pl.col("to_domain")
    is_charged = pl.when(is_named).then(is_theirs).otherwise("is_only_domain")
    named = happened.join(members, on="uuid").filter(is_charged).sort("line", "taken_at")
    columns = [*happened.collect_schema(), "recipient"]
    whose = named.select(columns).unique(["line", "recipient"], maintain_order=True)
    nobodys = happened.join(whose, on="line", how="anti")
    return pl.concat([whose, nobodys], how="diagonal").sort("line", maintain_order=True)


def _refused(outbound: pl.LazyFrame) -> pl.LazyFrame:
    said = pl.col("refused").struct.field
    return (
        outbound.select(
            "line", "key", "stamp", "uuid", refused=pl.col("said").str.extract_groups(_REFUSED)
        )
        .filter(said("event").is_not_null())
        .select(
            *("line", "key", "stamp", "uuid"),
            recipient=said("recipient"),
            event=said("event").replace_strict(_EVENTS, return_dtype=pl.String),
            reply=said("reply"),
        )
    )


def _ended(outbound: pl.LazyFrame) -> pl.LazyFrame:
    """Give the attempts that delivered to somebody: how many were put off in them, and the rest."""
    said = pl.col("said")
    return outbound.filter(said.str.contains(r"^delivered file=")).select(
        *("line", "key", "stamp", "uuid"),
        host=said.str.extract(r'\bhost="?([^"\s]+)'),
        reply=said.str.extract(r'\bresponse="((?:[^"\\]|\\.)*)"').pipe(_unescaped),
        put_off=said.str.extract(r'\brcpts="?\d+/(\d+)/').cast(pl.UInt32),
        attempt=pl.col("line").rank("ordinal").over("uuid"),
    )


def _delivered(ended: pl.LazyFrame, members: pl.LazyFrame, refused: pl.LazyFrame) -> pl.LazyFrame:
    """Give a delivery for each of a mail's recipients who were not refused in the same attempt."""
    before = refused.sort("line").join_asof(
        ended.select("uuid", "line", done="attempt").sort("line"),
        on="line",
        by="uuid",
        check_sortedness=False,
    )
    last = before.select(*_MEMBER, "line", was="event", of_attempt=pl.col("done").fill_null(0) + 1)
    same_attempt = (pl.col("of_attempt") == pl.col("attempt")) & (pl.col("put_off") > 0)
    missed = (pl.col("was") == "bounce") | same_attempt
    return (
        _charged(ended, members)
        .join_asof(last.sort("line"), on="line", by=_MEMBER, check_sortedness=False)
        .filter(~missed.fill_null(False))
        .filter(pl.col("recipient").is_null() | pl.struct(_MEMBER).is_first_distinct())
        .select("line", "key", "stamp", *_MEMBER, "host", "reply", event=pl.lit("delivery"))
    )


def _whole(
    outbound: pl.LazyFrame, members: pl.LazyFrame, refused: pl.LazyFrame, delivered: pl.LazyFrame
) -> pl.LazyFrame:
    """Give what befell a mail as a whole, for each recipient who was still waiting for it."""
    said, reply = pl.col("whole").struct.field, pl.col("reply")
    befell = (
        outbound.select(
            "line", "key", "stamp", "uuid", whole=pl.col("said").str.extract_groups(_WHOLE)
        )
        .select("line", "key", "stamp", "uuid", said("bounce"), said("reply"))
        .drop_nulls("reply")
        # These were named one by one before.
        .filter(~reply.str.contains(r"^Some recipients (?:temp )?failed: "))
        .with_columns(reply=reply.str.replace(r"^Too many failures \((.*)\)$", "$1"))
        .with_columns(reply=reply.str.replace("^Upstream error: ", ""))
    )
    known = refused.select(*_MEMBER, "line", was="event", refusal="reply")
    done = delivered.select(*_MEMBER, delivered_at="line").drop_nulls("recipient")
    return (
        _charged(befell, members)
        .join(done, on=_MEMBER, how="left", maintain_order="left")
        .filter((pl.col("delivered_at") > pl.col("line")).fill_null(True))
        .join_asof(known.sort("line"), on="line", by=_MEMBER, check_sortedness=False)
        .filter((pl.col("was") != "bounce").fill_null(True))
        .select(
            *("line", "key", "stamp"),
            *_MEMBER,
            event=pl.when(pl.col("bounce").is_not_null())
            .then(pl.lit("bounce"))
            .otherwise(pl.lit("deferral")),
            reply=pl.when(reply.str.starts_with("Some recipients temp failed: "))
            .then(pl.coalesce("refusal", "reply"))
            .otherwise("reply"),
        )
    )
