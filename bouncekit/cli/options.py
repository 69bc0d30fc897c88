"""The arguments and options that several commands share."""

from datetime import datetime
from typing import Annotated

import typer

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
