"""Recognise who wrote a table and which heading holds what, from the layouts in sources.toml."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit import toml
from bouncekit.errors import BouncekitError
from bouncekit.read.containers import Table
from bouncekit.read.files import NotOursError
from bouncekit.read.guess import Fields, guess, is_list, separator
from bouncekit.schema import BOUNCES

# What a table must have beside addresses to be taken for one of bounces.
EVIDENCE = ("time", "event", "reply", "reply_code", "enhanced_code", "mailing", "message_id")
# The same for addresses in nested objects: what has no more than a text and a time is of anything.
NESTED_EVIDENCE = ("event", "reply_code", "enhanced_code")
# Kinds of tables whose records name their own values: some may lack what others have.
KEYED = ("ndjson", "json", "form", "python")
# What makes two rows the same event, met in overlapping exports; a layout may say otherwise.
SAME_EVENT = ("recipient", "time", "event", "message_id", "mailing", "reply")
# What tells a layout from others, and so is not taken over from the one it is like.
TELLING = ("like", "headings", "has", "any", "file")
# What holds the address in the items of a list of recipients.
EACH = ("each", "each.email", "each.address", "each.recipient")
# What headings begin with that name the item of a list.
PARTS = ("each", "beside")
# Events that a table may have a column for each, and how the headings of such columns may end.
_GRAVEST_FIRST = (
    "complaint",
    "bounce",
    "unsubscribe",
    "dropped",
    "deferral",
    "delivery",
    "engagement",
)
# What a mark holds that says no, and yes.
NOT_SET = ("", "false", "no", "0", "nein", "non", "f", "n")
_SET = ("true", "yes", "1", "ja", "oui", "t", "y")
_MOMENT = re.compile(r"(?i)[\s_-]+(?:at|on|date|time)$")
# What a heading without a name is called, or one that is used twice.
BY_PLACE = re.compile(r"(?:^| )column ?\d+$")
# How databases and programs write that there is nothing.
NULLS = ("NULL", "\\N", "None", "NaN", "nan", "<NA>", "N/A")
MAPPABLE = tuple(column for column in BOUNCES if column not in ("source", "line"))


@dataclass(frozen=True)
class Layout:
    """One way a service writes its tables; the keys are explained in sources.toml."""

    name: str
    fields: Fields
    headings: frozenset[str] = frozenset()
    has: frozenset[str] = frozenset()
    file: str = ""
    event: str = ""
    verdict: str = ""
    time_format: str | None = None
    own: bool = False
    any: frozenset[str] = frozenset()
    inside: frozenset[str] = frozenset()
    about: frozenset[str] = frozenset()
    each: tuple[str, ...] = ()
    separator: str = ""
    beside: tuple[str, ...] = ()
    cut: str = ""
    join: Fields = field(default_factory=dict)
    within: Mapping[str, str] = field(default_factory=dict)
    marks: Fields = field(default_factory=dict)
    blank: tuple[str, ...] = ()
    zone: str = ""
    comment: str = ""
    same: tuple[str, ...] = SAME_EVENT
    single: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    weak: frozenset[str] = frozenset()
    called: tuple[tuple[str, str], ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The name of the service alone."""
        return self.name.partition(".")[0]

    def fits(self, headings: frozenset[str]) -> bool:
        """True for a table with such folded headings."""
        if self.headings:
            return self.headings == {
                heading for heading in headings if not BY_PLACE.search(heading)
            }
        has_any = not self.any or bool(self.any & headings)
        return bool(self.has) and self.has <= headings and has_any

    @property
    def virtual(self) -> tuple[str, ...]:
        """Headings of its fields that no file has: parts of lists, and joined ones."""
        named = (heading for headings in self.fields.values() for heading in headings)
        return tuple(h for h in named if h in self.join or h.partition(".")[0] in PARTS)


@dataclass(frozen=True)
class Options:
    """What the user said about the files; None where nothing."""

    source: str | None = None
    tz: str | None = None
    year: int | None = None
    mapping: Mapping[str, str] | None = None
    verp_key: str | bytes | None = None


def fold(heading: str) -> str:
    """A heading without case, space and signs.

    >>> fold("E-Mail Address") == fold("email_address")
    True
    """
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", heading).lower())


@cache
def layouts() -> tuple[Layout, ...]:
    """All layouts of sources.toml in the order they are tried."""
    data = toml.ours("read/sources.toml")
    entries: dict[str, dict[str, Any]] = {}
    for service, named in data.items():
        for name, entry in named.items():
            like = entries.get(entry.get("like", ""), {})
            inherited = {key: value for key, value in like.items() if key not in TELLING}
            entries[f"{service}.{name}"] = inherited | entry
    return tuple(_layout(name, entry) for name, entry in entries.items())


