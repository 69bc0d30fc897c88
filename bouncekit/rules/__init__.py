"""The knowledge as data: phrases and codes from TOML, spelled out for one pass over the text."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import chain, product, repeat
from math import prod
from typing import Any

import polars as pl

from bouncekit import reply as reply_text
from bouncekit import toml
from bouncekit.batches import rest
from bouncekit.errors import BouncekitError
from bouncekit.schema import CATEGORIES

# In this order: what stands in an earlier file outranks what stands in a later one.
LAYERS = ("exact.toml", "phrases.toml", "general.toml")

# A phrase of several sets of words is spelled out for every combination of them. Ours have 71,000
# spellings together, and `{mailbox} {full} {today}` alone has as many.
MOST_SPELLINGS = 100_000

# Files of users' rules that are kept as they were read.
MOST_FILES = 16

_SET = re.compile(r"\{(\w+)\}")
_SHOWN = 80  # characters of an example in an error
# A phrase of theirs, too, has no edges.
_WITHOUT_BLANKS = reply_text.WITHOUT_BLANKS
# These events name their own cause.
_CATEGORY_OF_EVENT = {"complaint": "complaint", "auto_reply": "auto_reply", "dropped": "suppressed"}

Sets = dict[str, list[str]]


@dataclass(frozen=True)
class Phrase:
    """A phrase as written: where it stands, what it means, and a reply that it must win."""

    file: str
    category: str
    text: str
    example: str
    is_vague: bool = False  # of the layer that is asked last
    is_own: bool = False  # of a user's file

    @property
    def rule(self) -> str:
        """The phrase's id, as in the column `rule`."""
        return f"{self.category}: {self.text}"


@dataclass(frozen=True)
class Rules:
    """All that classify() knows, as one numbered table of evidence.

    `evidence` has a row per spelled-out phrase, in order of precedence, then a row per event,
    verdict of an export, and code: key (String, as it stands in the data; a phrase as it stands in
    `reply.words`), certainty (the kind of evidence), category, because (String, for people), rule
    (String). `vague_from` is the number of the first phrase of the vague layer.
    """

    phrases: tuple[Phrase, ...]
    evidence: pl.DataFrame
    vague_from: int

    @property
    def vague(self) -> list[str]:
        """The ids of the rules whose words leave doubt."""
        return [phrase.rule for phrase in self.phrases if phrase.is_vague]

    def numbers(self, kind: str) -> dict[str, int]:
        """Give the row number of each key of a kind: phrase, event, class, enhanced, reply ..."""
        rows = self.evidence.with_row_index("number").filter(pl.col("kind") == kind)
        return dict(zip(rows["key"], rows["number"], strict=True))

    @cached_property
    def phrase_keys(self) -> list[str]:
        """The key of each phrase, in order of precedence: its place is its number."""
        return self.evidence.filter(pl.col("kind") == "phrase")["key"].to_list()

    def phrase_in(self, texts: pl.Series) -> pl.Series:
        """Give the number of the phrase that wins in each text, made by `reply.words` (UInt32)."""
        # To build an automaton of all phrases takes longer than to search a thousand texts, and
        # few phrases can stand in them: those of whose words none is missing.
        words, of_phrases = self._words
        said = texts.str.split(" ").explode().cast(words, strict=False).to_physical().drop_nulls()
        is_said = pl.repeat(False, words.categories.len(), eager=True).scatter(said.unique(), True)
        missing = of_phrases["number"].filter(~is_said.gather(of_phrases["word"])).unique()
        phrases = self.evidence.lazy().with_row_index("number").filter(pl.col("kind") == "phrase")
        met = phrases.filter(~pl.col("number").is_in(missing.implode())).collect()
        place = texts.to_frame("text").select(first_of(pl.col("text"), met["key"].to_list()))
        return met["number"].gather(place.to_series())

    @cached_property
    def _words(self) -> tuple[pl.Enum, pl.DataFrame]:
        """All words, and each word (its number) of each phrase that has edges."""
        of_phrases = (
            self.evidence.with_row_index("number")
            .filter((pl.col("kind") == "phrase") & pl.col("key").str.starts_with(" "))
            .select("number", word=pl.col("key").str.strip_chars().str.split(" "))
            .explode("word")
        )
        words = pl.Enum(of_phrases["word"].unique())
        return words, of_phrases.with_columns(pl.col("word").cast(words).to_physical())


