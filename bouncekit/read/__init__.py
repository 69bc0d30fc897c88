"""Read any export: tables of mail services, bounce messages, in files, folders and globs.

`read` gives the bounces frame, `scan` the same lazily, `load` the frame and its accounting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read.containers import kind_of
from bouncekit.read.files import Found, NotOursError, Peek, find, peek, unpack
from bouncekit.read.layouts import MAPPABLE, Options, layouts
from bouncekit.read.reports import is_message, read_messages
from bouncekit.read.tables import bounces, open_table
from bouncekit.schema import BOUNCES

__all__ = ["Reading", "load", "read", "scan"]

T = TypeVar("T")

# What Polars says of a file it cannot read on; its other errors would be ours.
DAMAGE = (pl.exceptions.ComputeError, pl.exceptions.NoDataError, pl.exceptions.ShapeError)

FILES = {
    "source": pl.String(),
    "kind": pl.String(),
    "name": pl.String(),
    "records": pl.Int64(),
    "unreadable": pl.Int64(),
}
# What makes two rows the same event, met in overlapping exports.
SAME_EVENT = ("recipient", "time", "event", "message_id", "mailing", "reply")


@dataclass(frozen=True)
class Reading:
    """A bounces frame and what became of every record of its files.

    `files` has a row per file: source, kind (csv, mail, ..., skipped), name of the service,
    records, unreadable. Rows are records less duplicates.
    """

    frame: pl.DataFrame
    files: pl.DataFrame

    @property
    def records(self) -> int:
        """Records in all files."""
        return int(self.files["records"].sum())

    @property
    def unreadable(self) -> int:
        """Records kept as event `unreadable`."""
        return int(self.files["unreadable"].sum())

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return self.frame.height

    @property
    def duplicates(self) -> int:
        """Records left out because another tells of the same event."""
        return self.records - self.rows

    @cached_property
    def undated(self) -> int:
        """Readable rows without a time: the export has none, or none that can be read."""
        is_undated = pl.col("time").is_null() & (pl.col("event") != "unreadable").fill_null(True)
        return int(self.frame.select(is_undated.sum()).item())

    @cached_property
    def neutral(self) -> int:
        """Rows whose event is null: a word such as `processed`, or one bouncekit doesn't know."""
        return self.frame["event"].null_count()

    @property
    def summary(self) -> str:
        """The accounting in one sentence."""
        read = self.files.filter(pl.col("kind") != "skipped")
        skipped = self.files.filter(pl.col("kind") == "skipped")["source"].to_list()
        names = ", ".join(read["name"].unique(maintain_order=True))
        what = f"Read {_count(self.records, 'row')} from {_count(read.height, 'file')} ({names})"
        were = "was a duplicate" if self.duplicates == 1 else "were duplicates"
        always = (
            f"{self.unreadable:,} could not be read, {self.duplicates:,} {were} and counted once"
        )
        told = [
            (self.undated, f"{self.undated:,} without a time"),
            (self.neutral, f"{self.neutral:,} tell of neither bounce nor delivery"),
            (len(skipped), f"skipped {_listed(skipped)}"),
        ]
        return f"{what}: {', '.join([always, *(text for number, text in told if number)])}."


@dataclass(frozen=True)
class Part:
    """What one file holds, not collected yet."""

    kind: str
    name: str
    frame: pl.LazyFrame


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
    """The frame of `read` lazily, in bounded memory for UTF-8 CSV, NDJSON and Parquet.

    Duplicates stay in. A CSV whose quotes are broken fails with Polars' own error when it is
    collected, where `read` keeps what it can: finding them takes a reading of the whole file.
    """
    options = _options(source, tz, year, mapping)
    parts = (_part(found, options) for found in find(paths))
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
    options = _options(source, tz, year, mapping)
    frames, files = [], []
    for found in find(paths):
        part, frame = _collected(found, options)
        is_unreadable = frame["event"] == "unreadable"
        files.append((str(found.path), part.kind, part.name, frame.height, is_unreadable.sum()))
        frames.append(frame)
    _some([kind for _, kind, *_ in files if kind != "skipped"], paths)
    frame = pl.concat(frames).filter(_is_first())
    return Reading(frame, pl.DataFrame(files, schema=FILES, orient="row"))


def _options(
    source: str | None, tz: str | None, year: int | None, mapping: Mapping[str, str] | None
) -> Options:
    """The user's options, checked before any file is touched."""
    services = list(dict.fromkeys(["mail", *(layout.service for layout in layouts())]))
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
        part = _part(found, options)
        return part, part.frame.collect(engine="streaming")
    except DAMAGE:
        pass
    try:
        part = _part(found, options, mended=True)
        return part, part.frame.collect(engine="streaming")
    except DAMAGE as error:
        reason = str(error).partition("\n")[0]
        raise BouncekitError(
            f"{found.path} is damaged ({reason}): copy or export it again."
        ) from None


def _part(found: Found, options: Options, *, mended: bool = False) -> Part:
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
        return _part(found, options, mended=True)


def _opened(path: Path, options: Options, *, mended: bool) -> Part:
    """Recognise a file by its content and open it with the reader for its kind."""
    if path.is_dir():
        return Part("mail", "mail", read_messages(path).lazy())
    seen = peek(path)
    if not seen.head.strip():
        raise NotOursError(f"{path} is empty: export it again.")
    if options.source == "mail" or (options.source is None and is_message(seen.head)):
        return Part("mail", "mail", _mails(path, seen).lazy())
    kind = kind_of(seen.head)  # logs are told apart here, before what is left is taken for CSV
    if kind == "zip":
        raise NotOursError(
            f"{path} is an archive or an Excel workbook: unpack it, or save it as CSV."
        )
    if kind == "binary":
        raise NotOursError(f"{path} is not a table, a mail or a log that bouncekit can read.")
    table = open_table(kind, path, seen, mended=mended)
    layout, frame = bounces(table, path, options)
    if layout is None:
        return Part(kind, "bouncekit", frame)
    return Part(kind, layout.service, frame)


def _mails(path: Path, seen: Peek) -> pl.DataFrame:
    if not seen.packing:
        return read_messages(path)
    with TemporaryDirectory() as folder:
        unpacked = Path(folder) / "mails"
        unpacked.write_bytes(unpack(path, seen.packing))
        return read_messages(unpacked).with_columns(source=pl.lit(str(path)))


def _is_first() -> pl.Expr:
    """True but for rows that repeat an event: same address, time or message, and all the rest."""
    is_known = pl.col("recipient").is_not_null() & (
        pl.col("time").is_not_null() | pl.col("message_id").is_not_null()
    )
    return ~is_known | pl.struct(SAME_EVENT).is_first_distinct()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + "s" * (number != 1)


def _listed(names: list[str]) -> str:
    """Up to three names, and how many more there are."""
    more = [f"{len(names) - 3:,} more"] * (len(names) > 3)
    return ", ".join([*names[:3], *more])
