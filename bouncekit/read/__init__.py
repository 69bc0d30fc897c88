"""Read any export: tables of mail services, bounce messages, in files, folders and globs.

`read` gives the bounces frame, `scan` the same lazily, `load` the frame and its accounting.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.files import Found, find
from bouncekit.read.layouts import MAPPABLE, Options, layouts
from bouncekit.read.logs import READERS
from bouncekit.read.opening import collected, legible, part_of_all, together
from bouncekit.read.overlap import each_once, key
from bouncekit.read.reading import FILES, Reading
from bouncekit.read.streams import in_large_batches

__all__ = ["Reading", "load", "read", "scan"]

T = TypeVar("T")
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


def read(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
    verp_key: str | bytes | None = None,
) -> pl.DataFrame:
    """The bounces frame (columns of BOUNCES) of files, folders and globs, each event once.

    `source` names the service that wrote the files (default: recognised), `tz` the zone of
    times that name none (default UTC), `year` that of log lines without one. `mapping` gives
    the heading for a column of the frame, such as {"recipient": "Mail"}, and under
    "time_format" the strptime format of its times, such as "%d/%m/%Y". With `verp_key`, the key
    of your signed return paths (see `bouncekit.verp`), the frame has the column `unmatched`
    (Boolean) too: true for a bounce mail whose return path you did not sign; it counts for nothing.
    Raises BouncekitError for what is missing, damaged or nothing bouncekit can read.
    """
    return load(*paths, source=source, tz=tz, year=year, mapping=mapping, verp_key=verp_key).frame


def scan(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> pl.LazyFrame:
    """The frame of `read` lazily, in bounded memory for UTF-8 CSV, NDJSON, Parquet, mails, logs.

    Duplicates stay in. Collecting raises BouncekitError where `read` would, and for a CSV whose
    quotes are broken, of which `read` keeps what it can: to find them takes a reading of the file.
    """
    options = options_of(source, tz, year, mapping)
    frames = []
    for found in together(find(paths), options):
        with legible(found):
            part = part_of_all(found, options)
        if part.kind != "skipped":
            frames.append(in_large_batches(part.frame, guard=partial(legible, found)))
    return pl.concat(_some(frames, paths))


def load(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
    verp_key: str | bytes | None = None,
) -> Reading:
    """The frame of `read` with its accounting."""
    options = replace(options_of(source, tz, year, mapping), verp_key=verp_key)
    frames, files = [], []
    same: dict[str, tuple[str, ...]] = {}
    for found in together(find(paths), options):
        part, frame = collected(found, options)
        inferred = "; ".join(part.inferred)
        for file, rows in _by_file(found, frame):
            unreadable = int((rows["event"] == "unreadable").sum())
            files.append((file, part.kind, part.name, rows.height, unreadable, inferred))
        frames.append(frame)
        same |= part.same
    _some([kind for _, kind, *_ in files if kind != "skipped"], paths)
    frame = each_once(marked(frames, options), key(same))
    return Reading(frame.lazy(), pl.DataFrame(files, schema=FILES, orient="row"))


def options_of(
    source: str | None, tz: str | None, year: int | None, mapping: Mapping[str, str] | None
) -> Options:
    """The user's options, checked before any file is touched."""
    servers = [server.lower() for server in READERS]
    services = list(dict.fromkeys(["mail", *servers, *(layout.service for layout in layouts())]))
    if source not in (None, *services, *(layout.name for layout in layouts())):
        raise BouncekitError(f"source {source!r} is unknown: it is one of {', '.join(services)}.")
    if tz is not None:
        try:
            ZoneInfo(tz)
        except (ValueError, OSError, KeyError):
            raise BouncekitError(
                f"tz {tz!r} is no time zone: say one such as Europe/Berlin, or Etc/GMT-2 (+02:00)."
            ) from None
    if year is not None and not 1970 <= year <= 9999:
        raise BouncekitError(f"year {year} is none of a log: write all four digits.")
    for column in mapping or {}:
        if column not in (*MAPPABLE, "time_format"):
            raise BouncekitError(
                f"{column!r} is no column that a heading can be mapped to: it is one of "
                f"{', '.join(MAPPABLE)} or time_format."
            )
    return Options(source, tz, year, mapping)


def _some(items: list[T], paths: Sequence[str | Path]) -> list[T]:
    """The items, of which there is at least one."""
    if not items:
        named = ", ".join(map(str, paths))
        raise BouncekitError(
            f"{named}: there is no table, mail or log here that bouncekit can read."
        )
    return items


def marked(frames: Sequence[Frame], options: Options) -> Frame:
    """One frame of many; with a key of return paths, `unmatched` is told of each row.

    Tables and logs are one's own: no stranger writes into them.
    """
    frame = pl.concat(frames, how="diagonal")
    if options.verp_key is None:
        return frame
    is_mail = pl.col("^unmatched$").fill_null(False)
    return frame.with_columns(unmatched=pl.any_horizontal(pl.lit(False), is_mail))


def _by_file(found: list[Found], frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give the rows of each file."""
    if len(found) == 1:
        yield str(found[0].path), frame
        return
    rows = {source: part for (source,), part in frame.group_by("source", maintain_order=True)}
    for path in (str(file.path) for file in found):
        yield path, rows.pop(path, frame.clear())
