"""Rules of one's own: check them, see what they would change, draft new ones."""

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.classify import classify
from bouncekit.counts import recipients, with_template
from bouncekit.errors import BouncekitError
from bouncekit.files import printable
from bouncekit.read.containers import Table, kind_of
from bouncekit.read.files import at_home, peek
from bouncekit.read.layouts import fold, layouts
from bouncekit.read.tables import open_table
from bouncekit.reply import BAR, words
from bouncekit.rules import Phrase
from bouncekit.schema import ACTION_OF, BOUNCES

RulesFile = str | PathLike[str]

# How many words of a reply make a drafted phrase: enough to tell it from any other.
PHRASE_WORDS = 12
# A longer reply is cut in a draft, if its phrase still stands in what is left of it.
EXAMPLE_LENGTH = 300

# What template() puts in the place of what differs from reply to reply.
_PLACES = r"<(?:address|url|ip|host|time|id|number|user)>"
# A single word of plain letters is too greedy to be proposed as a phrase.
_SAYS_ENOUGH = r" |[^\x00-\x7f]{3}"


def own_phrases(rules: RulesFile) -> tuple[Phrase, ...]:
    """Give the phrases of a user's file in its order.

    Raises BouncekitError naming the file, the entry and the way out if it cannot be used.
    """
    known = knowledge.with_own(str(rules))
    return known.phrases[: len(known.phrases) - len(knowledge.builtin().phrases)]


def check(rules: RulesFile) -> pl.DataFrame:
    """Check a user's file of rules, and give those of its phrases that another of them shadows.

    A row per own phrase whose example another own phrase wins: `rule` and `won_by` (String, the
    ids of the two), `category` (String, of the winner).

    Raises BouncekitError naming the file, the entry and the way out if the file cannot be used, or
    if a phrase does not win its own example over the built-in rules.
    """
    tried = _tried(rules)
    is_turned = (pl.col("won_by") == pl.col("own")) & (pl.col("category") != pl.col("wanted"))
    turned = tried.filter(is_turned)
    if not turned.is_empty():
        raise BouncekitError(_complaint(rules, turned))
    shadowed = tried.filter(pl.col("won_by") != pl.col("own"))
    return shadowed.select("won_by", "category", rule="own").select("rule", "won_by", "category")


def what_changes(frame: pl.DataFrame | pl.LazyFrame, rules: RulesFile) -> pl.DataFrame:
    """Give what a user's rules change in the classification of a frame, most events first.

    A row per old category, new category and own rule, with the columns of `won`.
    """
    return won(frame, rules).filter(pl.col("was").ne_missing(pl.col("becomes")))


def won(frame: pl.DataFrame | pl.LazyFrame, rules: RulesFile) -> pl.DataFrame:
    """Give what a user's rules decide in a frame, changed by it or not, most events first.

    `frame` needs a column `reply`, as for `classify`. Gives `was`, `becomes` (Category, without
    and with the rules), `was_fault`, `fault` (Fault), `effect` (String: what that means for the
    removal list, null for nothing), `events`, `templates` (UInt32, how many different replies),
    `recipients` (UInt32, if the frame has them), `rule` (String, the id of the own rule that won)
    and `example` (String, the most frequent masked template).
    """
    ids = list(dict.fromkeys(phrase.rule for phrase in own_phrases(rules)))
    keys = ["was", "becomes", "was_fault", "fault", "rule"]
    decided = (
        classify(frame.lazy())
        .rename({"category": "was", "fault": "was_fault"})
        .pipe(classify, rules=rules)
        .rename({"category": "becomes"})
        # An Enum is no text, so that mask() leaves it alone.
        .with_columns(rule=_own_rule(rules).cast(pl.Enum(ids)))
        .filter(pl.col("rule").is_not_null())
    )
    return (
        with_template(decided, *keys)
        .group_by(keys)
        .agg(
            pl.len().alias("events"),
            pl.col("template").n_unique().alias("templates"),
            *recipients(frame),
            pl.col("template").mode().min().alias("example"),
        )
        .with_columns(pl.col("rule").cast(pl.String), effect=_effect())
        .select(*keys[:4], "effect", pl.exclude(*keys, "effect", "example"), "rule", "example")
        .sort("events", *keys, descending=[True] + [False] * len(keys))
        .collect(engine="streaming")
    )


