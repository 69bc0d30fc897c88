"""Haraka: `[NOTICE] [<uuid>.1.1] [outbound] recipient <ann@example.org> rejected: 550 ...`.

What the lines say: outbound/hmail.js, connection.js and logger.js of https://haraka.github.io. Only
refused recipients are named where mail goes out; who was delivered, or bounced with the whole mail,
is told by the lines of the same transaction where it came in.
"""

import polars as pl

from bouncekit.read.logs.lines import as_events, with_domain_lowered
from bouncekit.read.logs.stamps import STAMP

_UUID = r"([0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}(?:\.\d+)+)"
# Two of its formats: `[LEVEL] [uuid] [source] message`, and `level=LEVEL uuid=... message="..."`.
LINE = rf"\[[A-Z]+\] \[{_UUID}\] \[|\blevel=[A-Z]+ uuid={_UUID} source="
_FRAME = (
    rf"(?:\[[A-Z]+\] \[|\blevel=[A-Z]+ uuid=){_UUID.replace('(', '(?P<uuid>', 1)}"
    r"(?:\] \[| source=)(?P<origin>[\w/.-]+)\]? (?:message=)?(?P<said>.*)$"
)
_REFUSED = r"^recipient <(?P<recipient>[^>]*)> (?P<event>rejected|deferred): (?P<reply>.*)$"
_EVENTS = {"rejected": "bounce", "deferred": "deferral"}
# What befalls a mail as a whole: `bouncing mail: ...`, `Temp failing <file> for 64 seconds: ...`.
_WHOLE = r"^(?:(?P<bounce>[Bb]ouncing mail)|Temp failing \S+ for [\d.]+ seconds): (?P<reply>.*)$"
_MEMBER = ["uuid", "recipient"]


