"""The commands about rules of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from bouncekit.cli.inputs import read_replies
from bouncekit.cli.options import Exports, Map, Rules, Source, Zone
from bouncekit.cli.telling import changed, checked, count_of, listed, say, tell
from bouncekit.errors import BouncekitError

rules_app = typer.Typer(
    help="Rules of your own: check them, see what they change, draft new ones.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


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
    say(checked(rules, len(phrases), shadowed))
    if not exports:
        return
    frame = read_replies(exports, source, tz, mapping)
    won = own_rules.won(frame, rules)
    changes = won.filter(won["was"].ne_missing(won["becomes"]))
    say(changed(changes, frame.height))
    decisive = {*won["rule"], *shadowed["rule"]}
    idle = [phrase.rule for phrase in phrases if phrase.rule not in decisive]
    if idle:
        say("\n" + listed("These phrases won no reply there", idle))


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
    templates = unclassified(classified(read_replies(exports, source, tz, mapping), rules=rules))
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
