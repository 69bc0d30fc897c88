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
    Category,
    Certainty,
    Fault,
)

# Events that are no failure have no cause.
_NO_FAILURE = ("delivery", "engagement", "unsubscribe", "unreadable")


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
    known = knowledge.builtin() if rules is None else knowledge.with_own(str(rules))
    classified = _classified(lazy, names, known)
    return classified.collect() if isinstance(frame, pl.DataFrame) else classified


def _classified(lazy: pl.LazyFrame, names: list[str], rules: Rules) -> pl.LazyFrame:
    context = ("event", "recipient", "source_class", "remote_mta")
    absent = [name for name in context if name not in names]
    return (
        lazy.drop([name for name in CLASSIFICATION if name in names])
        .with_columns(pl.lit(None, BOUNCES[name]).alias(name) for name in absent)
        .with_columns(
            reply_code=_filled("reply_code", names, reply_text.reply_code(pl.col("reply"))),
            enhanced_code=_filled("enhanced_code", names, reply_text.enhanced_code(pl.col("reply"))),
            _phrase=_winning_phrase(reply_text.words(pl.col("reply")), rules),
        )
        .with_columns(_evidence=_evidence(rules))
        .with_columns(_cause(rules))
        .with_columns(
            fault=pl.col("category").replace_strict(FAULT_OF, default="none", return_dtype=Fault),
            permanent=_permanent(),
            retry_after=reply_text.retry_after(pl.col("reply")),
            provider=_provider(),
        )
        .with_columns(blocklist=_blocklist(), conflict=_conflict(rules))
        .drop("_phrase", "_evidence", *absent)
        .select(pl.exclude(list(CLASSIFICATION)), *CLASSIFICATION)
    )


def _filled(name: str, names: list[str], parsed: pl.Expr) -> pl.Expr:
    given = [pl.col(name).cast(BOUNCES[name], strict=False)] if name in names else []
    return pl.coalesce(*given, parsed)


def _winning_phrase(words: pl.Expr, rules: Rules) -> pl.Expr:
    """Give the number of the first of all phrases in the text (UInt32): one pass for all of them."""
    phrases = list(rules.numbers("phrase"))
    found = words.str.extract_many(pl.lit(pl.Series(phrases)).implode(), overlapping=True)
    numbers = pl.element().cast(pl.Enum(phrases)).to_physical()
    return found.list.eval(numbers).list.min().cast(pl.UInt32)


def _evidence(rules: Rules) -> pl.Expr:
    """Give the number of the evidence that decides: exact words, exact codes, vague words, codes."""
    phrase = pl.col("_phrase")
    is_vague = phrase.is_null() | (phrase >= rules.vague_from)
    enhanced = pl.col("enhanced_code")
    decides = pl.coalesce(
        _number(pl.col("event").cast(pl.String), rules, "event"),
        pl.when(is_vague).then(_number(enhanced, rules, "outranking")),
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
    return ~pl.col("event").cast(pl.String).is_in(_NO_FAILURE).fill_null(False)


def _cause(rules: Rules) -> list[pl.Expr]:
    """Look up what the deciding evidence says."""
    unclassified = pl.when(_is_failure()).then(pl.lit("unclassified"))
    return [
        pl.coalesce(_said("category", rules), unclassified).cast(Category).alias("category"),
        _said("certainty", rules).fill_null("none").cast(Certainty).alias("certainty"),
        _said("because", rules).alias("because"),
        _said("rule", rules).alias("rule"),
    ]


def _said(column: str, rules: Rules, evidence: pl.Expr | None = None) -> pl.Expr:
    numbers = pl.Series(range(rules.evidence.height), dtype=pl.UInt32)
    number = pl.col("_evidence") if evidence is None else evidence
    return number.replace_strict(numbers, rules.evidence[column], default=None)


def _permanent() -> pl.Expr:
    """True for 5yz (RFC 5321 §4.2.1), false for 4yz, null where no code was given."""
    reply_class = pl.col("reply_code") // 100
    enhanced_class = pl.col("enhanced_code").str.head(1).cast(pl.Int16, strict=False)
    return pl.coalesce(reply_class, enhanced_class).replace_strict({5: True, 4: False}, default=None)


def _conflict(rules: Rules) -> pl.Expr:
    """True where the code blames the recipient and the text does not, or the other way round."""
    by_code = _said("category", rules, _by_code(rules))
    blamed = by_code.replace_strict(FAULT_OF, default=None)
    is_exact = by_code != "policy_refused"
    by_text = (pl.col("certainty") == "text") & (pl.col("fault") != "none")
    differs = (blamed == "recipient") != (pl.col("fault") == "recipient")
    return (by_text & is_exact & differs).fill_null(False)


def _named(text: pl.Expr, table: str) -> pl.Expr:
    """Give the name of the first entry of a table of names whose words stand in the text."""
    words = [word for entry in knowledge.table(table).values() for word in entry]
    names = [name for name, entry in knowledge.table(table).items() for _ in entry]
    found = text.str.extract_many(pl.lit(pl.Series(words)).implode(), overlapping=True)
    first = found.list.eval(pl.element().cast(pl.Enum(words)).to_physical()).list.min()
    return first.cast(pl.UInt32).replace_strict(
        pl.Series(range(len(words)), dtype=pl.UInt32), pl.Series(names), default=None
    )


def _provider() -> pl.Expr:
    """Give who spoke: known by the remote host, else by the recipient's domain, else by the text."""
    host = pl.col("remote_mta").str.to_lowercase()
    domain = pl.col("recipient").str.extract("(@[^@]*)$").str.to_lowercase()
    text = pl.col("reply").str.head(reply_text.LONGEST_TEXT).str.to_lowercase()
    return pl.coalesce(_named(source, "providers.toml") for source in (host, domain, text))


def _blocklist() -> pl.Expr:
    text = pl.col("reply").str.head(reply_text.LONGEST_TEXT).str.to_lowercase()
    named = _named(text, "blocklists.toml")
    return pl.when(pl.col("category") == "blocklisted").then(named)


