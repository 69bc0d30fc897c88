"""Say why a message bounced, whose fault it is, and what made us say so."""

from collections.abc import Callable
from os import PathLike
from typing import overload

import polars as pl

from bouncekit import details, names
from bouncekit import reply as reply_text
from bouncekit import rules as knowledge
from bouncekit.batches import (
    Reader,
    by_batch,
    compact,
    each_once,
    is_portable,
    looked_up,
    only,
    portably,
    rest,
)
from bouncekit.conform import check_frame, conformed
from bouncekit.errors import BouncekitError
from bouncekit.rules import Rules
from bouncekit.schema import (
    BOUNCES,
    CLASSIFICATION,
    FAULT_OF,
    NO_FAILURE,
    Category,
    Certainty,
    Event,
    Fault,
    Listed,
)

# A receiver that refuses before RCPT TO (RFC 5321 §3.3) has not heard of any recipient: what it
# says of a user or a domain, it says of the sender. Postfix, Exim and qmail report the stage.
_BEFORE_RCPT = (
    r" in reply (?:mail from|helo|ehlo) "
    r"| after (?:pipelined )?(?:mail from|helo|ehlo|initial connection) "
    r"| server (?:mail from|helo|ehlo) command "
    r"| but (?:sender rejected|greeting failed) | talk me "
)
# RFC 3463 §3.2: bad sender's mailbox address, bad sender's system address.
_SENDER_CODES = ("5.1.7", "4.1.7", "5.1.8", "4.1.8")
# RFC 4954 §6: login is wanted, too weak, wrong, or needs encryption: they are of who sends.
_LOGIN_CODES = (530, 534, 535, 538)
# RFC 3463 §3.6: invalid command arguments. A domain that is one was given with HELO or MAIL FROM.
_ARGUMENT_CODE = "5.5.4"
_DISABLED_FOR_NOW = "4.2.1"
_MEANT_OF_SENDER = {
    "unknown_user": "sender_refused",
    "inactive_mailbox": "sender_refused",
    "moved": "sender_refused",
    "recipient_refused": "sender_refused",
    "unknown_domain": "sender_dns",
}

# What is read from a text itself, whoever says it of whom.
_SAID = pl.Struct(
    {
        "reply_code": pl.Int16(),
        "enhanced_code": pl.String(),
        "phrase": pl.UInt32(),  # its number among the evidence
        "before_rcpt": pl.Boolean(),
        "retry_after": pl.Duration("us"),
    }
)

# A text that has its code by one pattern is not looked at again.
_CODES = {"reply_code": reply_text.REPLY_CODE, "enhanced_code": reply_text.ENHANCED_CODE}

# The reply to a message that was taken has its codes in front, and says nothing else of interest.
_TAKEN = r"^(?<reply_code>2[0-9][0-9])[ -](?:(?<enhanced_code>2\.[0-9]\.[0-9]{1,3})\s)?"
# Wordings whose reading is kept from batch to batch.
MOST_WORDINGS = 20_000

# The columns that decide; `event` stays as it is.
_CONTEXT = ("recipient", "source_class", "remote_mta")
_LOOKED_AT = ("reply", "reply_code", "enhanced_code", "sending_ip", *_CONTEXT)

# Columns that exist between the steps.
_STEPS = (
    "_event",
    "_is_failure",
    "_taken",
    "_text",
    "_said",
    "_phrase",
    "_by_code",
    "_evidence",
    "_reading",
)
_NO_FAILURE = pl.Series(NO_FAILURE, dtype=Event)
_REPLY, _TEXT = pl.col("reply"), pl.col("_text")
_EVENT, _IS_FAILURE = pl.col("_event"), pl.col("_is_failure")


@overload
def classify(
    frame: pl.DataFrame, rules: str | PathLike[str] | None = None, *, portable: bool = False
) -> pl.DataFrame: ...
@overload
def classify(
    frame: pl.LazyFrame, rules: str | PathLike[str] | None = None, *, portable: bool = False
) -> pl.LazyFrame: ...
def classify(
    frame: pl.DataFrame | pl.LazyFrame,
    rules: str | PathLike[str] | None = None,
    *,
    portable: bool = False,
) -> pl.DataFrame | pl.LazyFrame:
    """Add the cause of each reply to a frame that has a column `reply` (String).

    Fills `reply_code` (Int16), `enhanced_code` and `sending_ip` (String: the one that a reply of
    the sender's fault names) from the text where they are null, and
    adds the columns of `schema.CLASSIFICATION`. Rows that are no failure (deliveries, opens) get a
    null category and fault none. Other columns pass through; nothing is collected. `conflict` is
    true where an exact code blames the recipient and the text does not, or the other way round: a
    bare 550, 552 or 554 is no exact code, and 4yz against 5yz is no conflict.

    `rules` names a TOML file of the user's own phrases in the shape of rules/phrases.toml; they
    win over the built-in ones. `portable` makes a plan of Polars' own expressions alone, which can
    be sent to where no bouncekit is, and gives the same rows in three times the time.
    Raises BouncekitError if there is no column `reply` or the file of rules cannot be used.

    >>> classify(pl.DataFrame({"reply": ["550 5.1.1 no such user"]}))["category"].item()
    'unknown_user'
    """
    with portably(wanted=portable):
        return classify_by(frame, _known(rules))


