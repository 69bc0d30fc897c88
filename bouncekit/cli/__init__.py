"""The command line: explain, codes, classify, decide, backtest, report, lab, rules."""

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bouncekit import endings
from bouncekit.cli import options
from bouncekit.cli.inputs import (
    brief,
    classified_parts,
    flat,
    read_all,
    refuse_to_lose,
    secret,
    small_table,
    stored,
)
from bouncekit.cli.rules import rules_app
from bouncekit.cli.telling import (
    LOUD_SHARE,
    causes,
    count_of,
    in_pairs,
    progress_of,
    replayed,
    say,
    tell,
    tell_unmatched,
    telling_beside,
    verdicts,
    warn_of,
)
from bouncekit.errors import BouncekitError

if TYPE_CHECKING:  # Polars is loaded by the commands that need it: --help answers at once
    import polars as pl


@options.group()
@click.version_option(package_name="bouncekit", message="%(prog)s %(version)s")
def app() -> None:
    """Why did it bounce, whose fault is it, and which addresses must come off the list?"""


@app.command()
@click.argument("reply", nargs=-1, required=True, help="The reply's text; quotes are not needed.")
@options.rules
def explain(reply: tuple[str, ...], rules: str | None) -> None:
    """Say what one reply means, whose fault it is, and why."""
    from bouncekit.explain import explain as explained

    # What is no text in the terminal's encoding reaches us as lone surrogates (PEP 383).
    said = " ".join(reply).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    say(repr(explained(said, rules)))


@app.command()
@click.argument("code", required=False, help="550 or 5.1.1; without it, all codes.")
def codes(code: str | None) -> None:
    """Say what SMTP codes mean, and what to do about them."""
    from bouncekit import codes as reference

    if code is not None:
        about = reference.describe(code)
        say(f"{about.code}  {about.title}\n")
        say(in_pairs(("meaning", about.meaning), ("who cares", about.who)))
        say(in_pairs(("what to do", about.what_to_do), ("source", about.source)))
        return
    for row in reference.reply_codes().iter_rows(named=True):
        say(f"{row['code']}    {row['meaning']}")
    say("")
    for row in reference.enhanced_codes().iter_rows(named=True):
        say(f"{row['code']:<8}{row['name']}")
    say("\nMore on one of them: bouncekit codes 550, bouncekit codes 5.1.1")


@app.command()
@options.exports
@options.output("A .parquet, .csv or .ndjson file; `-` for CSV on the screen.")
@options.reading
@options.rules
def classify(
    exports: tuple[str, ...],
    output: Path,
    how: options.How,
    rules: str | None,
) -> None:
    """Read exports, classify each row, and write them all to one file."""
    from bouncekit.classify import classify as classified
    from bouncekit.drafts import is_stream, whole_file
    from bouncekit.files import watched, without_formulas

    refuse_to_lose(output, *exports, rules)
    ending = ".csv" if is_stream(output) else output.suffix
    if ending not in (".parquet", ".csv", ".ndjson", ".jsonl"):
        raise BouncekitError(f"{output}: write to a file that ends in .parquet, .csv or .ndjson.")
    with telling_beside(output):
        with stored(exports, how) as account, whole_file(output) as draft:
            with progress_of("rows classified") as progress:
                frame = watched(classified(account.lazy, rules=rules), progress)
                if ending == ".parquet":
                    frame.sink_parquet(draft)
                elif ending == ".csv":
                    flat(without_formulas(frame)).sink_csv(draft)
                else:
                    flat(frame).sink_ndjson(draft)
            said, rows = str(account), account.rows
        say(said)
        tell(f"Wrote {count_of(rows, 'classified row')} to {output}.")


