"""Read any export: tables of mail services, bounce messages, in files, folders and globs.

`read` gives the bounces frame, `scan` the same lazily, `load` the frame and its accounting.
"""

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.archives import unzipped
from bouncekit.read.containers import BINARY, kind_of
from bouncekit.read.files import Found, NotOursError, Peek, find, peek
from bouncekit.read.layouts import MAPPABLE, SAME_EVENT, Options, layouts
from bouncekit.read.logs import READERS, read_log, server_of
from bouncekit.read.mailbox import is_message
from bouncekit.read.messages import read_messages
from bouncekit.read.reading import FILES, Reading
from bouncekit.read.tables import bounces, open_table
from bouncekit.schema import BOUNCES

__all__ = ["Reading", "load", "read", "scan"]

T = TypeVar("T")

# What Polars says of a file it cannot read on: a first attempt that fails is made again record
# by record, and only then the file is called damaged.
DAMAGE = (pl.exceptions.PolarsError,)
# What it says where the system, and not the file, is the trouble.
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True)
class Part:
    """What one file holds, not collected yet."""

    kind: str
    name: str
    frame: pl.LazyFrame
    inferred: tuple[str, ...] = ()
    same: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source -> Layout.same


def read(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> pl.DataFrame:
    """The bounces frame (columns of BOUNCES) of files, folders and globs, each event once.

    `source` names the service that wrote the files (default: recognised), `tz` the zone of
    times that name none (default UTC), `year` that of log lines without one. `mapping` gives
    the heading for a column of the frame, such as {"recipient": "Mail"}, and under
    "time_format" the strptime format of its times, such as "%d/%m/%Y".
    Raises BouncekitError for what is missing, damaged or nothing bouncekit can read.
    """
    return load(*paths, source=source, tz=tz, year=year, mapping=mapping).frame


def scan(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> pl.LazyFrame:
    """The frame of `read` lazily, in bounded memory for UTF-8 CSV, NDJSON, Parquet and mails.

    Duplicates stay in. A CSV whose quotes are broken fails with Polars' own error when it is
    collected, where `read` keeps what it can: finding them takes a reading of the whole file.
    """
    options = options_of(source, tz, year, mapping)
    parts = (part_of(found, options) for found in find(paths))
    frames = [part.frame for part in parts if part.kind != "skipped"]
    return pl.concat(_some(frames, paths))


def load(
    *paths: str | Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Reading:
    """The frame of `read` with its accounting."""
    options = options_of(source, tz, year, mapping)
    frames, files = [], []
    same: dict[str, tuple[str, ...]] = {}
    for found in find(paths):
        part, frame = _collected(found, options)
        is_unreadable = frame["event"] == "unreadable"
        counts = (frame.height, int(is_unreadable.sum()))
        inferred = ", ".join(part.inferred)
        files.append((str(found.path), part.kind, part.name, *counts, inferred))
        frames.append(frame)
        same |= part.same
    _some([kind for _, kind, *_ in files if kind != "skipped"], paths)
    frame = pl.concat(frames)
    frame = frame.filter(_is_first(same))
    return Reading(frame.lazy(), pl.DataFrame(files, schema=FILES, orient="row"))


def options_of(
    source: str | None, tz: str | None, year: int | None, mapping: Mapping[str, str] | None
) -> Options:
    """The user's options, checked before any file is touched."""
    servers = [server.lower() for server in READERS]
    services = list(dict.fromkeys(["mail", *servers, *(layout.service for layout in layouts())]))
    if source not in (None, *services, *(layout.name for layout in layouts())):
        raise BouncekitError(f"source={source!r} is unknown: it is one of {', '.join(services)}.")
    if tz is not None:
        try:
            ZoneInfo(tz)
        except (ValueError, OSError, KeyError):
            raise BouncekitError(
                f"tz={tz!r} is no time zone: say one such as Europe/Berlin."
            ) from None
    for column in mapping or {}:
        if column not in (*MAPPABLE, "time_format"):
            raise BouncekitError(
                f"mapping has {column!r}, which is no column: it is one of "
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


def _collected(found: Found, options: Options) -> tuple[Part, pl.DataFrame]:
    """A file's rows; one that Polars refuses is read again record by record."""
    try:
        part = part_of(found, options)
        return part, part.frame.collect(engine="streaming")
    except DAMAGE:
        pass
    except OSError as error:
        raise trouble(found.path, error) from None
    try:
        part = part_of(found, options, mended=True)
        return part, part.frame.collect(engine="streaming")
    except (*DAMAGE, OSError) as error:
        raise trouble(found.path, error) from None


def trouble(path: Path, error: Exception, folder: Path | None = None) -> BouncekitError:
    """Say why a file cannot be read, or what was read not be kept in a `folder`."""
    told = _OF_SYSTEM.search(str(error))
    number = error.errno if isinstance(error, OSError) else int(told[1]) if told else None
    if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) and folder is not None:
        return BouncekitError(
            f"{folder.parent}: there is no room for what is read from {path} "
            f"({os.strerror(number)}); make room, or set TMPDIR to another folder."
        )
    if number is not None:
        return BouncekitError(
            f"{path} cannot be read ({os.strerror(number)}): was it changed meanwhile?"
        )
    reason = str(error).partition("\n")[0]
    if isinstance(error, OSError):
        return BouncekitError(f"{path} cannot be read ({reason}): was it changed meanwhile?")
    return BouncekitError(f"{path} is damaged ({reason}): copy or export it again.")


def part_of(found: Found, options: Options, *, mended: bool = False) -> Part:
    """What a file holds; an empty part of kind `skipped` if it is not ours and was not named."""
    try:
        return _opened(found.path, options, mended=mended)
    except NotOursError:
        if found.named:
            raise
        return Part("skipped", "", pl.LazyFrame(schema=BOUNCES))
    except DAMAGE:
        if mended:
            raise
        return part_of(found, options, mended=True)


def _opened(path: Path, options: Options, *, mended: bool) -> Part:
    """Recognise a file by its content and open it with the reader for its kind."""
    if path.is_dir():
        return Part("mail", "mail", read_messages(path))
    seen = peek(path)
    if not seen.head.strip():
        raise NotOursError(f"{path} is empty: export it again.")
    kind = kind_of(seen.head)
    if kind == "zip":  # before all others: what is stored in it unpacked can be read as text
        return _archive(path, options)
    if options.source == "mail" or (options.source is None and is_message(seen.head)):
        return Part("mail", "mail", read_messages(path, seen.packing))
    if kind not in BINARY and (server := _log_of(seen, options)):
        log = read_log(server, path, seen, options)
        return Part("log", log.server, log.frame, log.inferred)
    if kind == "binary":
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    table = open_table(kind, path, seen, mended=mended)
    layout, frame, inferred = bounces(table, path, options)
    if layout is None:
        return Part(kind, "bouncekit", frame)
    same = {} if layout.same == SAME_EVENT else {str(path): layout.same}
    return Part(kind, layout.service, frame, (*table.notes, *inferred), same)


def _log_of(seen: Peek, options: Options) -> str | None:
    """Give the server whose log a file is, by its lines or since the user says so."""
    named = {server.lower(): server for server in READERS}
    if options.source is not None:
        return named.get(options.source.lower())
    return None if options.mapping else server_of(seen.head)


def _archive(path: Path, options: Options) -> Part:
    """The files of a ZIP archive, read as if they lay in a folder of its name."""
    parts, frames = [], [pl.DataFrame(schema=BOUNCES)]
    same: dict[str, tuple[str, ...]] = {}
    with unzipped(path) as members:
        for name, place in members:
            if _is_archive(place):  # each may hold a thousand times its size, and others
                raise BouncekitError(
                    f"{path} holds another archive, {name}: unpack it, and name what is in it."
                )
            part, frame = _collected(Found(place, named=False), options)
            source = f"{path}/{name}"
            if part.kind == "skipped":
                continue
            parts.append(part)
            frames.append(frame.with_columns(source=pl.lit(source)))
            for columns in part.same.values():
                same[source] = columns
    if not parts:
        raise NotOursError(f"{path} holds no table, mail or log that bouncekit can read.")
    names = ", ".join(dict.fromkeys(part.name for part in parts))
    inferred = tuple(dict.fromkeys(what for part in parts for what in part.inferred))
    return Part("zip", names, pl.concat(frames).lazy(), inferred, same)


def _is_archive(path: Path) -> bool:
    return kind_of(peek(path).head) == "zip"


def _is_first(same: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    """True but for rows that repeat an event: same address, time or message, and all the rest."""
    return ~is_known() | key(same).is_first_distinct()


def is_known() -> pl.Expr:
    """True for rows that can be told from others: they have an address, and a time or message."""
    return pl.col("recipient").is_not_null() & (
        pl.col("time").is_not_null() | pl.col("message_id").is_not_null()
    )


def key(same: Mapping[str, tuple[str, ...]]) -> pl.Expr:
    """What makes a row the same event as another: SAME_EVENT, or what its layout says."""

    def column(name: str) -> pl.Expr:
        elsewhere = [source for source, columns in same.items() if name not in columns]
        cell = pl.col(name)
        return (
            pl.when(~pl.col("source").is_in(elsewhere)).then(cell).alias(name)
            if elsewhere
            else cell
        )

    return pl.struct(*map(column, SAME_EVENT))