def proposals(templates: pl.DataFrame, at_most: int = 50) -> pl.DataFrame:
    """Propose a phrase for each of the most frequent templates of `bk.unclassified(frame)`.

    Gives `phrase` (String: the first words of the longest stretch that is the same in all of its
    replies, as `reply.words` reads them), `example` (String, a masked reply that it wins) and
    `events` (UInt32), most frequent first. Templates with the same phrase become one; those that
    say too little for one, such as a bare code, are left out.
    """
    stretches = (
        templates.select("template", "events")
        .with_row_index("number")
        .with_columns(stretch=pl.col("template").str.split(_PLACES, literal=False))
        .explode("stretch")
        .with_columns(stretch=words(pl.col("stretch")).str.split(BAR))
        .explode("stretch")
        .with_columns(pl.col("stretch").str.strip_chars(" "))
        .sort("number", pl.col("stretch").str.len_chars(), descending=[False, True])
        .unique("number", keep="first", maintain_order=True)
    )
    phrase = pl.col("stretch").str.split(" ").list.head(PHRASE_WORDS).list.join(" ")
    return (
        stretches.with_columns(phrase=phrase)
        .filter(pl.col("phrase").str.contains(_SAYS_ENOUGH), _is_found(pl.col("phrase")))
        .with_columns(example=_example())
        .group_by("phrase", maintain_order=True)
        .agg(pl.col("example").first(), pl.col("events").sum())
        .sort("events", "phrase", descending=[True, False])
        .head(at_most)
    )


def draft(templates: pl.DataFrame, at_most: int = 50) -> str:
    """Write a file of rules, as TOML, with a comment for each of the `proposals`.

    It is usable as it is and holds no rule yet: the user moves a line into a section.
    """
    lines = [
        f"# {events:,} {_noun(events, 'event')}\n# {_toml(phrase)} = {_toml(example)}\n"
        for phrase, example, events in proposals(templates, at_most).iter_rows()
    ]
    sections = [
        f"[{category}]\n# {about['meaning']}\n"
        for category, about in knowledge.categories().items()
        if category != "unclassified"
    ]
    return "\n".join([_HOW_TO, *(lines or ["# Every reply has a cause already.\n"]), *sections])


_HOW_TO = """\
# Replies that bouncekit cannot name the cause of, most frequent first, as rules of your own:
#   "phrase" = "a reply that it must win"
# 1. Move the line of a reply you understand under the [section] of its cause, further down.
# 2. Take its "# " away, and shorten the phrase to the words that tell the cause. Codes,
#    addresses, host names and words such as "the" or "is" are not looked at, in a phrase or reply.
# 3. See what it would change:  bouncekit rules check THIS.toml EXPORT
# 4. Use it:  bouncekit decide EXPORT --rules THIS.toml -o remove.csv
# The comments hold no addresses, but read them before you hand the file on.
"""


def replies(path: str | Path, heading: str | None = None) -> pl.DataFrame | None:
    """Read a plain table of replies: any kind that `read` takes, with no addresses beside them.

    Gives the column `reply` (String, never null) from the column of that heading, or from the
    first that is named as exports name it. Gives None where there is no such column, or no table.
    """
    place = at_home(path)
    if not place.is_file():
        return None
    seen = peek(place)
    kind = kind_of(seen.head)
    if kind in ("zip", "binary") or not seen.head.strip():
        return None
    try:
        return _reply_column(open_table(kind, place, seen, mended=False), heading)
    except pl.exceptions.ComputeError:  # broken quotes: what can be read is read
        return _reply_column(open_table(kind, place, seen, mended=True), heading)