def events(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give the events of a frame of line (UInt32) and text (String), one per delivery attempt.

    A mail whose recipients the log does not name gives one event without a recipient.
    """
    told = _told(lines)
    outbound = told.filter(pl.col("origin") == "outbound").drop("origin")
    members = _members(told)
    refused = _refused(outbound)
    ended = _ended(outbound)
    delivered = _delivered(ended, members, refused)
    whole = _whole(outbound, members, refused, delivered)
    hosts = outbound.select(
        "uuid", "line", ip=pl.col("said").str.extract(r"^Attempting to deliver to: (\S+):\d+")
    ).drop_nulls("ip")
    return as_events(
        pl.concat([refused, delivered, whole], how="diagonal")
        .join(members, on=_MEMBER, how="left")
        # <>: a bounce message of our own
        .filter(pl.col("sender").fill_null("?") != "")
        .sort("line")
        .join_asof(hosts.sort("line"), on="line", by="uuid", check_sortedness=False)
        .with_columns(
            recipient=with_domain_lowered("recipient"),
            remote_mta=pl.coalesce("host", "ip"),
        )
    )


def _told(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Give line, stamp, uuid (of a mail), origin (who speaks) and said."""
    text = pl.col("text")
    frame = pl.col("frame").struct.field
    said = pl.col("said")
    quoted = said.str.extract(r'^"(.*)"$').pipe(_unescaped)
    return (
        lines.filter(text.str.contains(LINE))
        .select("line", stamp=text.str.extract(STAMP), frame=text.str.extract_groups(_FRAME))
        .select("line", "stamp", *(frame(name) for name in ("uuid", "origin", "said")))
        .with_columns(said=pl.coalesce(quoted, said))
    )


def _unescaped(quoted: pl.Expr) -> pl.Expr:
    return quoted.str.replace_all('\\"', '"', literal=True)


def _members(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give who gets each mail: uuid, recipient, sender, message_id.

    A transaction that came in as `<uuid>.1` goes out as `<uuid>.1.1`, `<uuid>.1.2`: one for each
    domain. Where nothing tells which of several domains a mail went to, nobody is charged with it.
    """
    said = pl.col("said")
    taken = (
        told.filter(pl.col("origin") == "core", said.str.starts_with("recipient <"))
        .select(
            transaction="uuid",
            recipient=said.str.extract("^recipient <([^>]*)>"),
            refused=said.str.contains(r"\bcode=DENY"),
            sender=said.str.extract(r'\bsender="?<?([^">\s]*)'),
        )
        .filter(~pl.col("refused"))
        .drop("refused")
        .with_columns(domain=pl.col("recipient").str.extract("@([^@]*)$").str.to_lowercase())
        .with_columns(is_only_domain=pl.col("domain").n_unique().over("transaction") == 1)
    )
    message = told.filter(pl.col("origin") == "core").select(
        transaction="uuid", message_id=said.str.extract(r"^message mid=\"?<([^>]*)>")
    )
    outbound = (
        told.filter(pl.col("origin") == "outbound")
        .select("uuid", transaction=pl.col("uuid").str.replace(r"\.\d+$", ""))
        .unique()
    )
    domains = _of_whom(told)
    return (
        outbound.join(domains, on="uuid", how="left")
        .join(taken, on="transaction")
        .filter((pl.col("domain") == pl.col("to_domain")).fill_null(pl.col("is_only_domain")))
        .join(message.drop_nulls().unique("transaction"), on="transaction", how="left")
        .select("uuid", "recipient", "sender", "message_id")
        .unique(_MEMBER)
    )


def _of_whom(told: pl.LazyFrame) -> pl.LazyFrame:
    """Give the domain that a mail goes to, as far as its lines name one: uuid, to_domain."""
    said = pl.col("said")
    named = pl.coalesce(
        said.str.extract(r"^recipient <[^>]*@([^>@]+)> (?:rejected|deferred): "),
        said.str.extract(r'^delivered .*?\bdomain="?([^"\s]+)'),
        said.str.extract(r"\bDomain (\S+) sends and receives no email"),
        said.str.extract(r"(?:No Such Domain|for domain|No MX for|MX Lookup for):? (\S+)"),
    )
    return (
        told.filter(pl.col("origin") == "outbound")
        .select("uuid", to_domain=named.str.to_lowercase())
        .drop_nulls("to_domain")
        .unique("uuid", keep="first", maintain_order=True)
    )


def _refused(outbound: pl.LazyFrame) -> pl.LazyFrame:
    said = pl.col("refused").struct.field
    return (
        outbound.select(
            "line", "stamp", "uuid", refused=pl.col("said").str.extract_groups(_REFUSED)
        )
        .filter(said("event").is_not_null())
        .select(
            "line",
            "stamp",
            "uuid",
            recipient=said("recipient"),
            event=said("event").replace_strict(_EVENTS, return_dtype=pl.String),
            reply=said("reply"),
        )
    )


def _ended(outbound: pl.LazyFrame) -> pl.LazyFrame:
    """Give the attempts that delivered to somebody: how many were put off in them, and the rest."""
    said = pl.col("said")
    return outbound.filter(said.str.starts_with("delivered file=")).select(
        "line",
        "stamp",
        "uuid",
        host=said.str.extract(r'\bhost="?([^"\s]+)'),
        reply=said.str.extract(r'\bresponse="((?:[^"\\]|\\.)*)"').pipe(_unescaped),
        put_off=said.str.extract(r"\brcpts=\d+/(\d+)/").cast(pl.UInt32),
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
        ended.join(members.select(_MEMBER), on="uuid", how="left")
        .sort("line")
        .join_asof(last.sort("line"), on="line", by=_MEMBER, check_sortedness=False)
        .filter(~missed.fill_null(False))
        .filter(pl.col("recipient").is_null() | pl.struct(_MEMBER).is_first_distinct())
        .select("line", "stamp", *_MEMBER, "host", "reply", event=pl.lit("delivery"))
    )


def _whole(
    outbound: pl.LazyFrame, members: pl.LazyFrame, refused: pl.LazyFrame, delivered: pl.LazyFrame
) -> pl.LazyFrame:
    """Give what befell a mail as a whole, for each recipient who was still waiting for it."""
    said, reply = pl.col("whole").struct.field, pl.col("reply")
    bounced = pl.col("bounce").is_not_null()
    told = (
        outbound.select("line", "stamp", "uuid", whole=pl.col("said").str.extract_groups(_WHOLE))
        .select("line", "stamp", "uuid", said("bounce"), said("reply"))
        .drop_nulls("reply")
        # These were named one by one before.
        .filter(~reply.str.contains(r"^Some recipients (?:temp )?failed: "))
        .with_columns(reply=reply.str.replace(r"^Too many failures \((.*)\)$", "$1"))
        .with_columns(reply=reply.str.replace("^Upstream error: ", ""))
    )
    known = refused.select(*_MEMBER, "line", was="event", refusal="reply")
    done = delivered.select(*_MEMBER, delivered_at="line").drop_nulls("recipient")
    return (
        told.join(members.select(_MEMBER), on="uuid", how="left")
        .join(done, on=_MEMBER, how="left")
        .filter((pl.col("delivered_at") > pl.col("line")).fill_null(True))
        .sort("line")
        .join_asof(known.sort("line"), on="line", by=_MEMBER, check_sortedness=False)
        .filter((pl.col("was") != "bounce").fill_null(True))
        .select(
            "line",
            "stamp",
            *_MEMBER,
            event=pl.when(bounced).then(pl.lit("bounce")).otherwise(pl.lit("deferral")),
            reply=pl.when(reply.str.starts_with("Some recipients temp failed: "))
            .then(pl.coalesce("refusal", "reply"))
            .otherwise("reply"),
        )
    )