@cache
def builtin() -> Rules:
    """Give the rules that come with bouncekit."""
    return _rules([])


@lru_cache(MOST_FILES)
def builtin_for(words: str) -> Rules:
    """Give the built-in rules without phrases that cannot stand in a text, given as `reply.words`.

    To spell out all of them takes a tenth of a second, which is long for one reply.
    """
    return _rules([], words)


def with_own(path: str) -> Rules:
    """Give the built-in rules with the user's own TOML file, of the same shape, on top of them.

    Raises BouncekitError naming the file and the entry if it cannot be read, has an unknown
    category or set of words, or a phrase that says nothing or does not stand in its example.
    """
    with toml.legible(path):
        return with_text(path, toml.text(path))


@lru_cache(MOST_FILES)  # by its text: a file that was edited is read again
def with_text(path: str, text: str) -> Rules:
    """Give the rules of `with_own` for the text of a file."""
    own = [replace(phrase, is_own=True) for phrase in _phrases(path, toml.loads(text))]
    sets = _package_toml("words.toml")
    _check_number(own, sets)
    rules = _rules(own)
    _check_examples(own, sets)
    return rules


@cache
def blocklists() -> dict[str, dict[str, Any]]:
    """Give what is known of each public blocklist, in order of precedence: words, lists ..."""
    return _package_toml("blocklists.toml")


@cache
def providers() -> dict[str, list[str]]:
    """Give the providers, in order of precedence, and the words by which they are known."""
    names: dict[str, list[str]] = _package_toml("providers.toml")["providers"]
    return names


@cache
def mailbox_domains() -> list[str]:
    """Give the domains of large mailbox providers."""
    domains: list[str] = _package_toml("mailbox_domains.toml")["domains"]
    return domains


@cache
def categories() -> dict[str, dict[str, str]]:
    """Give for each category its `meaning` and `what_to_do`, a sentence each."""
    return _package_toml("categories.toml")


def _rules(own: Sequence[Phrase], within: str | None = None) -> Rules:
    """Give a user's own phrases on top of ours (those that may stand within a text), and codes."""
    *telling, vague = (list(_phrases(name, _package_toml(name))) for name in LAYERS)
    phrases = (
        *own,
        *chain.from_iterable(telling),
        *(replace(phrase, is_vague=True) for phrase in vague),
    )
    codes = _package_toml("codes.toml")
    literals = _literals(phrases, _package_toml("words.toml"), within)
    return Rules(
        phrases=phrases,
        evidence=pl.concat(
            [
                literals.drop("is_vague"),
                _lookup("event", "source_class", _CATEGORY_OF_EVENT),
                _lookup("class", "source_class", _package_toml("source_classes.toml")),
                _lookup("outranking", "enhanced_code", codes["outranks_general"]),
                _lookup("enhanced", "enhanced_code", _both_classes(codes["enhanced"])),
                _lookup("reply", "reply_code", codes["reply"]),
            ]
        ),
        vague_from=literals.filter(~pl.col("is_vague")).height,
    )


def _lookup(kind: str, certainty: str, categories: dict[str, str]) -> pl.DataFrame:
    """Give the evidence of a table of exact keys."""
    return pl.DataFrame({"key": list(categories), "category": list(categories.values())}).select(
        "key",
        pl.lit(kind).alias("kind"),
        pl.lit(certainty).alias("certainty"),
        "category",
        pl.col("key").alias("because"),
        pl.concat_str(pl.lit(certainty.replace("_", " ") + ": "), "key").alias("rule"),
    )