@app.command()
@options.exports
@options.output("The removal list, a CSV file; `-` for the screen.")
@options.policy
@click.option("--service", default="csv", metavar="NAME", help="Whose import format to write.")
@options.input_file("--previous", help="The list before this one.")
@options.as_of
@click.option(
    "--guard/--no-guard",
    default=True,
    help="Hold removals that rest on a provider's outage.",
)
@options.input_file(
    "--sent", help="What was sent (recipients, message ids); what nobody sent won't count."
)
@options.input_file(
    "--verp-key", help="A file with the key of your signed return paths; see SECURITY.md."
)
@options.file(
    "--hashes", help="Add the removed to this list of hashes, kept when the addresses go."
)
@options.input_file("--hash-key", help="A file with the key of these hashes.")
@options.file("--bring-back", "back", help="Where to list who was refused for an outage only.")
@click.option(
    "--force",
    is_flag=True,
    help="Write a list that removes more than 30 % of all seen, or an empty one over another.",
)
@options.reading
@options.rules
def decide(
    exports: tuple[str, ...],
    output: Path,
    policy: str,
    service: str,
    previous: Path | None,
    as_of: str | None,
    guard: bool,
    sent: Path | None,
    verp_key: Path | None,
    hashes: Path | None,
    hash_key: Path | None,
    back: Path | None,
    force: bool,
    how: options.How,
    rules: str | None,
) -> None:
    """Decide which addresses come off the list, and write them down."""
    import polars as pl

    from bouncekit.alerts import alerts_in, problems
    from bouncekit.classify import classify as classified
    from bouncekit.formats import find_format
    from bouncekit.hashes import add_hashes
    from bouncekit.history import in_utc, last_event
    from bouncekit.policy import decide_parts, find_policy
    from bouncekit.run import run_facts
    from bouncekit.sent import match_sent
    from bouncekit.suppress import CHANGES, write_suppressions
    from bouncekit.tallies import over

    if hashes is not None and hash_key is None:
        raise BouncekitError("--hashes: say with --hash-key which file has the key.")
    if hashes is None and hash_key is not None:
        raise BouncekitError("--hash-key: say with --hashes which list of hashes it is for.")
    refuse_to_lose(output, *exports, sent, rules, verp_key, hash_key, hashes)
    if output.suffix in (".parquet", ".xlsx", ".xls"):
        raise BouncekitError(
            f"{output}: a removal list is text; write to a file that ends in .csv."
        )
    key_of_hashes = secret(hash_key)
    chosen, to = find_policy(policy), find_format(service)
    until = in_utc(as_of) if as_of else None
    with ExitStack() as kept:
        kept.enter_context(telling_beside(output))
        account = kept.enter_context(stored(exports, how, secret(verp_key)))
        bounces = classified(account.lazy, rules=rules)
        if sent is not None:
            bounces = match_sent(bounces, sent).lazy()
        parts = kept.enter_context(classified_parts(bounces))
        bounces = pl.concat(parts)
        day = until or last_event(bounces)
        to_mend = problems(alerts_in(over(*parts, as_of=day)))  # before decisions fill the memory
        with progress_of("addresses decided") as progress:
            decisions = decide_parts(parts, chosen, day, guard, keep=brief(to, progress))
        run = run_facts(
            exports,
            policy,
            day,
            guard=guard,
            sent=sent,
            rules=rules,
            options={**how, "verp_key": bool(verp_key)},
        )
        if not force:
            _refuse_nothing(decisions, output, previous, str(account))
            _refuse_to_empty(decisions, sent, str(account))
        returning = None if back is None else _bring_back(bounces, day, previous, back)
        change = write_suppressions(decisions, output, service, previous, run=run)
        if hashes is not None and key_of_hashes is not None:
            new = add_hashes(decisions, hashes, key_of_hashes)
            tell(f"Added {count_of(new, 'hash', 'hashes')} to {hashes}.")
        say(str(account))
        if "unmatched" in bounces.collect_schema():
            tell_unmatched(bounces)
        say(verdicts(decisions))
        if previous is not None:
            counts = dict(change["change"].cast(str).value_counts().iter_rows())
            say(", ".join(f"{counts.get(k, 0):,} {k}" for k in CHANGES) + ".")
        tell(f"Wrote the removal list to {output}.")
        if returning is not None:
            tell(f"Wrote {count_of(returning, 'address', 'addresses')} to bring back to {back}.")
        warn_of(decisions, to_mend)


@app.command()
@options.exports
@click.option(
    "--policy",
    required=True,
    multiple=True,
    metavar="NAME",
    help="A policy's name or .toml file; repeat it.",
)
@options.input_file("--truth", help="A CSV of what the mailboxes were: recipient, state, until.")
@click.option(
    "--guard/--no-guard",
    default=True,
    help="Let no removal rest on a provider's outage.",
)
@options.reading
@options.rules
def backtest(
    exports: tuple[str, ...],
    policy: tuple[str, ...],
    truth: Path | None,
    guard: bool,
    how: options.How,
    rules: str | None,
) -> None:
    """Say what policies would have removed, saved and lost."""
    from bouncekit.backtest import backtest as backtested
    from bouncekit.classify import classify as classified

    known = None if truth is None else small_table(truth)
    reading = read_all(exports, how)
    table = backtested(classified(reading.frame, rules=rules), policy, truth=known, guard=guard)
    say(str(reading))
    for row in table.iter_rows(named=True):
        say(replayed(row))


