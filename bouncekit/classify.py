"""Say why a message bounced, whose fault it is, and what made us say so."""

from os import PathLike
from typing import overload

import polars as pl

from bouncekit import reply as reply_text
from bouncekit import rules as knowledge
from bouncekit.errors import BouncekitError
from bouncekit.rules import Rules
from bouncekit.schema import (
    BOUNCES,
    CLASSIFICATION,
    FAULT_OF,
    NO_FAILURE,
    Category,
    Certainty,
    Fault,
)

# A receiver that refuses before RCPT TO (RFC 5321 §3.3) has not heard of any recipient: what it
# says of a user or a domain, it says of the sender. Postfix, Exim and qmail report the stage.
_BEFORE_RCPT = (
    r" in reply (?:mail from|helo|ehlo) "
    r"| after (?:pipelined )?(?:mail from|helo|ehlo|initial connection) "
    r"| but (?:sender rejected|greeting failed) | refused talk me "
)
_MEANT_OF_SENDER = {
    "unknown_user": "sender_refused",
    "inactive_mailbox": "sender_refused",
    "moved": "sender_refused",
    "recipient_refused": "sender_refused",
    "unknown_domain": "sender_dns",
}


# What may stand before the first letter of a name: "gmail" is no part of "bigmail.example".
_EDGES = tuple(" .@/[(<-=:;,'\"_\n\t")

_REPLY = pl.col("reply")


@overload
def classify(frame: pl.DataFrame, rules: str | PathLike[str] | None = None) -> pl.DataFrame: ...
@overload
def classify(frame: pl.LazyFrame, rules: str | PathLike[str] | None = None) -> pl.LazyFrame: ...
def classify(
    frame: pl.DataFrame | pl.LazyFrame, rules: str | PathLike[str] | None = None
) -> pl.DataFrame | pl.LazyFrame:
    """Add the cause of each reply to a frame that has a column `reply` (String).

    Fills `reply_code` (Int16) and `enhanced_code` (String) from the text where they are null, and
    adds the columns of `schema.CLASSIFICATION`. Rows that are no failure (deliveries, opens) get a
    null category and fault none. Other columns pass through; nothing is collected.

    `rules` names a TOML file of the user's own phrases in the shape of rules/phrases.toml; they
    win over the built-in ones. Raises BouncekitError if there is no column `reply` or the file of
    rules cannot be used.

    >>> classify(pl.DataFrame({"reply": ["550 5.1.1 no such user"]}))["category"].item()
    'unknown_user'
    """
    lazy = frame.lazy()
    names = lazy.collect_schema().names()
    if "reply" not in names:
        raise BouncekitError(
            f"The frame has no column 'reply' (it has {', '.join(names) or 'none'}); "
            "rename the column that holds the SMTP reply, or read the export with bk.read()."
        )
    classified = _classified(lazy, names, _known(rules))
    return classified.collect(engine="streaming") if isinstance(frame, pl.DataFrame) else classified


def phrases_in(reply: str, rules: str | PathLike[str] | None = None) -> list[tuple[str, str]]:
    """Give every phrase found in one reply as (category, phrase), the winner first."""
    known = _known(rules)
    keys = known.numbers("phrase")
    words = pl.select(reply_text.words(pl.lit(reply))).to_series()
    found = words.str.extract_many(pl.Series([list(keys)]), overlapping=True).item()
    rows = known.evidence[sorted({keys[key] for key in found})]
    return list(rows.select("category", "because").iter_rows())


def _known(rules: str | PathLike[str] | None) -> Rules:
    return knowledge.builtin() if rules is None else knowledge.with_own(str(rules))


def _classified(lazy: pl.LazyFrame, names: list[str], rules: Rules) -> pl.LazyFrame:
    context = ("event", "recipient", "source_class", "remote_mta")
    absent = [name for name in context if name not in names]
    return (
        lazy.drop([name for name in CLASSIFICATION if name in names])
        .with_columns(pl.lit(None, BOUNCES[name]).alias(name) for name in absent)
        .with_columns(
            reply_code=_filled("reply_code", names, reply_text.reply_code(_REPLY)),
            enhanced_code=_filled("enhanced_code", names, reply_text.enhanced_code(_REPLY)),
            _text=reply_text.lowered(_REPLY),
        )
        .with_columns(_words=reply_text.words_of(pl.col("_text")))
        .with_columns(_phrase=_winning_phrase(pl.col("_words"), rules))
        .with_columns(_evidence=_evidence(rules))
        .with_columns(*_cause(rules), permanent=_permanent())
        .with_columns(_in_context(rules))
        .with_columns(
            fault=pl.col("category").replace_strict(FAULT_OF, default="none", return_dtype=Fault),
            retry_after=reply_text.retry_after(_REPLY),
            provider=_provider(),
        )
        .with_columns(blocklist=_blocklist(), conflict=_conflict(rules))
        .drop("_text", "_words", "_phrase", "_evidence", *absent)
        .select(pl.exclude(list(CLASSIFICATION)), *CLASSIFICATION)
    )


def _filled(name: str, names: list[str], parsed: pl.Expr) -> pl.Expr:
    given = [pl.col(name).cast(BOUNCES[name], strict=False)] if name in names else []
    return pl.coalesce(*given, parsed)


def _winning_phrase(words: pl.Expr, rules: Rules) -> pl.Expr:
    """Give the number of the first of all phrases in the text (UInt32), in one pass for all."""
    phrases = list(rules.numbers("phrase"))
    found = words.str.extract_many(pl.lit(pl.Series(phrases)).implode(), overlapping=True)
    numbers = pl.element().cast(pl.Enum(phrases)).to_physical()
    return found.list.eval(numbers).list.min().cast(pl.UInt32)


