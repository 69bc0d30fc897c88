"""The command line: explain, codes, classify, decide, backtest, report, lab, rules."""

from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bouncekit import endings
from bouncekit.errors import BouncekitError
from bouncekit.files import one_line, printable

if TYPE_CHECKING:  # Polars is loaded by the commands that need it: --help answers at once
    from collections.abc import Callable, Iterator

    import polars as pl

    from bouncekit.read import Reading
    from bouncekit.read.reading import Account

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
    from bouncekit.drafts import whole_file
    from bouncekit.files import watched, without_formulas

    if output.suffix not in (".parquet", ".csv", ".ndjson", ".jsonl"):
        raise BouncekitError(f"{output}: write to a file that ends in .parquet, .csv or .ndjson.")
    with _stored(exports, source, tz, mapping) as account, whole_file(output) as draft:
        with _progress("rows classified") as progress:
            frame = watched(classified(account.lazy, rules=rules), progress)
            if output.suffix == ".parquet":
                frame.sink_parquet(draft)
            elif output.suffix == ".csv":
                _flat(without_formulas(frame)).sink_csv(draft)
            else:
                _flat(frame).sink_ndjson(draft)
        said, rows = str(account), account.rows
    _say(said)
    _tell(f"Wrote {rows:,} classified rows to {output}.")


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
    verp_key: Annotated[
        Path | None,
        typer.Option(
            "--verp-key", help="A file with the key of your signed return paths; see SECURITY.md."
        ),
    ] = None,
    hashes: Annotated[
        Path | None,
        typer.Option(help="Add the removed to this list of hashes, kept when the addresses go."),
    ] = None,
    hash_key: Annotated[
        Path | None, typer.Option("--hash-key", help="A file with the key of these hashes.")
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
    import polars as pl

    from bouncekit.alerts import alerts, problems
    from bouncekit.classify import classify as classified
    from bouncekit.hashes import add_hashes
    from bouncekit.history import last_event
    from bouncekit.policy import decide_parts, find_policy
    from bouncekit.run import run_facts
    from bouncekit.sent import match_sent
    from bouncekit.suppress import CHANGES, write_suppressions

    if hashes is not None and hash_key is None:
        raise BouncekitError("--hashes: say with --hash-key which file has the key.")
    key_of_hashes = _key(hash_key)
    chosen = find_policy(policy)
    with ExitStack() as kept:
        account = kept.enter_context(_stored(exports, source, tz, mapping, _key(verp_key)))
        bounces = classified(account.lazy, rules=rules)
        if sent is not None:
            bounces = match_sent(bounces, sent).lazy()
        parts = kept.enter_context(_classified_parts(bounces))
        bounces = pl.concat(parts)
        day = _utc(as_of) or last_event(bounces)
        with _progress("addresses decided") as progress:
            decisions = decide_parts(parts, chosen, day, guard, keep=_brief(progress))
        run = run_facts(
            exports,
            policy,
            day,
            guard=guard,
            sent=sent,
            rules=rules,
            options={"source": source, "tz": tz, "map": mapping, "verp_key": bool(verp_key)},
        )
        if not force:
            _refuse_to_empty(decisions, sent)
        returning = None if back is None else _bring_back(bounces, day, previous, back)
        change = write_suppressions(decisions, output, service, previous, run=run)
        if hashes is not None and key_of_hashes is not None:
            new = add_hashes(decisions, hashes, key_of_hashes)
            _tell(f"Added {_many(new, 'hash', 'hashes')} to {hashes}.")
        _say(str(account))
        if "unmatched" in bounces.collect_schema():
            _tell_unmatched(bounces)
        _say(_verdicts(decisions))
        if previous is not None:
            counts = dict(change["change"].cast(str).value_counts().iter_rows())
            _say(", ".join(f"{counts.get(k, 0):,} {k}" for k in CHANGES) + ".")
        _tell(f"Wrote the removal list to {output}.")
        if returning is not None:
            _tell(f"Wrote {_many(returning, 'address', 'addresses')} to bring back to {back}.")
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
    _say(str(reading))
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
    import json

    from bouncekit.report import MANIFEST, usable, write_report

    rules = usable(rules)  # a mistake in there is told before anything is read
    reading = _read(exports, source, tz, mapping)
    _say(str(reading))
    page = write_report(reading, output, policy=policy, mask=mask, rules=rules, progress=True)
    verdicts = json.loads((output / MANIFEST).read_text(encoding="utf-8"))["verdicts"]
    removed = _many(verdicts.get("remove", 0), "address", "addresses")
    _tell(f"{removed} to remove: {output / 'remove.csv'} has them, with the reason for each.")
    _tell(f"Wrote the report: open {page} in a browser.")


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
        _tell(
            f"{folder}: {_many(kept, 'notebook')} there already, left as before. Set EXPORT and "
            "RULES there yourself, or choose another --folder."
        )
    if not exports:
        _say("No export given: the notebooks show a sample. Set EXPORT in each to your own files.")
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
    _tell(
        f"{_many(without, 'event')} without a cause, in {_many(templates.height, 'template')}. "
        f"Wrote {_many(proposed.height, 'phrase')} for {covered:,} of them to {output}: "
        "it says how they become rules."
    )


def main() -> None:
    """Run the command line; trouble that a user can mend is one sentence and exit code 2."""
    endings.run(app)


def _read(
    exports: list[str],
    source: str | None,
    tz: str | None,
    mapping: list[str] | None,
    verp_key: bytes | None = None,
) -> "Reading":
    from bouncekit.read import load

    return load(*exports, source=source, tz=tz, mapping=_mapping(mapping), verp_key=verp_key)


def _key(file: Path | None) -> bytes | None:
    """Read a secret key from a file: on the command line others would see it."""
    if file is None:
        return None
    try:
        key = file.read_bytes().strip()
    except OSError as problem:
        raise BouncekitError(f"{file}: not readable ({problem.strerror}).") from None
    if not key:
        raise BouncekitError(f"{file}: holds no key; write a secret of 32 or more letters into it.")
    return key


def _tell_unmatched(bounces: "pl.LazyFrame") -> None:
    from bouncekit.sent import unmatched

    found = unmatched(bounces)
    _tell(f"{_many(int(found['events'].sum()), 'event')} matched nothing that was sent.")
    for row in found.head(3).iter_rows(named=True):
        first, last = row["first_seen"], row["last_seen"]
        when = f", {first:%Y-%m-%d} to {last:%Y-%m-%d}" if first else ""
        _tell(
            f"UNMATCHED: {row['category']} ({row['event']}) at {row['provider']}: "
            f"{_many(row['events'], 'event')}, {row['share']:.0%} of all such, "
            f"for {_many(row['recipients'], 'recipient')}{when}."
        )


@contextmanager
def _stored(
    exports: list[str],
    source: str | None,
    tz: str | None,
    mapping: list[str] | None,
    verp_key: bytes | None = None,
) -> "Iterator[Account]":
    """Read exports into a temporary folder, for they may be larger than memory."""
    from bouncekit.drafts import scratch
    from bouncekit.read.stored import store

    with scratch() as folder:
        with _progress("rows read") as progress:
            account = store(
                *exports,
                folder=folder,
                source=source,
                tz=tz,
                mapping=_mapping(mapping),
                verp_key=verp_key,
                progress=progress,
            )
        yield account


@contextmanager
def _classified_parts(bounces: "pl.LazyFrame") -> "Iterator[list[pl.LazyFrame]]":
    """Classify rows into parts that share no recipient, without what only their reader needs."""
    from bouncekit.buckets import in_parts
    from bouncekit.files import watched

    lean = bounces.drop("source", "line", "source_class", "final_recipient")
    with ExitStack() as kept:
        with _progress("rows classified") as progress:
            parts = kept.enter_context(in_parts(watched(lean, progress)))
        yield parts


def _brief(progress: "Callable[[int], None]") -> "Callable[[pl.DataFrame], pl.DataFrame]":
    """Keep the words of removals only: a list holds no others, and those of all take much room."""
    import polars as pl

    words = ("because", "reply", "rule", "enhanced_code")

    def brief(decisions: pl.DataFrame) -> pl.DataFrame:
        progress(decisions.height)
        return decisions.with_columns(pl.when(pl.col("verdict") == "remove").then(pl.col(words)))

    return brief


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
        _tell(f"Read {_many(frame.height, 'reply', 'replies')} without addresses.")
        return frame
    _say(str(reading))
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
    bounces: "pl.LazyFrame", as_of: datetime | None, previous: Path | None, to: Path
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
        _tell(f"TO FIX: {row['category']}{of} at {row['provider']}, {touched}. {row['what_to_do']}")


def _checked(rules: Path, phrases: int, shadowed: "pl.DataFrame") -> str:
    """Say what the check of a file of rules found."""
    if not phrases:
        return f"{one_line(str(rules))}: usable; it holds no phrase yet."
    many = f"{one_line(str(rules))}: usable; {_many(phrases, 'phrase')} of your own"
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


def _tell(sentence: str) -> None:
    """Print one line, whatever the files and addresses in it are called."""
    print(one_line(sentence))


if __name__ == "__main__":
    main()