@app.command()
@options.exports
@options.output("The report's folder.")
@options.policy
@click.option("--mask/--no-mask", default=True, help="Show masked addresses only.")
@options.reading
@options.rules
def report(
    exports: tuple[str, ...],
    output: Path,
    policy: str,
    mask: bool,
    how: options.How,
    rules: str | None,
) -> None:
    """Run the notebooks on your exports, to be read in a browser."""
    import json

    from bouncekit.policy import find_policy
    from bouncekit.read.made import MANIFEST
    from bouncekit.report import refuse_to_replace, usable, write_report

    # Mistakes in there are told before anything is read.
    rules = usable(rules)
    find_policy(policy)
    refuse_to_replace(output)
    reading = read_all(exports, how)
    say(str(reading))
    page = write_report(reading, output, policy=policy, mask=mask, rules=rules, progress=True)
    verdicts = json.loads((output / MANIFEST).read_text(encoding="utf-8"))["verdicts"]
    removed = count_of(verdicts.get("remove", 0), "address", "addresses")
    tell(f"{removed} to remove: {output / 'remove.csv'} has them, with the reason for each.")
    tell(f"Wrote the report: open {page} in a browser.")


@app.command()
@click.argument("exports", nargs=-1, help="Exports to look at.")
@click.option(
    "--folder",
    default="bouncekit-notebooks",
    type=options.A_PATH,
    metavar="PATH",
    help="Where your copies of the notebooks live.",
)
@options.rules
def lab(exports: tuple[str, ...], folder: Path, rules: str | None) -> None:
    """Open JupyterLab on your own copies of the notebooks.

    A copy that is there already is never overwritten.
    """
    from bouncekit.notebooks import all_notebooks
    from bouncekit.report import open_lab, usable

    rules = usable(rules)
    kept = sum((folder / notebook.name).exists() for notebook in all_notebooks())
    if kept and (exports or rules):
        tell(
            f"{folder}: {count_of(kept, 'notebook')} there already, left as before. Set EXPORT and "
            "RULES there yourself, or choose another --folder."
        )
    if not exports:
        say("No export given: the notebooks show a sample. Set EXPORT in each to your own files.")
    open_lab(exports, folder, rules)


app.add_command(rules_app)


def _refuse_nothing(
    decisions: "pl.DataFrame", output: Path, previous: Path | None, read: str
) -> None:
    """Stop a run that saw no recipient and would put an empty list in the place of a good one."""
    from bouncekit.drafts import is_stream
    from bouncekit.suppress import manifest_of

    is_there = output.exists() or manifest_of(output).exists()
    if decisions.is_empty() and (previous is not None or (is_there and not is_stream(output))):
        say(read)
        raise BouncekitError(
            f"{output}: nothing was read that tells of any recipient, and the list before would "
            "be lost; nothing was written. Look at the exports and at --as-of; if no recipient is "
            "right, use --force."
        )


def _refuse_to_empty(decisions: "pl.DataFrame", sent: Path | None, read: str) -> None:
    """Stop a run that would take too much of the list: if the list was seen, not bounces alone.

    What was `read`, and for what so many would go, is told first.
    """
    from bouncekit.sent import sent_messages
    from bouncekit.suppress import refuse_if_too_many

    seen = decisions.height
    if sent is not None:
        table = sent_messages(sent)
        if "recipient" in table.collect_schema().names():
            seen = max(seen, int(table.collect()["recipient"].n_unique()))
    elif decisions["last_delivery"].null_count() == decisions.height:
        return  # no good address is in there: a share of it says nothing, a warning does
    removed = int((decisions["verdict"] == "remove").sum())
    try:
        refuse_if_too_many(removed, seen, LOUD_SHARE)
    except BouncekitError:
        say("\n".join((read, verdicts(decisions), causes(decisions))))
        raise


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


def main() -> None:
    """Run the command line; trouble that a user can mend is one sentence and exit code 2."""
    endings.run(_run)


def _run() -> None:
    """Do what click's own `main` does, but for the empty line that it writes when interrupted."""
    try:
        with app.make_context("bouncekit", sys.argv[1:]) as context:
            app.invoke(context)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(problem.exit_code)