def _both_classes(categories: dict[str, str]) -> dict[str, str]:
    return {f"{c}.{code}": category for code, category in categories.items() for c in "45"}


def _package_toml(name: str) -> dict[str, Any]:
    return toml.ours(f"rules/{name}")


def _phrases(file: str, content: dict[str, Any]) -> Iterator[Phrase]:
    for category, entries in content.items():
        if category not in CATEGORIES:
            raise BouncekitError(
                f"{file}: [{category}] is no category; use one of {', '.join(CATEGORIES)}."
            )
        if not isinstance(entries, dict):
            raise BouncekitError(
                f'{file}: [{category}] must hold lines such as "phrase" = "a reply it must win".'
            )
        for text, example in entries.items():
            if not isinstance(example, str):
                raise BouncekitError(
                    f"{file}: [{category}] '{text}' needs a reply it must win, as text in quotes."
                )
            yield Phrase(file, category, text, example)


def _spelled_out(phrases: Sequence[Phrase], sets: Sets, within: str | None = None) -> pl.DataFrame:
    """Give every spelling of every phrase, and the key by which it is found in `reply.words`.

    Of our phrases only those spellings whose every part stands `within` a text, if one is given.
    Our keys are put together of those of the parts, of which there are far fewer; a test holds
    that it is the same. The parts of a user's phrase may say more together: "your {mailbox}" is
    the sender's.
    """
    choices = [_choices(phrase, sets) for phrase in phrases]
    ours = [each for phrase, each in zip(phrases, choices, strict=True) if not phrase.is_own]
    keys = _keys({part for each in ours for parts in each for part in parts})
    if within is not None:
        met = {part for part, key in keys.items() if key.strip() in within}
        choices = [
            each if phrase.is_own else [[part for part in parts if part in met] for parts in each]
            for phrase, each in zip(phrases, choices, strict=True)
        ]
    spelled = [list(map("".join, product(*each))) for each in choices]
    keyed = [
        [None] * len(spellings)
        if phrase.is_own
        else list(map(" ".join, product(*_said(each, keys))))
        for phrase, each, spellings in zip(phrases, choices, spelled, strict=True)
    ]
    about = {
        "category": [phrase.category for phrase in phrases],
        "rule": [phrase.rule for phrase in phrases],
        "is_vague": [phrase.is_vague for phrase in phrases],
    }
    types = {"category": pl.String, "rule": pl.String, "is_vague": pl.Boolean}
    numbers = chain.from_iterable(repeat(n, len(each)) for n, each in enumerate(spelled))
    frame = pl.DataFrame(about, schema=types)[pl.Series(numbers, dtype=pl.UInt32)].with_columns(
        pl.Series("spelling", list(chain.from_iterable(spelled)), dtype=pl.String),
        pl.Series("key", list(chain.from_iterable(keyed)), dtype=pl.String),
    )
    key = rest(pl.col("key"), [pl.col("spelling")], reply_text.words, pl.String())
    return frame.with_columns(key=key)


def _keys(parts: Collection[str]) -> dict[str, str]:
    """Give the `reply.words` of parts of phrases."""
    frame = pl.LazyFrame({"part": list(parts)}, schema={"part": pl.String})
    return dict(frame.select("part", key=reply_text.words(pl.col("part"))).collect().iter_rows())


def _said(choices: list[list[str]], keys: dict[str, str]) -> list[list[str]]:
    """Give the words of each part that has any, and what stands before the first and after."""
    said = [[keys[part].strip() for part in parts] for parts in choices]
    return [[""], *(parts for parts in said if parts != [""]), [""]]


def _literals(phrases: Sequence[Phrase], sets: Sets, within: str | None) -> pl.DataFrame:
    frame = _spelled_out(phrases, sets, within)
    _check_telling(frame, phrases)
    bare = pl.col("key").str.strip_chars()
    return frame.select(
        pl.when(bare.str.contains(_WITHOUT_BLANKS)).then(bare).otherwise("key").alias("key"),
        pl.lit("phrase").alias("kind"),
        pl.lit("text").alias("certainty"),
        "category",
        pl.col("spelling").alias("because"),
        "rule",
        "is_vague",
    ).unique("key", keep="first", maintain_order=True)


