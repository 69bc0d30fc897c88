"""Recognise files by their content and open each with the reader for its kind."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.archives import unzipped
from bouncekit.read.containers import BINARY, kind_of
from bouncekit.read.documents import holds_none
from bouncekit.read.files import Found, NotOursError, Peek, as_text, peek
from bouncekit.read.gathered import FEWEST, Shape, agree, chunks, gathered, shape_of
from bouncekit.read.layouts import SAME_EVENT, Options
from bouncekit.read.logs import READERS, are_one, read_log, server_of
from bouncekit.read.logs.rotated import series
from bouncekit.read.made import is_made
from bouncekit.read.mailbox import is_message
from bouncekit.read.messages import read_messages
from bouncekit.read.reading import DMARC
from bouncekit.read.tables import bounces, open_table
from bouncekit.schema import BOUNCES

# What Polars says of a file it cannot read on: a first attempt that fails is made again record
# by record, and only then the file is called damaged.
DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
# What it says where the system, and not the file, is the trouble.
_OF_SYSTEM = re.compile(r"\(os error (\d+)\)")

# Files of a name that show whether it is a log's.
SOME = 3


@dataclass(frozen=True)
class Part:
    """What one file holds, not collected yet."""

    kind: str
    name: str
    frame: pl.LazyFrame
    inferred: tuple[str, ...] = ()
    same: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source -> Layout.same


def together(found: list[Found], options: Options) -> Iterator[list[Found]]:
    """Give each file alone, but at once neighbouring mails, the files of one log, small JSON files.

    The mails are read on all cores; what one file of a log says, others go on with.
    """
    for are_mails, files in groupby(found, key=lambda each: _is_plain_mail(each.path, options)):
        neighbours = list(files)
        if are_mails:
            yield neighbours
        else:
            yield from _gathered(list(_logs_whole(neighbours, options)), options)


def _gathered(parts: list[list[Found]], options: Options) -> Iterator[list[Found]]:
    """Give neighbouring small files of JSON at once that a service writes in one way."""
    if len(parts) < FEWEST:
        yield from parts
        return
    ways: dict[Shape, str | None] = {}
    each: list[tuple[list[Found], str | None, Shape | None, int]] = []
    for part in parts:
        told = shape_of(part[0].path) if len(part) == 1 else None
        shape, records = told or (None, 0)
        if shape is not None and shape not in ways:
            ways[shape] = _way(shape, part[0].path, options)
        each.append((part, ways.get(shape) if shape else None, shape, records))
    for way, files in groupby(each, key=itemgetter(1)):
        neighbours = list(files)
        shapes = {shape for *_, shape, _ in neighbours if shape}
        if way is None or len(neighbours) < FEWEST or not agree(shapes):
            yield from (part for part, *_ in neighbours)
        else:
            yield from chunks((part[0], records) for part, *_, records in neighbours)


def _way(shape: Shape, path: Path, options: Options) -> str | None:
    """Give what is common to files that are told by one layout, by a file of the shape.

    What a table without a layout means is guessed from its cells: such files are read one by one.
    """
    if options.source == "mail" or _log_of(peek(path), options):
        return None
    try:
        table, _, is_wrapped = gathered(shape.kind, [path])
        layout, _, _ = bounces(table, path, options)
    except (*DAMAGE, BouncekitError):
        return None
    if layout is None or layout.own or layout.service == "generic":
        return None
    if is_wrapped and shape.kind == "ndjson":  # its records are numbered before they are unwrapped
        return None
    wrapping = sorted(key for key in shape.keys if "." not in key) if is_wrapped else ""
    return f"{shape.kind} {layout.name} {sorted(shape.named)} {wrapping}"


def _logs_whole(found: list[Found], options: Options) -> Iterator[list[Found]]:
    """Give the files of one log where the first of them stands, all others alone."""
    of = {each.path: each for each in found}
    logs = [_one_log(paths, options) for paths in series(list(of)) if len(paths) > 1]
    whole = {path: [of[each] for each in paths] for paths in logs for path in paths}
    done: set[Path] = set()
    for each in found:
        if each.path not in done:
            files = whole.get(each.path, [each])
            done |= {file.path for file in files}
            yield files


def _one_log(paths: list[Path], options: Options) -> list[Path]:
    """Give those of some files that are one log; a file that says nothing yet is left out."""
    servers = {path: _server_of_file(path, options) for path in paths[:SOME]}
    if not any(servers.values()):
        return []
    servers |= {path: _server_of_file(path, options) for path in paths[SOME:]}
    ours = [path for path, server in servers.items() if server is not None]
    is_one = len(set(servers.values()) - {None}) == 1 and are_one([(p, peek(p)) for p in ours])
    return ours if is_one else []


def _server_of_file(path: Path, options: Options) -> str | None:
    if not path.is_file():
        return None
    seen = peek(path)
    return None if kind_of(seen.head) in BINARY else _log_of(seen, options)


def _is_plain_mail(path: Path, options: Options) -> bool:
    if path.is_dir() or options.source not in (None, "mail"):
        return False
    seen = peek(path)
    return not seen.packing and is_message(seen.head)


@contextmanager
def uncut(found: list[Found]) -> Iterator[None]:
    """Raise BouncekitError where a file became shorter while it was read, be all read or not."""
    before = [(file.path, file.path.stat().st_size) for file in found if file.path.is_file()]

    def look() -> None:
        for path, size in before:
            if path.exists() and path.stat().st_size < size:
                raise BouncekitError(f"{path} became shorter while it was read: read it again.")

    try:
        yield
    except (Exception, pl.exceptions.PanicException):
        look()  # that may be why
        raise
    look()


@contextmanager
def legible(found: list[Found]) -> Iterator[None]:
    """Raise BouncekitError where a file cannot be read, or not to its end."""
    try:
        with uncut(found):
            yield
    except (*DAMAGE, OSError) as error:
        raise trouble(found[0].path, error) from None


def collected(found: list[Found], options: Options) -> tuple[Part, pl.DataFrame]:
    """The rows of a file, or of several mails; what Polars refuses is read again by records."""
    with legible(found):
        with suppress(*DAMAGE):
            part = part_of_all(found, options)
            return part, part.frame.collect(engine="streaming")
        part = part_of_all(found, options, mended=True)
        return part, part.frame.collect(engine="streaming")


def part_of_all(found: list[Found], options: Options, *, mended: bool = False) -> Part:
    """What a file holds, or several mails, or the files of one log."""
    if len(found) == 1:
        return part_of(found[0], options, mended=mended)
    paths = [file.path for file in found]
    if _is_plain_mail(paths[0], options):
        return Part("mail", "mail", read_messages(paths, verp_key=options.verp_key))
    files = [(path, peek(path)) for path in paths]
    if server := _log_of(files[0][1], options):
        return _log(server, files, options)
    if not mended:
        with suppress(*DAMAGE, NotOursError):
            return _small(paths, options)
    parts = [part_of(each, options, mended=mended) for each in found]
    return replace(parts[0], frame=pl.concat(part.frame for part in parts))


def part_of(found: Found, options: Options, *, mended: bool = False) -> Part:
    """What a file holds; an empty part of kind `skipped` if it is not ours and was not named."""
    skipped = Part("skipped", "", pl.LazyFrame(schema=BOUNCES))
    if is_made(found.path):
        if not found.named:
            return skipped
        raise NotOursError(
            f"{found.path} is a list or report that bouncekit wrote: name the exports instead."
        )
    try:
        return _opened(found.path, options, mended=mended)
    except NotOursError:
        if not found.named:
            return skipped
        if plain := _plain(found.path, options):
            return plain
        raise
    except DAMAGE:
        if mended:
            raise
        return part_of(found, options, mended=True)


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


def _opened(path: Path, options: Options, *, mended: bool) -> Part:
    """Recognise a file by its content and open it with the reader for its kind."""
    if path.is_dir():
        return Part("mail", "mail", read_messages(path, verp_key=options.verp_key))
    if path.suffix.lower() == ".msg":
        raise NotOursError(f"{path} is a message of Outlook: save it as .eml.")
    seen = peek(path)
    if not seen.head.strip():
        raise NotOursError(f"{path} is empty: export it again.")
    kind = kind_of(seen.head)
    if kind == "zip":  # before all others: what is stored in it unpacked can be read as text
        return _archive(path, options)
    if options.source == "mail" or (options.source is None and is_message(seen.head)):
        return Part("mail", "mail", read_messages(path, seen.packing, options.verp_key))
    if kind not in BINARY and (server := _log_of(seen, options)):
        return _log(server, [(path, seen)], options)
    if kind == "dmarc":
        return Part(kind, DMARC, pl.LazyFrame(schema=BOUNCES))
    if kind == "binary":
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    if kind == "json" and seen.whole and holds_none(as_text(seen.head)):
        return Part(kind, "generic", pl.LazyFrame(schema=BOUNCES))
    table = open_table(kind, path, seen, mended=mended)
    layout, frame, inferred = bounces(table, path, options)
    if layout is None:
        return Part(kind, "bouncekit", frame)
    same = {} if layout.same == SAME_EVENT else {str(path): layout.same}
    return Part(kind, layout.service, frame, inferred, same)


def _log(server: str, files: list[tuple[Path, Peek]], options: Options) -> Part:
    log = read_log(server, files, options)
    return Part("log", log.server, log.frame, log.inferred)


def _small(paths: list[Path], options: Options) -> Part:
    """What small files of JSON hold together."""
    kind = kind_of(peek(paths[0]).head)
    table, places, _ = gathered(kind, paths)
    layout, frame, inferred = bounces(table, paths[0], options)
    assert layout is not None  # `_way` saw to it
    same = {} if layout.same == SAME_EVENT else {str(path): layout.same for path in paths}
    return Part(kind, layout.service, places.named(frame), inferred, same)


def _plain(path: Path, options: Options) -> Part | None:
    """What a text holds that is no export: only of one that the user named, for many quote one."""
    seen = peek(path)
    if options.source or options.mapping or kind_of(seen.head) != "csv":
        return None
    from bouncekit.read.plain import read_plain  # its many patterns are slow to load

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
        sources = {str(place): f"{path}/{name}" for name, place in members}
        for name, place in members:
            if _is_archive(place):  # each may hold a thousand times its size, and others
                raise BouncekitError(
                    f"{path} holds another archive, {name}: unpack it, and name what is in it."
                )
        for found in together([Found(place, named=False) for _, place in members], options):
            part, frame = collected(found, options)
            if part.kind == "skipped":
                continue
            parts.append(part)
            frames.append(frame.with_columns(pl.col("source").replace(sources)))
            same |= {sources[place]: columns for place, columns in part.same.items()}
    if not parts:
        raise NotOursError(f"{path} holds no table, mail or log that bouncekit can read.")
    names = ", ".join(dict.fromkeys(part.name for part in parts))
    inferred = tuple(dict.fromkeys(what for part in parts for what in part.inferred))
    return Part("zip", names, pl.concat(frames, how="diagonal").lazy(), inferred, same)


def _is_archive(path: Path) -> bool:
    return kind_of(peek(path).head) == "zip"
