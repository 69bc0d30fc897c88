"""The command line: explain, codes, classify, decide, backtest, report, lab, rules."""

from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bouncekit import endings
from bouncekit.errors import BouncekitError
from bouncekit.files import printable

if TYPE_CHECKING:  # Polars is loaded by the commands that need it: --help answers at once
    from collections.abc import Callable, Iterator

    import polars as pl

    from bouncekit.read import Reading

# Characters in a line of an example, beside the margin of a table.
EXAMPLE_WIDTH = 66
# A run that would remove more of a list than this is more often a mistake than a dead list.
LOUD_SHARE = 0.3

app = typer.Typer(
    help="Why did it bounce, whose fault is it, and which addresses must come off the list?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

rules_app = typer.Typer(
    help="Rules of your own: check them, see what they change, draft new ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(rules_app, name="rules")

Exports = Annotated[
    list[str],
    typer.Argument(
        help="Files, folders or patterns: CSV, JSON, Excel, Parquet, mbox, eml, .zip, .gz, ..."
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option("--map", help="What a heading means: --map recipient=Mail. May be repeated."),
]
Source = Annotated[str | None, typer.Option(help="The kind of export, if it is not recognised.")]
Zone = Annotated[str | None, typer.Option("--tz", help="Time zone of times without one (UTC).")]
Rules = Annotated[str | None, typer.Option(help="A TOML file of your own phrases; they win.")]
PolicyName = Annotated[str, typer.Option("--policy", help="A policy's name, or your .toml file.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        help="Decide as of this day (UTC); else the last event.",
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
    ),
]


@app.command()
def explain(
    reply: Annotated[list[str], typer.Argument(help="The reply's text; quotes are not needed.")],
    rules: Rules = None,
) -> None:
    """Say what one reply means, whose fault it is, and which words decided."""
    from bouncekit.explain import explain as explained

    # What is no text in the terminal's encoding reaches us as lone surrogates (PEP 383).
    said = " ".join(reply).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    _say(repr(explained(said, rules)))


@app.command()
def codes(
    code: Annotated[str | None, typer.Argument(help="550 or 5.1.1; without it, all codes.")] = None,
) -> None:
    """Say what SMTP reply codes and enhanced status codes mean, and what to do about them."""
    from bouncekit import codes as reference

    if code is not None:
        about = reference.describe(code)
        _say(f"{about.code}  {about.title}\n")
        _say(_pairs(("meaning", about.meaning), ("who cares", about.who)))
        _say(_pairs(("what to do", about.what_to_do), ("source", about.source)))
        return
    for row in reference.reply_codes().iter_rows(named=True):
        _say(f"{row['code']}    {row['meaning']}")
    _say("")
    for row in reference.enhanced_codes().iter_rows(named=True):
        _say(f"{row['code']:<8}{row['name']}")
    _say("\nMore on one of them: bouncekit codes 550, bouncekit codes 5.1.1")


@app.command()
def classify(
    exports: Exports,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A .parquet, .csv or .ndjson file.")
    ],
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
    rules: Rules = None,
) -> None:
    """Read exports, classify each row, and write them all to one file."""
    from bouncekit.classify import classify as classified
    from bouncekit.drafts import scratch, whole_file
    from bouncekit.files import without_formulas
    from bouncekit.read.stored import store

    if output.suffix not in (".parquet", ".csv", ".ndjson", ".jsonl"):
        raise BouncekitError(f"{output}: write to a file that ends in .parquet, .csv or .ndjson.")
    with scratch() as folder, _progress("rows read") as progress:
        account = store(
            *exports,
            folder=folder,
            source=source,
            tz=tz,
            mapping=_mapping(mapping),
            progress=progress,
        )
        frame = classified(account.lazy, rules=rules)
        with whole_file(output) as draft:
            if output.suffix == ".parquet":
                frame.sink_parquet(draft)
            elif output.suffix == ".csv":
                _flat(without_formulas(frame)).sink_csv(draft)
            else:
                _flat(frame).sink_ndjson(draft)
        said, rows = str(account), account.rows
    _say(said)
    _say(f"Wrote {rows:,} classified rows to {output}.")


@app.command()
def decide(
    exports: Exports,
    output: Annotated[Path, typer.Option("-o", "--output", help="The removal list, a CSV file.")],
    policy: PolicyName = "article",
    service: Annotated[str, typer.Option(help="Whose import format to write.")] = "csv",
    previous: Annotated[Path | None, typer.Option(help="The list before this one.")] = None,
    as_of: AsOf = None,
    guard: Annotated[
        bool, typer.Option(help="Hold removals that rest on a provider's outage.")
    ] = True,
    sent: Annotated[
        Path | None,
        typer.Option(help="What was sent (recipients, message ids); what nobody sent won't count."),
    ] = None,
    back: Annotated[
        Path | None,
        typer.Option("--bring-back", help="Where to list who was refused for an outage only."),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Write the list even if it removes more than 30 % of all seen.")
    ] = False,
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
    rules: Rules = None,
) -> None:
    """Read exports, decide which addresses come off the list, and write the removal list."""
    from bouncekit.alerts import alerts, problems
    from bouncekit.classify import classify as classified
    from bouncekit.history import last_event
    from bouncekit.policy import decide as decided
    from bouncekit.run import run_facts
    from bouncekit.sent import match_sent
    from bouncekit.suppress import write_suppressions

    reading = _read(exports, source, tz, mapping)
    bounces = classified(reading.frame, rules=rules)
    if sent is not None:
        bounces = match_sent(bounces, sent).lazy().collect()
    day = _utc(as_of) or last_event(bounces)
    decisions = decided(bounces, policy, as_of=day, guard=guard)
    run = run_facts(
        exports,
        policy,
        day,
        guard=guard,
        sent=sent,
        rules=rules,
        options={"source": source, "tz": tz, "map": mapping},
    )
    if not force:
        _refuse_to_empty(decisions, sent)
    returning = None if back is None else _bring_back(bounces, day, previous, back)
    change = write_suppressions(decisions, output, service, previous, run=run)
    _say(reading.summary)
    if sent is not None:
        _say(f"{_many(int(bounces['unmatched'].sum()), 'event')} matched nothing that was sent.")
    _say(_verdicts(decisions))
    if previous is not None:
        counts = dict(change["change"].cast(str).value_counts().iter_rows())
        _say(", ".join(f"{counts.get(k, 0):,} {k}" for k in ("added", "kept", "withdrawn")) + ".")
    _say(f"Wrote the removal list to {output}.")
    if returning is not None:
        _say(f"Wrote {_many(returning, 'address', 'addresses')} to bring back to {back}.")
    _warn_of(decisions, problems(alerts(bounces, as_of=_utc(as_of))))


@app.command()
def backtest(
    exports: Exports,
    policy: Annotated[
        list[str], typer.Option("--policy", help="A policy's name or .toml file; repeat it.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="A CSV of what the mailboxes were: recipient, state, until.")
    ] = None,
    guard: Annotated[bool, typer.Option(help="Let no removal rest on a provider's outage.")] = True,
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
    rules: Rules = None,
) -> None:
    """Say what policies would have removed, saved and lost on the history in your exports."""
    import polars as pl

    from bouncekit.backtest import backtest as backtested
    from bouncekit.classify import classify as classified

    known = None
    if truth is not None:
        try:
            known = pl.read_csv(truth)
        except (OSError, pl.exceptions.PolarsError) as problem:
            said = str(problem).splitlines()[0]
            raise BouncekitError(f"{truth}: not readable as CSV: {said}; check it.") from None
    reading = _read(exports, source, tz, mapping)
    table = backtested(classified(reading.frame, rules=rules), policy, truth=known, guard=guard)
    _say(reading.summary)
    for row in table.iter_rows(named=True):
        _say(_replayed(row))


@app.command()
def report(
    exports: Exports,
    output: Annotated[Path, typer.Option("-o", "--output", help="The report's folder.")],
    policy: PolicyName = "article",
    mask: Annotated[bool, typer.Option(help="Show masked addresses only.")] = True,
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
    rules: Rules = None,
) -> None:
    """Run the notebooks on your exports and write one folder to open in a browser."""
    from bouncekit.report import usable, write_report

    rules = usable(rules)  # a mistake in there is told before anything is read
    reading = _read(exports, source, tz, mapping)
    _say(reading.summary)
    page = write_report(reading, output, policy=policy, mask=mask, rules=rules, progress=True)
    _say(f"Wrote the report: open {page} in a browser.")


@app.command()
def lab(
    exports: Annotated[list[str] | None, typer.Argument(help="Exports to look at.")] = None,
    folder: Annotated[Path, typer.Option(help="Where your copies of the notebooks live.")] = Path(
        "bouncekit-notebooks"
    ),
    rules: Rules = None,
) -> None:
    """Open JupyterLab on your own copies of the notebooks; what is there is never overwritten."""
    from bouncekit.notebooks import all_notebooks
    from bouncekit.report import open_lab, usable

    rules = usable(rules)
    kept = sum((folder / notebook.name).exists() for notebook in all_notebooks())
    if kept and (exports or rules):
        _say(
            f"{folder}: {_many(kept, 'notebook')} there already, left as before. Set EXPORT and "
            "RULES there yourself, or choose another --folder."
        )
    open_lab(exports or [], folder, rules)


@rules_app.command("check")
def check_rules(
    rules: Annotated[Path, typer.Argument(help="The TOML file of your own phrases.")],
    exports: Annotated[
        list[str] | None,
        typer.Argument(help="Exports to try them on; a CSV with a column of replies will do."),
    ] = None,
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
) -> None:
    """Check a file of your own rules, and show what it would change in your exports."""
    from bouncekit import own_rules

    shadowed = own_rules.check(rules)
    phrases = own_rules.own_phrases(rules)
    _say(_checked(rules, len(phrases), shadowed))
    if not exports:
        return
    frame = _replies(exports, source, tz, mapping)
    won = own_rules.won(frame, rules)
    changes = won.filter(won["was"].ne_missing(won["becomes"]))
    _say(_changes(changes, frame.height))
    decisive = {*won["rule"], *shadowed["rule"]}
    idle = [phrase.rule for phrase in phrases if phrase.rule not in decisive]
    if idle:
        _say("\n" + _listed("These phrases won no reply there", idle))


@rules_app.command("draft")
def draft_rules(
    exports: Exports,
    output: Annotated[Path, typer.Option("-o", "--output", help="The TOML file to begin with.")],
    at_most: Annotated[int, typer.Option(min=1, help="How many replies to propose.")] = 50,
    source: Source = None,
    tz: Zone = None,
    mapping: Map = None,
    rules: Rules = None,
) -> None:
    """Write the most frequent replies without a cause as a file, ready to become rules."""
    from bouncekit import own_rules
    from bouncekit.classify import classify as classified
    from bouncekit.counts import unclassified
    from bouncekit.drafts import whole_file

    if output.exists():  # it may hold hours of somebody's work
        raise BouncekitError(f"{output}: is there already; choose another file with -o.")
    if rules is not None:
        own_rules.own_phrases(rules)  # a mistake in there is told before anything is read
    templates = unclassified(classified(_replies(exports, source, tz, mapping), rules=rules))
    proposed = own_rules.proposals(templates, at_most)
    with whole_file(output) as path:
        path.write_text(own_rules.draft(templates, at_most), encoding="utf-8")
    without, covered = int(templates["events"].sum()), int(proposed["events"].sum())
    _say(
        f"{_many(without, 'event')} without a cause, in {_many(templates.height, 'template')}. "
        f"Wrote {_many(proposed.height, 'phrase')} for {covered:,} of them to {output}: "
        "it says how they become rules."
    )


def main() -> None:
    """Run the command line; trouble that a user can mend is one sentence and exit code 2."""
    endings.run(app)


def _read(
    exports: list[str], source: str | None, tz: str | None, mapping: list[str] | None
) -> "Reading":
    from bouncekit.read import load

    return load(*exports, source=source, tz=tz, mapping=_mapping(mapping))


def _replies(
    exports: list[str], source: str | None, tz: str | None, mapping: list[str] | None
) -> "pl.DataFrame":
    """Read exports, or plain tables of replies where there are no addresses; tell what was read."""
    import polars as pl

    from bouncekit.own_rules import replies
    from bouncekit.read.files import NotOursError

    try:
        reading = _read(exports, source, tz, mapping)
    except NotOursError:
        heading = (_mapping(mapping) or {}).get("reply")
        tables = [replies(export, heading) for export in exports]
        if any(table is None for table in tables):
            raise
        frame = pl.concat(table for table in tables if table is not None)
        _say(f"Read {_many(frame.height, 'reply', 'replies')} without addresses.")
        return frame
    _say(reading.summary)
    return reading.frame


def _mapping(pairs: list[str] | None) -> dict[str, str] | None:
    """Take `recipient=Mail` apart."""
    for pair in pairs or []:
        if "=" not in pair:
            raise BouncekitError(
                f"--map {pair}: write the column, '=', and the heading: --map recipient=Mail."
            )
    return dict(pair.split("=", 1) for pair in pairs) if pairs else None


def _utc(day: datetime | None) -> datetime | None:
    from datetime import UTC

    return day and day.replace(tzinfo=UTC)


def _verdicts(decisions: "pl.DataFrame") -> str:
    counts = dict(decisions["verdict"].cast(str).value_counts().iter_rows())
    said = ", ".join(f"{verdict} {counts[verdict]:,}" for verdict in _order() if verdict in counts)
    return f"Decided on {decisions.height:,} recipients: {said or 'nobody'}."


def _replayed(row: dict[str, Any]) -> str:
    """Say what one policy would have done."""
    said = (
        f"{row['policy']}: removes {_many(row['removed'], 'address', 'addresses')}, "
        f"{row['lost']:,} of which took or opened mail later; "
        f"saves {_many(row['sends_saved'], 'send')}, {row['bounces_avoided']:,} of them bounces"
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


def _refuse_to_empty(decisions: "pl.DataFrame", sent: Path | None) -> None:
    """Stop a run that would take too much of the list: if the list was seen, not bounces alone."""
    from bouncekit.sent import sent_messages
    from bouncekit.suppress import refuse_if_too_many

    seen = decisions.height
    if sent is not None:
        table = sent_messages(sent)
        if "recipient" in table.collect_schema().names():
            seen = max(seen, int(table.collect()["recipient"].n_unique()))
    elif decisions["last_delivery"].null_count() == decisions.height:
        return  # no good address is in there: a share of it says nothing, a warning does
    refuse_if_too_many(int((decisions["verdict"] == "remove").sum()), seen, LOUD_SHARE)


def _bring_back(
    bounces: "pl.DataFrame", as_of: datetime | None, previous: Path | None, to: Path
) -> int:
    """Write who was refused for an outage only (of the last list, if any); say how many."""
    from bouncekit.bring_back import bring_back
    from bouncekit.drafts import whole_file
    from bouncekit.files import without_formulas
    from bouncekit.suppress import listed

    removed = listed(previous) if previous is not None else None
    found = bring_back(bounces, removed=removed, as_of=as_of)
    with whole_file(to) as draft:
        without_formulas(found).write_csv(draft)
    return found.height


def _warn_of(decisions: "pl.DataFrame", problems: "pl.DataFrame") -> None:
    removed = (decisions["verdict"] == "remove").sum()
    if decisions.height and removed / decisions.height > LOUD_SHARE:
        _say(
            f"WARNING: that removes {removed / decisions.height:.0%} of the recipients. Look at "
            "the list before you use it, or give the deliveries too: an export of bounces alone "
            "holds no good addresses."
        )
    for row in problems.head(3).iter_rows(named=True):
        of = f" on {row['blocklist']}" if row["blocklist"] else ""
        last = f", last {row['last_seen']:%Y-%m-%d}" if row["last_seen"] else ""
        many = "recipient" if row["recipients"] == 1 else "recipients"
        touched = f"{row['recipients']:,} {many}{last}"
        _say(f"TO FIX: {row['category']}{of} at {row['provider']}, {touched}. {row['what_to_do']}")


def _checked(rules: Path, phrases: int, shadowed: "pl.DataFrame") -> str:
    """Say what the check of a file of rules found."""
    if not phrases:
        return f"{rules}: usable; it holds no phrase yet."
    many = f"{rules}: usable; {_many(phrases, 'phrase')} of your own"
    if shadowed.is_empty():
        return f"{many}, each wins its own example."
    lost = [f"{row['rule']}  (by {row['won_by']})" for row in shadowed.iter_rows(named=True)]
    way_out = "The example of these is won by another of your phrases: move them up or narrow that"
    return f"{many}.\n{_listed(way_out, lost)}"


def _changes(changes: "pl.DataFrame", rows: int) -> str:
    """Say which rows change their category, a line or three for each kind of change."""
    if changes.is_empty():
        return f"Nothing changes: none of {_many(rows, 'event')} gets another category."
    events = int(changes["events"].sum())
    head = f"{events:,} of {_many(rows, 'event')} change{'s' * (events == 1)}:"
    wide = max(len(f"{events:,}"), len("events"))
    lines = [f"{'events':>{wide}}  templates  category", *_change_lines(changes, wide)]
    return "\n".join(["", head, "", *lines]).rstrip()


def _change_lines(changes: "pl.DataFrame", wide: int) -> "Iterator[str]":
    margin = " " * (wide + len("  templates  "))
    for row in changes.iter_rows(named=True):
        yield f"{row['events']:>{wide},}  {row['templates']:>9,}  {row['was']} -> {row['becomes']}"
        if row["was_fault"] != row["fault"] or row["effect"]:
            means = f": this {row['effect']}" if row["effect"] else ""
            touched = f" ({_many(row['recipients'], 'recipient')})" if "recipients" in row else ""
            faults = f"{row['was_fault']} -> {row['fault']}{means}{touched if means else ''}"
            yield f"{margin}{'!' if means else ' '} fault    {faults}"
        yield f"{margin}  rule     {row['rule']}"
        first, *more = wrap(row["example"], EXAMPLE_WIDTH, max_lines=3, placeholder=" ...")
        yield "\n".join([f"{margin}  example  {first}", *(f"{margin}{' ' * 11}{m}" for m in more)])
        yield ""


def _listed(title: str, items: list[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {item}" for item in items)])


def _many(number: int, noun: str, nouns: str = "") -> str:
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


@contextmanager
def _progress(what: str) -> "Iterator[Callable[[int], None]]":
    """Show on a terminal how much is done; gives the function to tell it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} " + what), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)
        yield lambda more: bar.advance(task, more)


def _flat(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    """Turn what CSV has no word for into text: durations become seconds."""
    import polars as pl

    return frame.with_columns(pl.col(pl.Duration).dt.total_seconds())


def _pairs(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"  {heading:<12}{said}" for heading, said in pairs)


def _say(text: str) -> None:
    print(printable(text))


if __name__ == "__main__":
    main()