@overload
def classify_by(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame: ...
@overload
def classify_by(frame: pl.LazyFrame, rules: Rules) -> pl.LazyFrame: ...
def classify_by(frame: pl.DataFrame | pl.LazyFrame, rules: Rules) -> pl.DataFrame | pl.LazyFrame:
    """Do what `classify` does by rules that were read before."""
    check_frame(frame)
    lazy = frame.lazy()
    columns = lazy.collect_schema().names()
    if "reply" not in columns:
        raise BouncekitError(
            f"The frame has no column 'reply' (it has {', '.join(columns) or 'none'}); "
            "rename the column that holds the SMTP reply, or read the export with bk.read()."
        )
    classified = _classified(lazy, columns, rules)
    return classified.collect(engine="streaming") if isinstance(frame, pl.DataFrame) else classified


def phrases_in(words: str, rules: Rules) -> list[tuple[str, str]]:
    """Give every phrase found in a text of `reply.words` as (category, phrase), the winner first.

    A phrase in which one of higher precedence stands says nothing more, and is not given.
    """
    stands = pl.lit(words).str.contains(pl.col("key"), literal=True)
    found = rules.evidence.filter((pl.col("kind") == "phrase") & stands)
    telling = knowledge.first_of(pl.col("key"), found["key"].to_list()) == pl.int_range(pl.len())
    return list(found.filter(telling).select("category", "because").iter_rows())


def _known(rules: str | PathLike[str] | None) -> Rules:
    return knowledge.builtin() if rules is None else knowledge.with_own(str(rules))


def _classified(lazy: pl.LazyFrame, columns: list[str], rules: Rules) -> pl.LazyFrame:
    absent = [name for name in ("event", *_CONTEXT) if name not in columns]
    return (
        conformed(lazy, _LOOKED_AT)
        .drop([name for name in CLASSIFICATION if name in columns])
        .with_columns(pl.lit(None, BOUNCES[name]).alias(name) for name in absent)
        .with_columns(_event=pl.col("event").cast(pl.String).cast(Event, strict=False))
        .with_columns(_is_failure=~_EVENT.is_in(_NO_FAILURE.implode()).fill_null(False))
        .with_columns(_taken=pl.when(~_IS_FAILURE).then(_REPLY).str.extract_groups(_TAKEN))
        .with_columns(_text=reply_text.readable(_REPLY))
        .with_columns(_said=_said(rules))
        .with_columns(
            _filled("reply_code", columns, _code("reply_code")),
            _filled("enhanced_code", columns, _code("enhanced_code")),
            _phrase=pl.col("_said").struct.field("phrase"),
        )
        .with_columns(_by_code=_by_code(rules), permanent=_permanent())
        .with_columns(_evidence=_evidence(rules))
        .with_columns(_reading=_reading(rules))
        .with_columns(*_cause(rules))
        .with_columns(
            blocklist=_blocklist(),
            retry_after=pl.col("_said").struct.field("retry_after"),
            provider=_provider(),
            conflict=_conflict(rules),
            size_limit=_where(
                pl.col("category") == "message_too_large", details.size_limit, pl.Int64()
            ),
            sending_ip=_filled(
                "sending_ip",
                columns,
                _where(pl.col("fault") == "sender", details.named_ip, pl.String()),
            ),
        )
        .with_columns(listed=_listed())
        .drop(*_STEPS, *absent)
        .select(pl.exclude(list(CLASSIFICATION)), *CLASSIFICATION)
    )


def _where(
    condition: pl.Expr, reader: Reader, dtype: pl.DataType, text: pl.Expr = _REPLY
) -> pl.Expr:
    """Read something in the replies of some rows only."""
    return only([text, condition], lambda _, chosen: chosen, lambda text, _: reader(text), dtype)


def _said(rules: Rules) -> pl.Expr:
    """Give what each text says, as a struct of the fields of `_SAID`; null of what was taken."""
    read = _reader_of_wordings(rules)

    def said(text: pl.Expr) -> pl.Expr:
        wording = reply_text.masked(text)
        return _read(wording, rules) if is_portable() else by_batch(wording, read, _SAID)

    return _where(pl.col("_taken").struct.field("reply_code").is_null(), said, _SAID, _TEXT)


def _reader_of_wordings(rules: Rules) -> Callable[[pl.Series], pl.Series]:
    """Read each wording once: a million replies have a few thousand.

    The batches of a lazy frame are tens of thousands of rows: what one has told serves the next.
    """
    known = [pl.DataFrame(schema={"wording": pl.String, **_SAID.to_schema()})]

    def read(wordings: pl.Series) -> pl.Series:
        wording = wordings.to_frame("wording")
        (said,) = known
        new = wording.unique().join(said, on="wording", how="anti").drop_nulls()
        if new.height:
            said = pl.concat([said, _read_once(compact(new), rules)], rechunk=True)
            known[0] = said.head(MOST_WORDINGS)
        each = wording.join(said, on="wording", how="left", maintain_order="left")
        return each.select(pl.struct(list(_SAID.to_schema()))).to_series()

    return read


def _read_once(wordings: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Add the fields of `_SAID` to a frame of different wordings."""
    read = wordings.with_columns(read=_in_words(pl.col("wording"))).unnest("read")
    said = read.with_columns(phrase=rules.phrase_in(read["words"]))
    return said.select("wording", *_SAID.to_schema())


def _read(wording: pl.Expr, rules: Rules) -> pl.Expr:
    """Give the fields of `_SAID` of a wording."""
    phrase = knowledge.first_of(pl.field("words"), rules.phrase_keys)
    said = pl.struct(map(pl.field, _SAID.to_schema()))
    read = _in_words(wording).struct.with_fields(phrase=phrase)
    return read.struct.with_fields(said=said).struct.field("said")


def _in_words(wording: pl.Expr) -> pl.Expr:
    """Give the fields of `_SAID` but the phrase, and the `words` that it is looked for in."""
    text, words = pl.field("text"), pl.field("words")
    read = pl.struct(text=wording.str.to_lowercase())
    for name, patterns in _CODES.items():
        code = pl.field(name)
        read = read.struct.with_fields(text.str.extract(patterns[0]).alias(name))
        for pattern in patterns[1:]:
            unread = pl.when(code.is_null()).then(text)
            read = read.struct.with_fields(pl.coalesce(code, unread.str.extract(pattern)))
    return read.struct.with_fields(
        pl.field("reply_code").cast(pl.Int16),
        reply_text.dotted(pl.field("enhanced_code")),
        retry_after=reply_text.retry_after_of(text),
        words=reply_text.words_of(text),
    ).struct.with_fields(before_rcpt=words.str.contains(_BEFORE_RCPT))


def _code(name: str) -> pl.Expr:
    said, taken = (pl.col(column).struct.field(name) for column in ("_said", "_taken"))
    return pl.coalesce(said, taken.cast(BOUNCES[name]))


def _filled(name: str, columns: list[str], found: pl.Expr) -> pl.Expr:
    if name not in columns:
        return found.alias(name)
    given = pl.col(name)
    if BOUNCES[name] == pl.String:
        given = pl.when(given != "").then(given)
    return pl.coalesce(given, found).alias(name)


def _evidence(rules: Rules) -> pl.Expr:
    """Give the number of what decides: exact words, exact codes, vague words, then codes."""
    phrase = pl.col("_phrase")
    vague = pl.when(phrase >= rules.vague_from).then(looked_up(phrase, rules.evidence["because"]))
    code = pl.col("enhanced_code")
    code_and_words = pl.concat_str(code, vague, separator=" ")
    decides = pl.coalesce(
        _number(_EVENT.cast(pl.String), rules, "event"),
        _number(code_and_words, rules, "outranking"),
        pl.when(phrase.is_null() | (phrase >= rules.vague_from)).then(
            _number(code, rules, "outranking")
        ),
        phrase,
        _number(pl.col("source_class").str.to_lowercase(), rules, "class"),
        "_by_code",
    )
    return pl.when(_IS_FAILURE).then(decides)


def _by_code(rules: Rules) -> pl.Expr:
    enhanced = pl.col("enhanced_code")
    return pl.coalesce(
        _number(enhanced, rules, "outranking"),
        _number(enhanced, rules, "enhanced"),
        _number(pl.col("reply_code").cast(pl.String), rules, "reply"),
    )


def _number(key: pl.Expr, rules: Rules, kind: str) -> pl.Expr:
    numbers = rules.numbers(kind)
    place = key.cast(pl.Enum(list(numbers)), strict=False).to_physical()
    return looked_up(place, pl.Series(numbers.values(), dtype=pl.UInt32))


def _readings(rules: Rules) -> pl.DataFrame:
    """Give what each piece of evidence says: read plainly, then as said of the sender, then as
    said for now only.
    """
    plain = rules.evidence.select("category", "certainty", "because", "rule")
    category, rule = pl.col("category"), pl.col("rule")
    of_sender = plain.with_columns(
        category.replace(_MEANT_OF_SENDER), rule + " (said of the sender)"
    )
    for_now = plain.with_columns(
        category=pl.lit("server_error"), rule=rule + " (said for now only)"
    )
    return pl.concat([plain, of_sender, for_now]).with_columns(
        category.cast(Category),
        pl.col("certainty").cast(Certainty),
        fault=category.replace_strict(FAULT_OF, return_dtype=Fault),
    )


def _reading(rules: Rules) -> pl.Expr:
    """Number the row of `_readings`: the stage of the session, or a 4yz code, may turn it around.

    Before any recipient was named, and with a code of the sender's address, domain or login, what
    is said is said of the sender. And "mailbox unavailable", said for now only, is no unknown user
    (RFC 5321 §4.2.3: 450, busy or blocked for the moment), nor is a bare 4.2.1 a mailbox that is
    closed (RFC 3463 §3.3: most say it of one that gets too much).
    """
    evidence, category = pl.col("_evidence"), rules.evidence["category"]
    may_turn = looked_up(evidence, category.is_in(list(_MEANT_OF_SENDER)))
    is_domain = looked_up(evidence, category == "unknown_domain")
    of_sender = may_turn & (
        pl.col("_said").struct.field("before_rcpt")
        | pl.col("enhanced_code").is_in(_SENDER_CODES)
        | pl.col("reply_code").is_in(_LOGIN_CODES)
        | (is_domain & (pl.col("enhanced_code") == _ARGUMENT_CODE))
    )
    is_vague = looked_up(evidence, category == "unknown_user") & (
        pl.col("_phrase") >= rules.vague_from
    )
    is_bare = looked_up(evidence, rules.evidence["key"] == _DISABLED_FOR_NOW)
    for_now = (is_vague | is_bare) & pl.col("permanent").not_()
    rows = pl.lit(rules.evidence.height, pl.UInt32)
    return (
        pl.when(of_sender)
        .then(evidence + rows)
        .when(for_now)
        .then(evidence + rows * 2)
        .otherwise(evidence)
    )


def _cause(rules: Rules) -> list[pl.Expr]:
    """Look up what the deciding evidence says."""
    readings = _readings(rules)
    category, fault, certainty, because, rule = (
        looked_up(pl.col("_reading"), readings[name]).alias(name)
        for name in ("category", "fault", "certainty", "because", "rule")
    )
    unclassified = pl.when(_IS_FAILURE).then(pl.lit("unclassified", Category))
    return [
        pl.coalesce(category, unclassified),
        fault.fill_null(pl.lit("none", Fault)),
        certainty.fill_null(pl.lit("none", Certainty)),
        because,
        rule,
    ]


def _permanent() -> pl.Expr:
    """True for 5yz (RFC 5321 §4.2.1), false for 4yz, null where no code was given."""
    reply_class = pl.col("reply_code") // 100
    enhanced_class = pl.col("enhanced_code").str.head(1).cast(pl.Int16, strict=False)
    code_class = pl.coalesce(reply_class, enhanced_class)
    return pl.when(code_class.is_in([4, 5])).then(code_class == 5)


def _conflict(rules: Rules) -> pl.Expr:
    """True where the code blames the recipient and the text does not, or the other way round."""
    category = rules.evidence["category"]
    blames = category.replace_strict(FAULT_OF) == "recipient"
    is_exact = category != "policy_refused"
    by_code = looked_up(pl.col("_by_code"), blames.set(~is_exact, None))
    by_text = (pl.col("certainty") == "text") & (pl.col("fault") != "none")
    return (by_text & (by_code != (pl.col("fault") == "recipient"))).fill_null(False)


def _provider() -> pl.Expr:
    """Give who spoke, by the remote host, else by the recipient's domain, else by the text."""
    named = names.providers().named
    recipient = pl.col("recipient").cast(pl.Binary)
    domain = recipient.bin.slice(pl.col("recipient").str.find("@", literal=True)).cast(pl.String)
    known = pl.coalesce(
        each_once(pl.col("remote_mta"), named, pl.String()),
        each_once(domain, lambda d: named(d.str.extract("(@[^@]*)$")), pl.String()),
    )
    is_known = pl.col("remote_mta").is_not_null() | pl.col("recipient").is_not_null()
    return rest(known, [_TEXT, is_known], names.providers().speaking, pl.String())


def _blocklist() -> pl.Expr:
    blamed = pl.col("category").is_in(["blocklisted", "bad_reputation"])
    return _where(blamed, names.blocklists().named, pl.String(), _TEXT)


def _listed() -> pl.Expr:
    blocklist = pl.col("blocklist")
    return only(
        [_REPLY, blocklist], lambda _, blocklist: blocklist.is_not_null(), details.listed, Listed
    )
