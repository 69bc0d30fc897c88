"""Read any export: tables of mail services, bounce messages, in files, folders and globs.

`read` gives the bounces frame, `scan` the same lazily, `load` the frame and its accounting.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
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
from bouncekit.read.plain import read_plain
from bouncekit.read.reading import DMARC, FILES, Reading
from bouncekit.read.tables import bounces, open_table
from bouncekit.schema import BOUNCES

__all__ = ["Reading", "load", "read", "scan"]

T = TypeVar("T")
Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

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

    Duplicates stay in. A CSV whose quotes are broken fails with Polars' own error when it is
    collected, where `read` keeps what it can: finding them takes a reading of the whole file.
    """
    options = options_of(source, tz, year, mapping)
    parts = (part_of_all(files, options) for files in together(find(paths), options))
    frames = [part.frame for part in parts if part.kind != "skipped"]
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
        part, frame = _collected(found, options)
        inferred = "; ".join(part.inferred)
        for file, rows in _by_file(found, frame):
            unreadable = int((rows["event"] == "unreadable").sum())
            files.append((file, part.kind, part.name, rows.height, unreadable, inferred))
        frames.append(frame)
        same |= part.same
    _some([kind for _, kind, *_ in files if kind != "skipped"], paths)
    frame = _each_once(marked(frames, options), key(same))
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


def marked(frames: Sequence[Frame], options: Options) -> Frame:
    """One frame of many; with a key of return paths, `unmatched` is told of each row.

    Tables and logs are one's own: no stranger writes into them.
    """
    frame = pl.concat(frames, how="diagonal")
    if options.verp_key is None:
        return frame
    is_mail = pl.col("^unmatched$").fill_null(False)
    return frame.with_columns(unmatched=pl.any_horizontal(pl.lit(False), is_mail))


def together(found: list[Found], options: Options) -> Iterator[list[Found]]:
    """Give each file alone, but neighbouring mails at once: they are read on all cores."""
    for are_mails, files in groupby(found, key=lambda each: _is_plain_mail(each.path, options)):
        neighbours = list(files)
        yield from [neighbours] if are_mails else ([file] for file in neighbours)


def _is_plain_mail(path: Path, options: Options) -> bool:
    if path.is_dir() or options.source not in (None, "mail"):
        return False
    seen = peek(path)
    return not seen.packing and is_message(seen.head)


def part_of_all(found: list[Found], options: Options, *, mended: bool = False) -> Part:
    """What a file holds, or several mails."""
    if len(found) == 1:
        return part_of(found[0], options, mended=mended)
    paths = [file.path for file in found]
    return Part("mail", "mail", read_messages(paths, verp_key=options.verp_key))


def _by_file(found: list[Found], frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give the rows of each file."""
    if len(found) == 1:
        yield str(found[0].path), frame
        return
    for (source,), rows in frame.group_by("source", maintain_order=True):
        yield str(source), rows


def _collected(found: list[Found], options: Options) -> tuple[Part, pl.DataFrame]:
    """The rows of a file, or of several mails; what Polars refuses is read again by records."""
    try:
        part = part_of_all(found, options)
        return part, part.frame.collect(engine="streaming")
    except DAMAGE:
        pass
    except OSError as error:
        raise trouble(found[0].path, error) from None
    try:
        part = part_of_all(found, options, mended=True)
        return part, part.frame.collect(engine="streaming")
    except (*DAMAGE, OSError) as error:
        raise trouble(found[0].path, error) from None


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
        if not found.named:
            return Part("skipped", "", pl.LazyFrame(schema=BOUNCES))
        if plain := _plain(found.path, options):
            return plain
        raise
    except DAMAGE:
        if mended:
            raise
        return part_of(found, options, mended=True)


def _opened(path: Path, options: Options, *, mended: bool) -> Part:
    """Recognise a file by its content and open it with the reader for its kind."""
    if path.is_dir():
        return Part("mail", "mail", read_messages(path, verp_key=options.verp_key))
    seen = peek(path)
    if not seen.head.strip():
        raise NotOursError(f"{path} is empty: export it again.")
    kind = kind_of(seen.head)
    if kind == "zip":  # before all others: what is stored in it unpacked can be read as text
        return _archive(path, options)
    if options.source == "mail" or (options.source is None and is_message(seen.head)):
        return Part("mail", "mail", read_messages(path, seen.packing, options.verp_key))
    if kind not in BINARY and (server := _log_of(seen, options)):
        log = read_log(server, path, seen, options)
        return Part("log", log.server, log.frame, log.inferred)
    if kind == "dmarc":
        return Part(kind, DMARC, pl.LazyFrame(schema=BOUNCES))
    if kind == "binary":
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    table = open_table(kind, path, seen, mended=mended)
    layout, frame, inferred = bounces(table, path, options)
    if layout is None:
        return Part(kind, "bouncekit", frame)
    same = {} if layout.same == SAME_EVENT else {str(path): layout.same}
    return Part(kind, layout.service, frame, inferred, same)


def _plain(path: Path, options: Options) -> Part | None:
    """What a text holds that is no export: only of one that the user named, for many quote one."""
    seen = peek(path)
    if options.source or options.mapping or kind_of(seen.head) != "csv":
        return None
    frame = read_plain(path, seen)
    return None if frame is None else Part("text", "text", frame)


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
            part, frame = _collected([Found(place, named=False)], options)
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
    return Part("zip", names, pl.concat(frames, how="diagonal").lazy(), inferred, same)


def _is_archive(path: Path) -> bool:
    return kind_of(peek(path).head) == "zip"


def _each_once(frame: pl.DataFrame, event: pl.Expr) -> pl.DataFrame:
    """The frame without rows that repeat an event: same address, time or message, and the rest.

    Hashes tell at a fifth of the cost that nothing repeats; rows are compared where some are alike.
    """
    hashes = frame.lazy().filter(is_known()).select(event.hash()).collect().to_series()
    if hashes.n_unique() == len(hashes):
        return frame
    is_alike = frame.select(is_known() & event.hash().is_duplicated()).to_series()
    alike = frame.lazy().filter(is_alike)
    is_first = alike.select(event.is_first_distinct()).collect().to_series()
    return frame.filter((~is_alike).scatter(is_alike.arg_true(), is_first))


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