def first_of(text: pl.Expr, keys: Sequence[str]) -> pl.Expr:
    """Give the number of the first of all keys that stand in the text (UInt32), in one pass."""
    found = text.str.extract_many(
        pl.lit(pl.Series(keys, dtype=pl.String)).implode(), overlapping=True
    )
    numbers = pl.element().cast(pl.Enum(keys)).to_physical()
    return found.list.eval(numbers).list.min().cast(pl.UInt32)


def _check_number(phrases: Sequence[Phrase], sets: Sets) -> None:
    """Sets of words multiply: a line may spell out to more than a memory holds."""
    named = [_SET.findall(phrase.text) for phrase in phrases]
    numbers = [prod(len(sets.get(name, [""])) for name in names) for names in named]
    if sum(numbers) > MOST_SPELLINGS:
        most = max(numbers)
        phrase = phrases[numbers.index(most)]
        raise BouncekitError(
            f"{phrase.file}: its phrases have {sum(numbers):,} spellings, more than "
            f"{MOST_SPELLINGS:,}; [{phrase.category}] '{phrase.text}' alone has {most:,}: name "
            "fewer sets of words in one phrase."
        )


def _check_examples(phrases: Sequence[Phrase], sets: Sets) -> None:
    """A phrase that does not stand in its own example is not understood as its author meant."""
    read = reply_text.words(pl.col("example"))
    examples = pl.DataFrame(
        [(number, phrase.rule, phrase.example) for number, phrase in enumerate(phrases)],
        schema={"number": pl.UInt32, "rule": pl.String, "example": pl.String},
        orient="row",
    ).with_columns(words=read)
    found = examples.join(_spelled_out(phrases, sets), on="rule").filter(
        pl.col("words").str.contains(pl.col("key").str.strip_chars(), literal=True)
    )
    lost = examples.join(found, on="number", how="anti")["number"].to_list()
    if lost:
        phrase = phrases[lost[0]]
        others = len(lost) - 1
        more = f" ({others:,} more of your phrases {'does' if others == 1 else 'do'} not either)"
        raise BouncekitError(
            f"{phrase.file}: [{phrase.category}] '{phrase.text}' does not win its example, since "
            f"its words do not stand in '{shown(phrase.example)}'{more if others else ''}: give it "
            "a reply that holds them one after another."
        )


def shown(example: str) -> str:
    """Give an example as it fits into an error."""
    line = " ".join(example.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _check_telling(frame: pl.DataFrame, phrases: Sequence[Phrase]) -> None:
    """A phrase of several words that filler words shrink to one says less than its author meant."""
    left = pl.col("key").str.strip_chars()
    shrunk = (left == "") | (pl.col("spelling").str.contains(" ") & ~left.str.contains(" "))
    telling = frame.filter(~left.str.contains(_WITHOUT_BLANKS)).filter(shrunk)
    if not telling.is_empty():
        rule, spelling, rest = telling.select("rule", "spelling", "key").row(0)
        phrase = next(phrase for phrase in phrases if phrase.rule == rule)
        raise BouncekitError(
            f"{phrase.file}: [{phrase.category}] '{spelling}' is only '{rest.strip()}' once filler "
            "words are dropped, which says less; use telling words."
        )


def _choices(phrase: Phrase, sets: Sets) -> list[list[str]]:
    """Give the parts of a phrase, each with all that may stand for it."""
    parts = _SET.split(phrase.text)
    unknown = [name for name in parts[1::2] if name not in sets]
    if unknown:
        raise BouncekitError(
            f"{phrase.file}: [{phrase.category}] '{phrase.text}' names {{{unknown[0]}}}, "
            f"which is no set of words; use one of {', '.join(sorted(sets))}."
        )
    return [sets[part] if i % 2 else [part] for i, part in enumerate(parts)]