def _layout(name: str, entry: dict[str, Any]) -> Layout:
    return Layout(
        name=name,
        fields=_headings(entry.get("fields", {})),
        headings=frozenset(map(fold, entry.get("headings", ()))),
        has=frozenset(map(fold, entry.get("has", ()))),
        file=entry.get("file", ""),
        event=entry.get("event", ""),
        verdict=entry.get("class", ""),
        time_format=entry.get("time_format"),
        any=frozenset(map(fold, entry.get("any", ()))),
        inside=frozenset(map(fold, entry.get("inside", ()))),
        about=frozenset(map(fold, entry.get("about", ()))),
        each=tuple(entry.get("each", ())),
        separator=entry.get("separator", ""),
        beside=tuple(entry.get("beside", ())),
        cut=entry.get("cut", ""),
        join=_headings(entry.get("join", {})),
        within={fold(heading): found for heading, found in entry.get("within", {}).items()},
        marks=_headings(entry.get("marks", {})),
        blank=tuple(entry.get("blank", ())),
        zone=entry.get("zone", ""),
        comment=entry.get("comment", ""),
        same=tuple(entry.get("same", SAME_EVENT)),
        single=frozenset(map(fold, entry.get("single", ()))),
        own=entry.get("own", False),
        doubtful=frozenset(map(fold, entry.get("doubtful", ()))),
        weak=frozenset(map(fold, entry.get("weak", ()))),
        called=tuple(map(tuple, entry.get("called", ()))),
        words={
            spelling: event
            for event, words in entry.get("events", {}).items()
            for word in words
            for spelling in (word, fold(word))
        },
    )


def _headings(entry: dict[str, str | list[str]]) -> dict[str, tuple[str, ...]]:
    """Headings by what they are for, always several."""
    return {
        name: (headings,) if isinstance(headings, str) else tuple(headings)
        for name, headings in entry.items()
    }


def is_of_service(seen: Iterable[str]) -> bool:
    """True for the headings of a record that some service writes."""
    folded = frozenset(map(fold, seen))
    return any(layout.fits(folded) for layout in layouts())


def known_headings(seen: Iterable[str]) -> tuple[str, ...]:
    """Headings that records like those with the headings `seen` may have besides."""
    folded = frozenset(map(fold, seen))
    fitting = [layout for layout in layouts() if layout.fits(folded)] or [layouts()[-1]]
    headings = (
        heading
        for layout in fitting
        for part in (layout.fields, layout.join, layout.marks, {"": layout.each})
        for names in part.values()
        for heading in names
        if heading not in layout.virtual
    )
    return tuple(dict.fromkeys(headings))


def recognise(table: Table, sample: pl.DataFrame, path: Path, options: Options) -> Layout:
    """The layout of a table, its fields narrowed to headings the table has.

    Raises NotOursError where nothing in it is an address, BouncekitError where `options` don't fit.
    """
    headings: dict[str, str] = {}
    for heading in [*table.cells, *table.later]:
        headings.setdefault(fold(heading), heading)
    seen = frozenset(map(fold, table.cells))
    mapped = _mapped(options, headings, table, path)
    layout = _fitting(seen, path, options)
    wrapped = _unwrapped(layout, table)
    headings |= {name: wrapped[name] for name in wrapped if name not in seen}
    fields = _present(layout, {**headings, **{fold(name): name for name in layout.virtual}})
    if layout.service == "generic":
        doubtful = {heading for heading in table.cells if fold(heading) in layout.doubtful}
        for column in ("time", "reply"):
            if not any(heading in table.cells for heading in fields.get(column, ())):
                fields[column] = (*_worded(layout, column, table), *fields.get(column, ()))
        fields = guess(fields, sample, layout.words, doubtful)
        if "event" not in fields:
            marks = _marks(layout, table, sample)
            layout = replace(layout, marks=marks, event="" if marks else _called(layout, path))
        if not any(heading in sample.columns for heading in fields.get("recipient", ())):
            fields.pop("recipient", None)
        elif sample.select(is_list(pl.col(fields["recipient"][0])).any()).item():
            layout = replace(layout, each=fields["recipient"])
            codes = (*fields.get("enhanced_code", ()), "each.status")
            fields |= {"recipient": EACH, "enhanced_code": codes}
        elif mark := separator(sample[fields["recipient"][0]]):
            layout = replace(layout, each=fields["recipient"], separator=mark)
            fields["recipient"] = EACH
        if sample.select(pl.any_horizontal(pl.all().is_in(NULLS)).any()).item():
            layout = replace(layout, blank=NULLS)
    elif table.kind in KEYED:
        fields.setdefault("recipient", ())  # a service's record without an address is a row, too
    fields |= mapped
    named = clipped(table.cells)
    way_out = 'say mapping={"recipient": HEADING} (on the command line --map recipient=HEADING)'
    if "recipient" not in fields and table.kind == "csv" and len(table.cells) < 2:
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    if "recipient" not in fields:
        raise NotOursError(
            f"{path} has no column of addresses among its headings ({named}): {way_out}."
        )
    asked = options.source or mapped
    if layout.service == "generic" and not (asked or _has_evidence(layout, fields, table, path)):
        raise NotOursError(
            f"{path} has addresses but neither reply, code, event nor date of a bounce beside them "
            f'(headings: {named}): if each of them bounced, say source="generic".'
        )
    return replace(layout, fields=fields)