def _reply_column(table: Table, heading: str | None) -> pl.DataFrame | None:
    headings = {fold(name): cell for name, cell in reversed(table.cells.items())}
    names = [heading] if heading else _reply_headings()
    cells = [headings[fold(name)] for name in names if fold(name) in headings]
    if not cells:
        return None
    reply = cells[0].alias("reply").cast(BOUNCES["reply"])
    return table.frame.select(reply).drop_nulls().collect()


def _reply_headings() -> list[str]:
    """Give what exports call a reply, the general names first."""
    return [name for layout in reversed(layouts()) for name in layout.fields.get("reply", ())]


def _tried(rules: RulesFile) -> pl.DataFrame:
    """Classify the example of each own phrase: own, wanted, example; won_by, category."""
    examples = pl.DataFrame(
        [(p.rule, p.text, p.category, p.example) for p in own_phrases(rules)],
        schema=["own", "phrase", "wanted", "reply"],
        orient="row",
        schema_overrides=dict.fromkeys(("own", "phrase", "wanted", "reply"), pl.String),
    )
    return classify(examples, rules=rules).select(
        "own",
        "phrase",
        "wanted",
        pl.col("category").cast(pl.String),
        pl.col("reply").alias("example"),
        _own_rule(rules).alias("won_by"),
    )


def _own_rule(rules: RulesFile) -> pl.Expr:
    """Give the id of the own rule that decided a classified row, null where none did."""
    ids = [phrase.rule for phrase in own_phrases(rules)]
    spelled = knowledge.with_own(str(rules)).evidence.filter(
        pl.col("kind") == "phrase", pl.col("rule").is_in(ids)
    )
    # Not by `rule`: classify() may add to it how it read the rule.
    of: Mapping[str, str] = dict(spelled.select("because", "rule").iter_rows())
    because = pl.when(pl.col("certainty") == "text").then(pl.col("because"))
    return because.replace_strict(of, default=None, return_dtype=pl.String)


def _complaint(rules: RulesFile, turned: pl.DataFrame) -> str:
    """Say of the first turned phrase what it is read as and the way out, and how many more are."""
    row = turned.row(0, named=True)
    example = knowledge.shown(row["example"])
    others = turned.height - 1
    more = f" ({others:,} more of your phrases likewise)" if others else ""
    return (
        f"{rules}: [{row['wanted']}] '{row['phrase']}' wins its example '{example}', but at that "
        f"stage of the session it is read as [{row['category']}]{more}: move the phrase there, or "
        "give it a reply that speaks of the recipient."
    )


def _effect() -> pl.Expr:
    """Say what a change of category means for the removal list: only recipient faults remove."""
    was, becomes = (
        pl.col(name).cast(pl.String).replace_strict(ACTION_OF, default=None) == "remove"
        for name in ("was", "becomes")
    )
    was_recipient, is_recipient = pl.col("was_fault") == "recipient", pl.col("fault") == "recipient"
    return (
        pl.when(is_recipient & (~was_recipient | (becomes & ~was)))
        .then(pl.lit("may remove addresses"))
        .when(was_recipient & (~is_recipient | (was & ~becomes)))
        .then(pl.lit("may keep addresses on the list"))
    )


def _example() -> pl.Expr:
    """Give the template, shortened where the phrase can spare the rest."""
    cut = pl.col("template").str.head(EXAMPLE_LENGTH)
    has_phrase = words(cut).str.contains(pl.lit(" ") + pl.col("phrase") + " ", literal=True)
    return pl.when(has_phrase).then(cut).otherwise("template")


def _is_found(phrase: pl.Expr) -> pl.Expr:
    """True where the phrase, read as classify() reads phrases and replies, stands in its reply."""
    read = words(phrase)
    return words(pl.col("template")).str.contains(read, literal=True) & (
        read == pl.lit(" ") + phrase + " "
    )


def _toml(text: str) -> str:
    """Write a text as a TOML basic string: JSON's escapes are TOML's, and controls are blanks."""
    return json.dumps(" ".join(printable(text).split()), ensure_ascii=False)


def _noun(number: int, noun: str) -> str:
    return noun if number == 1 else noun + "s"
