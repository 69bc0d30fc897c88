"""Read exports larger than memory: each file streams to disk, duplicates are told by their keys."""

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.read import DAMAGE, Part, is_known, key, options_of, part_of, trouble
from bouncekit.read.files import Found, find
from bouncekit.read.layouts import Options
from bouncekit.read.reading import FILES, Account
from bouncekit.schema import BOUNCES

Progress = Callable[[int], None]  # told how many more rows were read


def store(
    *paths: str | Path,
    folder: Path,
    source: str | None = None,
    tz: str | None = None,
    year: int | None = None,
    mapping: Mapping[str, str] | None = None,
    progress: Progress = lambda rows: None,
) -> Account:
    """The accounting and lazy frame of `read`, kept in `folder`: each event once.

    `folder` must stay until the frame was collected. Raises BouncekitError as `read` does.
    """
    options = options_of(source, tz, year, mapping)
    files, kept = [], []
    same: dict[str, tuple[str, ...]] = {}
    for number, found in enumerate(find(paths)):
        place = folder / f"{number}.parquet"
        part = _sunk(found, options, place, progress)
        files.append(_row(found, part, place))
        same |= part.same
        kept.append(pl.scan_parquet(place, glob=False))
    if all(kind == "skipped" for _, kind, *_ in files):
        named = ", ".join(map(str, paths))
        raise BouncekitError(
            f"{named}: there is no table, mail or log here that bouncekit can read."
        )
    table = pl.DataFrame(files, schema=FILES, orient="row")
    return Account(_each_once(pl.concat(kept), same), table)


def _sunk(found: Found, options: Options, place: Path, progress: Progress) -> Part:
    """Stream a file to a Parquet file; one that Polars refuses is read record by record."""

    def counted(rows: pl.DataFrame) -> pl.DataFrame:
        progress(rows.height)
        return rows

    for mended in (False, True):
        try:
            part = part_of(found, options, mended=mended)
            frame = part.frame.map_batches(counted, streamable=True, schema=BOUNCES)
            frame.sink_parquet(place, compression="lz4")
        except OSError as error:
            raise trouble(found.path, error, place.parent) from None
        except DAMAGE as error:
            told = trouble(found.path, error, place.parent)
        else:
            return part
    raise told


def _row(found: Found, part: Part, place: Path) -> tuple[str, str, str, int, int, str]:
    frame = pl.scan_parquet(place, glob=False)
    is_unreadable = pl.col("event") == "unreadable"
    counts = frame.select(records=pl.len(), unreadable=is_unreadable.sum())
    records, unreadable = counts.collect(engine="streaming").row(0)
    return str(found.path), part.kind, part.name, records, unreadable, ", ".join(part.inferred)


def _each_once(frame: pl.LazyFrame, same: Mapping[str, tuple[str, ...]]) -> pl.LazyFrame:
    """The frame without rows that repeat an event; only hashes of their keys are in memory."""
    hashes = frame.select(known=is_known(), key=key(same).hash()).collect(engine="streaming")
    is_first = hashes.select(kept=~pl.col("known") | pl.col("key").is_first_distinct())
    if is_first["kept"].all():
        return frame
    # Side by side and not joined: to keep the order, a join has all rows in memory.
    return pl.concat([frame, is_first.lazy()], how="horizontal").filter("kept").drop("kept")
