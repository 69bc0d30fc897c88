"""Read exports larger than memory: each file streams to disk, duplicates are told by their keys."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.files import watched
from bouncekit.read import marked, options_of
from bouncekit.read.files import Found, find
from bouncekit.read.layouts import Options
from bouncekit.read.opening import DAMAGE, Part, part_of_all, together, trouble, uncut
from bouncekit.read.overlap import is_known, key
from bouncekit.read.reading import FILES, Account

# Rows that are read back, and classified, at a time: twice as many take a fifth more memory.
GROUP = 50_000
# Rows among which repeated ones are looked for at a time.
HASHES_AT_ONCE = 5_000_000

Progress = Callable[[int], None]  # told how many more rows were read


def store(
    *paths: str | Path,
    folder: Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
    verp_key: str | bytes | None = None,
    progress: Progress = lambda rows: None,
) -> Account:
    """The accounting and lazy frame of `read`, kept in `folder`: each event once.

    `folder` must stay until the frame was collected. Raises BouncekitError as `read` does.
    """
    options = replace(options_of(source, tz, year, mapping), verp_key=verp_key)
    files: list[tuple[str | int, ...]] = []
    kept = []
    same: dict[str, tuple[str, ...]] = {}
    for number, found in enumerate(together(find(paths), options)):
        place = folder / f"{number}.parquet"
        part = _sunk(found, options, place, progress)
        files.extend(_accounted(found, part, place))
        same |= part.same
        kept.append(pl.scan_parquet(place, glob=False))
    if all(kind == "skipped" for _, kind, *_ in files):
        named = ", ".join(map(str, paths))
        raise BouncekitError(
            f"{named}: there is no table, mail or log here that bouncekit can read."
        )
    table = pl.DataFrame(files, schema=FILES, orient="row")
    return Account(_each_once(marked(kept, options), same), table)


def _sunk(found: list[Found], options: Options, place: Path, progress: Progress) -> Part:
    """Stream a file to a Parquet file; one that Polars refuses is read record by record."""
    for mended in (False, True):
        try:
            part = part_of_all(found, options, mended=mended)
            with uncut(found):
                watched(part.frame, progress).sink_parquet(
                    place, compression="lz4", row_group_size=GROUP
                )
        except OSError as error:
            raise trouble(found[0].path, error, place.parent) from None
        except DAMAGE as error:
            told = trouble(found[0].path, error, place.parent)
        else:
            return part
    raise told


def _accounted(found: list[Found], part: Part, place: Path) -> Iterator[tuple[str | int, ...]]:
    """What FILES tells of each file of a part."""
    is_unreadable = pl.col("event") == "unreadable"
    counts = (
        pl.scan_parquet(place, glob=False)
        .group_by("source" if len(found) > 1 else pl.lit(str(found[0].path)).alias("source"))
        .agg(records=pl.len(), unreadable=is_unreadable.sum())
        .collect(engine="streaming")
    )
    each = {source: (records, unreadable) for source, records, unreadable in counts.iter_rows()}
    for path in (str(file.path) for file in found):
        records, unreadable = each.get(path, (0, 0))
        yield path, part.kind, part.name, records, unreadable, "; ".join(part.inferred)


def _each_once(frame: pl.LazyFrame, same: Mapping[str, tuple[str, ...]]) -> pl.LazyFrame:
    """The frame without rows that repeat an event; 8 bytes of each are in memory."""
    known = pl.when(is_known()).then(key(same).hash())
    hashes = frame.select(key=known).collect(engine="streaming").to_series()
    again = _repeated(hashes)
    if again.is_empty():
        return frame
    is_first = pl.repeat(True, len(hashes), eager=True).scatter(again, False)
    # Side by side and not joined: to keep the order, a join has all rows in memory.
    parts = [frame, pl.LazyFrame({"kept": is_first})]
    return pl.concat(parts, how="horizontal").filter("kept").drop("kept")


def _repeated(hashes: pl.Series) -> pl.Series:
    """The rows whose hash stands in an earlier row; null repeats nothing.

    A set of all hashes would take several times their size: some are looked at, then others.
    """
    rounds = len(hashes) // HASHES_AT_ONCE + 1
    again = []
    for number in range(rounds):
        rows = (hashes % rounds == number).arg_true()
        again.append(rows.filter(~hashes.gather(rows).is_first_distinct()))
    return pl.concat(again)
