"""The commands about rules of one's own."""

from pathlib import Path

import click

from bouncekit.cli import options
from bouncekit.cli.inputs import read_replies
from bouncekit.cli.telling import changed, checked, count_of, listed, say, tell
from bouncekit.errors import BouncekitError


@options.group("rules")
def rules_app() -> None:
    """Check rules of your own, see what they change, draft new ones."""


@rules_app.command("check")
@click.argument("rules", type=options.A_PATH, help="The TOML file of your own phrases.")
@click.argument(
    "exports", nargs=-1, help="Exports to try them on; a CSV with a column of replies will do."
)
@options.reading
def check_rules(
    rules: Path,
    exports: tuple[str, ...],
    how: options.How,
) -> None:
    """Check your own rules, and show what they would change."""
    from bouncekit import own_rules

    shadowed = own_rules.check(rules)
    phrases = own_rules.own_phrases(rules)
    say(checked(rules, len(phrases), shadowed))
    if not exports:
        return
    frame = read_replies(exports, how)
    won = own_rules.won(frame, rules)
    changes = won.filter(won["was"].ne_missing(won["becomes"]))
    say(changed(changes, frame.height))
    decisive = {*won["rule"], *shadowed["rule"]}
    idle = [phrase.rule for phrase in phrases if phrase.rule not in decisive]
    if idle:
        say("\n" + listed("These phrases won no reply there", idle))


@rules_app.command("draft")
@options.exports
@options.output("The TOML file to begin with.")
@click.option(
    "--at-most",
    type=click.IntRange(min=1),
    default=50,
    metavar="NUMBER",
    help="How many replies to propose.",
)
@options.reading
@options.rules
def draft_rules(
    exports: tuple[str, ...],
    output: Path,
    at_most: int,
    how: options.How,
    rules: str | None,
) -> None:
    """Write frequent replies without a cause down, to become rules."""
    from bouncekit import own_rules
    from bouncekit.classify import classify as classified
    from bouncekit.counts import unclassified
    from bouncekit.drafts import whole_file

    if output.exists():  # it may hold hours of somebody's work
        raise BouncekitError(f"{output}: is there already; choose another file with -o.")
    if rules is not None:
        own_rules.own_phrases(rules)  # a mistake in there is told before anything is read
    templates = unclassified(classified(read_replies(exports, how), rules=rules))
    proposed = own_rules.proposals(templates, at_most)
    with whole_file(output) as path:
        path.write_text(own_rules.draft(templates, at_most), encoding="utf-8")
    without, covered = int(templates["events"].sum()), int(proposed["events"].sum())
    tell(
        f"{count_of(without, 'event')} without a cause, in "
        f"{count_of(templates.height, 'template')}. "
        f"Wrote {count_of(proposed.height, 'phrase')} for {covered:,} of them to {output}: "
        "it says how they become rules."
    )