def _has_evidence(layout: Layout, fields: Fields, table: Table, path: Path) -> bool:
    """True where there is more than addresses, or the file's name says what they are."""
    is_nested = "." in (*layout.each, *fields["recipient"])[0]
    columns = NESTED_EVIDENCE if is_nested else EVIDENCE
    told = {h for column in columns for h in fields.get(column, ()) if h in table.cells}
    return not layout.weak.issuperset(map(fold, told)) or bool(_called(layout, path))


def _called(layout: Layout, path: Path) -> str:
    """The event that a file's name says its records tell of; empty if it says none."""
    name = path.name.casefold()
    return next((event for pattern, event in layout.called if re.search(pattern, name)), "")


def told_by_name(path: Path) -> frozenset[str]:
    """What a file's name says its records are: the layouts that only files of such names have.

    And the events, each by its pattern.
    """
    name = path.name.casefold()
    named = {layout.name for layout in layouts() if layout.file and re.search(layout.file, name)}
    events = {event for pattern, event in layouts()[-1].called if re.search(pattern, name)}
    return frozenset(named | events)


def _unwrapped(layout: Layout, table: Table) -> dict[str, str]:
    """Headings of nested objects without what only wraps them, the least wrapped first.

    `data.bounce.reason` is also a `bounce.reason` and a `reason`.
    """
    names: dict[str, str] = {}
    split = [(heading.split("."), heading) for heading in table.cells if "." in heading]
    for depth in range(1, 5):
        for keys, heading in split:
            if len(keys) > depth and layout.inside.issuperset(map(fold, keys[:depth])):
                names.setdefault(fold(".".join(keys[depth:])), heading)
    return names


def _worded(layout: Layout, column: str, table: Table) -> tuple[str, ...]:
    """Headings that begin or end with a word for the column and are about a failure.

    `Date du rejet` is a time, `Bounce details` a reply; `Signup date` is anything.
    """
    names = set(map(fold, layout.fields[column]))
    found = []
    for heading in table.cells:
        words = [fold(word) for word in re.findall(r"[^\W_]+", heading)]
        if "." not in heading and layout.about & set(words) and names & {words[0], words[-1]}:
            found.append(heading)
    return tuple(found)


def _marks(layout: Layout, table: Table, sample: pl.DataFrame) -> Fields:
    """Columns that each stand for an event, the gravest first: `Delivered, Bounced, Complained`.

    `Bounced` alone is one if its cells say yes or no.
    """
    found: dict[str, tuple[str, ...]] = {}
    for heading in table.cells:
        event = layout.words.get(fold(_MOMENT.sub("", heading)), "")
        found[event] = (*found.get(event, ()), heading)
    marks = {event: found[event] for event in _GRAVEST_FIRST if event in found}
    several = len(marks) > 1
    told = marks.get("bounce", ())
    return marks if told and (several or all(_are_answers(sample[h]) for h in told)) else {}


def _are_answers(cells: pl.Series) -> bool:
    words = cells.drop_nulls().str.strip_chars().str.to_lowercase()
    return bool((words != "").any() and words.is_in([*NOT_SET, *_SET]).all())


def clipped(headings: Iterable[str]) -> str:
    """Headings for an error message: hostile or odd files have very long ones, and broken lines."""
    lines = (" ".join(heading.split()) for heading in headings)
    short = [line if len(line) <= 40 else line[:39] + "…" for line in lines]
    return ", ".join(short[:30] + ["…"] * (len(short) > 30)) or "none"


def _mapped(
    options: Options, headings: Mapping[str, str], table: Table, path: Path
) -> dict[str, tuple[str, ...]]:
    """The user's mapping with headings as the file spells them."""
    mapped: dict[str, tuple[str, ...]] = {}
    for column, heading in (options.mapping or {}).items():
        if column == "time_format":
            continue
        if fold(heading) not in headings:
            raise BouncekitError(
                f"{path} has no heading {heading!r} for {column}: it has {clipped(table.cells)}."
            )
        mapped[column] = (headings[fold(heading)],)
    return mapped


def _fitting(seen: frozenset[str], path: Path, options: Options) -> Layout:
    """The first layout that fits the headings, the file's name and the source asked for."""
    asked = options.source
    offered = [
        layout
        for layout in layouts()
        if asked in (None, layout.service, layout.name)
        and (asked == layout.name or re.search(layout.file, path.name.casefold()))
    ]
    fitting = next((layout for layout in offered if layout.fits(seen)), None)
    if fitting or asked is None:
        return fitting or layouts()[-1]
    return max(offered, key=lambda layout: len(_present(layout, dict.fromkeys(seen, ""))))


def _present(layout: Layout, headings: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The layout's fields with those of their headings a file has, as the file spells them."""
    fields = {
        column: tuple(dict.fromkeys(headings[h] for h in map(fold, names) if h in headings))
        for column, names in layout.fields.items()
    }
    return {column: names for column, names in fields.items() if names}
