"""What the command line says of a run, in words."""

import re
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from bouncekit.files import one_line, printable

if TYPE_CHECKING:  # Polars is loaded by the commands that need it: --help answers at once
    from collections.abc import Callable, Iterator

    import polars as pl

# What a line begins with: blanks, and a heading with blanks behind it.
_HEADING = re.compile(r" *(?:\S+(?: \S+){0,2}  +)?")
# Characters in a line of an example, beside the margin of a table.
EXAMPLE_WIDTH = 66
# A run that would remove more of a list than this is more often a mistake than a dead list.
LOUD_SHARE = 0.3


def say(text: str) -> None:
    """Print text that steers no terminal, in lines that fit into it."""
    print(_fitted(printable(text)) if sys.stdout.isatty() else printable(text))


def _fitted(text: str) -> str:
    """Break long lines between words, and begin what follows under what was said first."""
    width = get_terminal_size().columns

    def broken(line: str) -> str:
        heading = _HEADING.match(line)
        hanging = " " * (heading.end() if heading else 0)
        fitted = wrap(line, width, subsequent_indent=hanging, break_on_hyphens=False)
        return "\n".join(fitted) if len(line) > width else line

    return "\n".join(map(broken, text.split("\n")))


def tell(sentence: str) -> None:
    """Print one line, whatever the files and addresses in it are called."""
    print(one_line(sentence))


@contextmanager
def telling_beside(output: Path) -> "Iterator[None]":
    """Tell on the standard error meanwhile, if the standard output is what is written to."""
    from bouncekit.drafts import is_stream

    with redirect_stdout(sys.stderr) if is_stream(output) else nullcontext():
        yield


def count_of(number: int, noun: str, nouns: str = "") -> str:
    """Give a number and what it counts, in the plural where it is not one."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def in_pairs(*pairs: tuple[str, str]) -> str:
    """Give lines of a heading and what is said under it."""
    return "\n".join(f"  {heading:<12}{said}" for heading, said in pairs)


def listed(title: str, items: list[str]) -> str:
    """Give a title and its items, each on a line."""
    return "\n".join([f"{title}:", *(f"  {item}" for item in items)])


@contextmanager
def progress_of(what: str) -> "Iterator[Callable[[int], None]]":
    """Show on a terminal how much is done; gives the function to tell it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} " + what), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)
        yield lambda more: bar.advance(task, more)


def verdicts(decisions: "pl.DataFrame") -> str:
    """Say how many addresses got which verdict."""
    counts = dict(decisions["verdict"].cast(str).value_counts().iter_rows())
    said = ", ".join(f"{verdict} {counts[verdict]:,}" for verdict in _order() if verdict in counts)
    if not said:
        return "Decided on no recipients."
    return f"Decided on {count_of(decisions.height, 'recipient')}: {said}."


def replayed(row: dict[str, Any]) -> str:
    """Say what one policy would have done."""
    said = (
        f"{row['policy']}: removes {count_of(row['removed'], 'address', 'addresses')}, "
        f"{row['lost']:,} of which took or opened mail later; "
        f"saves {count_of(row['sends_saved'], 'send')}, {row['bounces_avoided']:,} of them bounces"
    )
    if row["rate"] is not None:
        said += f"; {row['rate']:.1%} of the rest bounce"
    if row["days_to_removal"] is not None:
        said += f"; the dead go after {row['days_to_removal']:.0f} days (median)"
    if row.get("recall") is not None:
        precise = "none" if row["precision"] is None else f"{row['precision']:.1%}"
        said += (
            f"; by the truth {row['good_lost']:,} good addresses lost, "
            f"precision {precise}, recall {row['recall']:.1%}"
        )
    return said + "."


def _order() -> tuple[str, ...]:
    from bouncekit.schema import VERDICTS

    return VERDICTS


def causes(decisions: "pl.DataFrame") -> str:
    """Say for what addresses would be removed."""
    removed = decisions.filter(decisions["verdict"] == "remove")["category"].cast(str)
    counts = removed.value_counts().sort("count", "category", descending=[True, False])
    return "To remove: " + ", ".join(f"{cause} {count:,}" for cause, count in counts.iter_rows())


