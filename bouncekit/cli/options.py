"""The arguments and options that several commands share."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypedDict

import click

from bouncekit.errors import BouncekitError

Command = Callable[..., None]

# What cannot be read or written is told by who reads or writes it, with the way out.
A_PATH = click.Path(path_type=Path, readable=False)
STANDARD_OUTPUT = Path("/dev/stdout")
_FORMATS = "CSV, JSON, Excel, Parquet, mbox, eml, .zip, .gz, ..."

exports = click.argument(
    "exports", nargs=-1, required=True, help=f"Files, folders or patterns: {_FORMATS}"
)
policy = click.option(
    "--policy",
    default="article",
    metavar="NAME",
    help="A policy's name, or your .toml file.",
)
rules = click.option("--rules", metavar="FILE", help="A TOML file of your own phrases; they win.")
as_of = click.option(
    "--as-of",
    metavar="DAY",
    help="Decide as at the end of this day, or at this time of it (2026-11-30, 2026-11-30T12:00; "
    "UTC): later events are left out; else the last event.",
)
_source = click.option(
    "--source", metavar="KIND", help="The kind of export, if it is not recognised."
)
_tz = click.option("--tz", metavar="ZONE", help="Time zone of times without one (UTC).")
_year = click.option(
    "--year", type=int, metavar="YEAR", help="Year of log lines without one (the file's)."
)
_mapping = click.option(
    "--map",
    "mapping",
    multiple=True,
    metavar="COLUMN=HEADING",
    help="What a heading means: --map recipient=Mail. May be repeated.",
)


class How(TypedDict):
    """How exports are read, as `bouncekit.read` takes it."""

    source: str | None
    tz: str | None
    year: int | None
    mapping: dict[str, str] | None


def reading(command: Command) -> Command:
    """Options of how exports are read: the command gets them as `how`."""

    @wraps(command)
    def told(
        *arguments: Any,
        source: str | None,
        tz: str | None,
        year: int | None,
        mapping: tuple[str, ...],
        **others: Any,
    ) -> None:
        how = How(source=source, tz=tz, year=year, mapping=_pairs(mapping))
        command(*arguments, how=how, **others)

    return _source(_tz(_year(_mapping(told))))


def _pairs(written: Sequence[str]) -> dict[str, str] | None:
    """Take `recipient=Mail` apart."""
    for pair in written:
        if "=" not in pair:
            raise BouncekitError(
                f"--map {pair}: write the column, '=', and the heading: --map recipient=Mail."
            )
    return dict(pair.split("=", 1) for pair in written) if written else None


def output(help: str) -> Callable[[Command], Command]:
    """Where a command writes to; `-` is the standard output."""
    return click.option(
        "-o",
        "--output",
        required=True,
        type=A_PATH,
        metavar="PATH",
        callback=lambda _, __, path: STANDARD_OUTPUT if path == Path("-") else path,
        help=help,
    )


def file(*names: str, help: str) -> Callable[[Command], Command]:
    """A file that a command may be given, to read or to write."""
    return click.option(*names, type=A_PATH, metavar="FILE", help=help)


def input_file(*names: str, help: str) -> Callable[[Command], Command]:
    """A file that a command may be given to read."""
    return click.option(*names, type=A_PATH, metavar="FILE", callback=_existing, help=help)


def _existing(_: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise BouncekitError(f"{option.opts[0]} {path}: there is no such file; check the path.")
    return path


class InOrder(click.Group):
    """Commands are listed in the order of the work."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give their names."""
        return list(self.commands)


def group(name: str | None = None) -> Callable[[Command], click.Group]:
    """Make a group of commands, which show what they take for an option that is not given."""
    settings = {"show_default": True}
    return click.group(name, InOrder, no_args_is_help=True, context_settings=settings)