def _evidence(rules: Rules) -> pl.Expr:
    """Give the number of what decides: exact words, exact codes, vague words, then codes."""
    phrase = pl.col("_phrase")
    vague = pl.when(phrase >= rules.vague_from).then(_said("because", rules, phrase))
    code = pl.col("enhanced_code")
    code_and_words = pl.concat_str(code, vague, separator=" ")
    decides = pl.coalesce(
        _number(pl.col("event").cast(pl.String), rules, "event"),
        _number(code_and_words, rules, "outranking"),
        pl.when(phrase.is_null() | vague.is_not_null()).then(_number(code, rules, "outranking")),
        phrase,
        _number(pl.col("source_class").str.to_lowercase(), rules, "class"),
        _by_code(rules),
    )
    return pl.when(_is_failure()).then(decides)


def _by_code(rules: Rules) -> pl.Expr:
    enhanced = pl.col("enhanced_code")
    return pl.coalesce(
        _number(enhanced, rules, "outranking"),
        _number(enhanced, rules, "enhanced"),
        _number(pl.col("reply_code").cast(pl.String), rules, "reply"),
    )


def _number(key: pl.Expr, rules: Rules, kind: str) -> pl.Expr:
    return key.replace_strict(rules.numbers(kind), default=None, return_dtype=pl.UInt32)


def _is_failure() -> pl.Expr:
    return ~pl.col("event").cast(pl.String).is_in(NO_FAILURE).fill_null(False)


def _cause(rules: Rules) -> list[pl.Expr]:
    """Look up what the deciding evidence says."""
    unclassified = pl.when(_is_failure()).then(pl.lit("unclassified"))
    return [
        pl.coalesce(_said("category", rules), unclassified).cast(Category).alias("category"),
        _said("certainty", rules).fill_null("none").cast(Certainty).alias("certainty"),
        _said("because", rules).alias("because"),
        _said("rule", rules).alias("rule"),
    ]


def _in_context(rules: Rules) -> list[pl.Expr]:
    """Turn around what the stage of the session, or a 4yz code, shows to mean something else.

    Before any recipient was named, what is said is said of the sender. And "mailbox unavailable",
    said for now only, is no unknown user (RFC 5321 §4.2.3: 450, busy or blocked for the moment).
    """
    category = pl.col("category").cast(pl.String)
    of_sender = category.replace_strict(_MEANT_OF_SENDER, default=None)
    is_early = of_sender.is_not_null() & pl.col("_words").str.contains(_BEFORE_RCPT)
    vague = pl.col("_phrase") >= rules.vague_from
    for_now = (category == "unknown_user") & vague & pl.col("permanent").not_()
    return [
        pl.when(is_early)
        .then(of_sender)
        .when(for_now)
        .then(pl.lit("server_error"))
        .otherwise(category)
        .cast(Category)
        .alias("category"),
        pl.when(is_early)
        .then(pl.col("rule") + " (said before any recipient was named)")
        .when(for_now)
        .then(pl.col("rule") + " (said for now only)")
        .otherwise("rule")
        .alias("rule"),
    ]


def _said(column: str, rules: Rules, evidence: pl.Expr | None = None) -> pl.Expr:
    numbers = pl.Series(range(rules.evidence.height), dtype=pl.UInt32)
    number = pl.col("_evidence") if evidence is None else evidence
    return number.replace_strict(numbers, rules.evidence[column], default=None)


def _permanent() -> pl.Expr:
    """True for 5yz (RFC 5321 §4.2.1), false for 4yz, null where no code was given."""
    reply_class = pl.col("reply_code") // 100
    enhanced_class = pl.col("enhanced_code").str.head(1).cast(pl.Int16, strict=False)
    code_class = pl.coalesce(reply_class, enhanced_class)
    return code_class.replace_strict({5: True, 4: False}, default=None)


def _conflict(rules: Rules) -> pl.Expr:
    """True where the code blames the recipient and the text does not, or the other way round."""
    by_code = _said("category", rules, _by_code(rules))
    blamed = by_code.replace_strict(FAULT_OF, default=None)
    is_exact = by_code != "policy_refused"
    by_text = (pl.col("certainty") == "text") & (pl.col("fault") != "none")
    differs = (blamed == "recipient") != (pl.col("fault") == "recipient")
    return (by_text & is_exact & differs).fill_null(False)


def _named(text: pl.Expr, table: str) -> pl.Expr:
    """Give the name of the first entry of a table whose words stand in the text, as words begin."""
    beginnings = [
        (edge + word, name)
        for name, entry in knowledge.table(table).items()
        for word in entry
        for edge in (_EDGES if word[0].isalnum() else ("",))
    ]
    words, names = (list(column) for column in zip(*beginnings, strict=True))
    found = (pl.lit(" ") + text).str.extract_many(
        pl.lit(pl.Series(words)).implode(), overlapping=True
    )
    first = found.list.eval(pl.element().cast(pl.Enum(words)).to_physical()).list.min()
    return first.cast(pl.UInt32).replace_strict(
        pl.Series(range(len(words)), dtype=pl.UInt32), pl.Series(names), default=None
    )


def _provider() -> pl.Expr:
    """Give who spoke, by the remote host, else by the recipient's domain, else by the text."""
    host = pl.col("remote_mta").str.to_lowercase()
    domain = pl.col("recipient").str.extract("(@[^@]*)$").str.to_lowercase()
    sources = (host, domain, pl.col("_text"))
    return pl.coalesce(_named(source, "providers.toml") for source in sources)


def _blocklist() -> pl.Expr:
    named = _named(pl.col("_text"), "blocklists.toml")
    return pl.when(pl.col("category") == "blocklisted").then(named)