def warn_of(decisions: "pl.DataFrame", problems: "pl.DataFrame") -> None:
    """Say loudly that much of a list goes, and what the sender has to mend."""
    removed = (decisions["verdict"] == "remove").sum()
    if decisions.height and removed / decisions.height > LOUD_SHARE:
        say(
            f"WARNING: that removes {removed / decisions.height:.0%} of the recipients. Look at "
            "the list before you use it, or give the deliveries too: an export of bounces alone "
            "holds no good addresses."
        )
    for row in problems.head(3).iter_rows(named=True):
        of = f" on {row['blocklist']}" if row["blocklist"] else ""
        last = f", last {row['last_seen']:%Y-%m-%d}" if row["last_seen"] else ""
        many = "recipient" if row["recipients"] == 1 else "recipients"
        touched = f"{row['recipients']:,} {many}{last}"
        tell(f"TO FIX: {row['category']}{of} at {row['provider']}, {touched}. {row['what_to_do']}")


def tell_unmatched(bounces: "pl.LazyFrame") -> None:
    """Say how many events matched nothing that was sent, and where most of them are."""
    from bouncekit.sent import unmatched

    found = unmatched(bounces)
    tell(f"{count_of(int(found['events'].sum()), 'event')} matched nothing that was sent.")
    for row in found.head(3).iter_rows(named=True):
        first, last = row["first_seen"], row["last_seen"]
        when = f", {first:%Y-%m-%d} to {last:%Y-%m-%d}" if first else ""
        tell(
            f"UNMATCHED: {row['category']} ({row['event']}) at {row['provider']}: "
            f"{count_of(row['events'], 'event')}, {row['share']:.0%} of all such, "
            f"for {count_of(row['recipients'], 'recipient')}{when}."
        )


def checked(rules: Path, phrases: int, shadowed: "pl.DataFrame") -> str:
    """Say what the check of a file of rules found."""
    if not phrases:
        return f"{one_line(str(rules))}: usable; it holds no phrase yet."
    many = f"{one_line(str(rules))}: usable; {count_of(phrases, 'phrase')} of your own"
    if shadowed.is_empty():
        return f"{many}, each wins its own example."
    lost = [f"{row['rule']}  (by {row['won_by']})" for row in shadowed.iter_rows(named=True)]
    way_out = "The example of these is won by another of your phrases: move them up or narrow that"
    return f"{many}.\n{listed(way_out, lost)}"


def changed(changes: "pl.DataFrame", rows: int) -> str:
    """Say which rows change their category, a line or three for each kind of change."""
    if changes.is_empty():
        return f"Nothing changes: none of {count_of(rows, 'event')} gets another category."
    events = int(changes["events"].sum())
    head = f"{events:,} of {count_of(rows, 'event')} change{'s' * (events == 1)}:"
    wide = max(len(f"{events:,}"), len("events"))
    lines = [f"{'events':>{wide}}  templates  category", *_change_lines(changes, wide)]
    return "\n".join(["", head, "", *lines]).rstrip()


def _change_lines(changes: "pl.DataFrame", wide: int) -> "Iterator[str]":
    margin = " " * (wide + len("  templates  "))
    for row in changes.iter_rows(named=True):
        yield f"{row['events']:>{wide},}  {row['templates']:>9,}  {row['was']} -> {row['becomes']}"
        if row["was_fault"] != row["fault"] or row["effect"]:
            means = f": this {row['effect']}" if row["effect"] else ""
            touched = (
                f" ({count_of(row['recipients'], 'recipient')})" if "recipients" in row else ""
            )
            faults = f"{row['was_fault']} -> {row['fault']}{means}{touched if means else ''}"
            yield f"{margin}{'!' if means else ' '} fault    {faults}"
        yield f"{margin}  rule     {row['rule']}"
        first, *more = wrap(row["example"], EXAMPLE_WIDTH, max_lines=3, placeholder=" ...")
        yield "\n".join([f"{margin}  example  {first}", *(f"{margin}{' ' * 11}{m}" for m in more)])
        yield ""
