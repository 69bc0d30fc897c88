"""Who or what a text names: mailbox providers and blocklists, by the words that call them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.batches import by_batch, is_portable, only, rest
from bouncekit.reply import folded

# What may stand before the first letter of a name: "gmail" is no part of "bigmail.example".
_EDGES = tuple(" .@/[(<-=:;,'\"_\n\t")

_HOST = r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*[a-z]"
# What ends a host that is no page (`/`), no local part (`@`) and no longer name.
_AFTER_HOST = r"(?:[^a-z0-9_.@/:-]|[.:]?(?:[^a-z0-9_.@/:-]|$))"
# A host of any name behind words for being listed, one that is called a list behind others, too.
# Before it may stand the address that was looked up, its octets reversed (RFC 5782 §2.1).
_LIST_HOST = (
    r"(?:(?:(?:blocked|rejected|refused) using|(?:black|block)?[ -]?list(?:ed)? (?:in|at|on|by)"
    r"|\bfound (?:in|on)|\brejected by (?:the )?(?:dnsbl|rbl))(?: the)?"
    r"(?: (?:dnsbl|rbl|rhsbl|list|blacklist|blocklist|database))?[ :=\[(<\"']{1,3}"
    rf"(?:(?:[0-9]{{1,3}}\.){{4}})?({_HOST})"
    r"|(?:^|[ =\[(<\"'])((?:[a-z0-9_-]+\.)*(?:[a-z0-9]+-)?"
    rf"(?:bl|rbl|dnsbl|rhsbl|blocklist|blacklist)[0-9]*(?:-[a-z0-9]+)?\.{_HOST})"
    rf"){_AFTER_HOST}"
).replace(r"\b", r"(?-u:\b)")
_PAGE = "www."
# Addresses, and domains that are no more than a name and its ending.
_SPOKEN_OF = r"\S*@\S+|(?:^|[\s<(\"'=:])[a-z0-9-]+\.(?:com?\.)?[a-z]{2,4}(?:[\s>)\"',;:]|\.?$)"
# Spamhaus' lists (CBL is part of XBL since 2021) without its name, where something is listed.
_OF_SPAMHAUS = r"(zen|sbl|xbl|pbl|css|dbl|cbl)"
_BARE_NAME = (
    rf"(\b(?:(?:black|block)?[ -]?listed (?:in|at|on|by)|(?:rbl|dnsbl)[: ])(?: the)? ?\(?)"
    rf"{_OF_SPAMHAUS}(?:-[a-z]+)?([^a-z0-9.-]|\.?(?:[^a-z0-9.-]|$))"
).replace(r"\b", r"(?-u:\b)")
_LISTED_NAME = rf"(^|[^a-z0-9.-]){_OF_SPAMHAUS} (listed|listing)"


@dataclass(frozen=True)
class Names:
    """Names, and the words by which texts call them; of several the first name counts."""

    entries: Mapping[str, Sequence[str]]

    @cached_property
    def words(self) -> list[str]:
        """All words, in the order of the names."""
        return [word for entry in self.entries.values() for word in entry]

    @cached_property
    def anywhere(self) -> str:
        """An expression that finds any of them."""
        return "|".join(map(re.escape, self.words))

    def named(self, text: pl.Expr) -> pl.Expr:
        """Give the name whose words stand in the text, as words begin."""
        return only(
            [text.str.to_lowercase()],
            lambda text: text.str.contains(self.anywhere),
            self._first if is_portable() else self._first_met,
            pl.String(),
        )

    def speaking(self, text: pl.Expr, is_known: pl.Expr) -> pl.Expr:
        """Give the name of who speaks in a text, where no receiver that is known has one.

        If the receiver's host or address `is_known`, an address or domain in its reply is the
        sender's: `SPF fail: gmail.com does not designate 192.0.2.7`. Hosts and pages speak
        (`support.google.com`).
        """
        first = self._first if is_portable() else self._first_met

        def read(text: pl.Expr, is_known: pl.Expr) -> pl.Expr:
            spoken = pl.when(is_known).then(text.str.replace_all(_SPOKEN_OF, " "))
            return first(spoken.otherwise(text))

        return only(
            [text.str.to_lowercase(), is_known],
            lambda text, _: text.str.contains(self.anywhere),
            read,
            pl.String(),
        )

    def _first_met(self, text: pl.Expr) -> pl.Expr:
        # Each word has many beginnings, and few words are met.
        def read(texts: pl.Series) -> pl.Series:
            met = set(texts.str.extract_many(self.words, overlapping=True).explode())
            few = {name: [*filter(met.__contains__, words)] for name, words in self.entries.items()}
            return texts.to_frame("text").select(Names(few)._first(pl.col("text"))).to_series()

        return by_batch(text, read, pl.String())

    def _first(self, text: pl.Expr) -> pl.Expr:
        beginnings = {
            edge + word: name
            for name, entry in self.entries.items()
            for word in entry
            for edge in (_EDGES if word[0].isalnum() else ("",))
        }
        place = knowledge.first_of(pl.lit(" ") + text, list(beginnings))
        # Within a struct, `gather` is not done by the batch.
        named = pl.Series(list(beginnings.values()), dtype=pl.String)
        return pl.lit(named).implode().list.get(place)


@dataclass(frozen=True)
class Lists(Names):
    """Names of blocklists; one that is not among them is called by its host."""

    def named(self, text: pl.Expr) -> pl.Expr:
        """Give the list that the text names."""
        # texts break lines and double blanks inside of names
        line = (
            folded(text)
            .str.to_lowercase()
            .str.replace_all(_BARE_NAME, "${1}spamhaus $2$3")
            .str.replace_all(_LISTED_NAME, "${1}spamhaus $2 $3")
        )
        return only([line], pl.Expr.is_not_null, self._in_line, pl.String())

    def _in_line(self, line: pl.Expr) -> pl.Expr:
        return rest(super().named(line), [line], _host_of_list, pl.String())


def _host_of_list(text: pl.Expr) -> pl.Expr:
    """Give the host that a text says to be a list."""
    found = text.str.extract_groups(_LIST_HOST)
    host = pl.coalesce(found.struct.field("1"), found.struct.field("2"))
    return pl.when(~host.str.starts_with(_PAGE)).then(host)


@cache
def providers() -> Names:
    """Give the mailbox providers and mail filters of rules/providers.toml."""
    return Names(knowledge.providers())


@cache
def blocklists() -> Lists:
    """Give the blocklists of rules/blocklists.toml."""
    return Lists({name: about["words"] for name, about in knowledge.blocklists().items()})
