"""The removal list, as the mail services take it."""

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from bouncekit.conform import check_frame
from bouncekit.drafts import is_stream, whole_file
from bouncekit.errors import BouncekitError
from bouncekit.files import refuse_bytes, with_formulas
from bouncekit.formats import Format, find_format, formats, is_address, parts, table, write
from bouncekit.read import made

SERVICES: Sequence[str] = tuple(formats())
CHANGES = ("added", "kept", "withdrawn")
# What follows the name of the list in the name of its manifest.
MANIFEST = f".{made.MANIFEST}"
_NOBODY = pl.Series("recipient", [], pl.String)


def write_suppressions(
    decisions: pl.DataFrame | pl.LazyFrame,
    path: str | PathLike[str],
    service: str = "csv",
    previous: str | PathLike[str] | None = None,
    *,
    at_most: float = 1.0,
    run: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Write the addresses to remove as a mail service imports them, and a manifest beside them.

    `service` is one of `SERVICES`; `rules/suppression_formats.toml` says how each takes its list
    and where that is written. Where a service limits a file, `remove.csv` becomes `remove-1.csv`,
    `remove-2.csv`, ...; files of the last run that are no longer part of the list are deleted.
    In the plain CSV, cells that a spreadsheet would run get an apostrophe in front; in a service's
    file the address stays as it is. What is no address is left out of a service's file and counted.

    `remove.csv.manifest.json` tells service, policy, counts, versions, the hash of each file, and
    `run` as given (what a caller wants to remember: as_of, inputs, options). It holds no clock: the
    same run gives the same bytes.

    Gives the frame of what changed since the list `previous` (a file written before, or any table
    of addresses): recipient (String), change (Enum: added, kept, withdrawn); without `previous` all
    are added. Added and kept are the new list.

    All is written or nothing: each file takes its place when the last is complete. Raises
    BouncekitError for an unknown service, a frame that holds no decisions, a file that cannot be
    read or written, or if more than the share `at_most` (0 to 1) of the recipients would go.
    """
    to = find_format(service)
    refuse_bytes(Path(path))
    check_frame(decisions)
    decisions = decisions.lazy().collect()
    needed = ["verdict", "recipient", *to.needed]
    if missing := [name for name in needed if name not in decisions.columns]:
        raise BouncekitError(
            f"The frame has no column '{missing[0]}'; write_suppressions takes what decide() gives."
        )
    verdicts = decisions.filter(pl.col("verdict") == "remove").sort("recipient")
    refuse_if_too_many(verdicts.height, decisions.height, at_most)
    removals = verdicts if service == "csv" else verdicts.filter(is_address())
    change = _change(removals["recipient"], previous)
    files = _named(Path(path), list(parts(table(removals, to), to)))
    manifest = {
        "service": service,
        "import_as": to.import_as,
        "format_source": to.source,
        "policy": _policy(decisions),
        "counts": {
            "recipients": decisions.height,
            "verdicts": _counts(decisions, "verdict"),
            "listed": removals.height,
            "no_address": verdicts.height - removals.height,
            "changes": dict.fromkeys(CHANGES, 0) | _counts(change, "change"),
        },
        "previous": [] if previous is None else [*map(file_facts, _files_of(Path(previous)))],
        "files": (),  # told when they are written
        "versions": {
            "bouncekit": _version(),
            "polars": pl.__version__,
            "python": platform.python_version(),
        },
        "run": dict(run or {}),
    }
    _write(Path(path), files, to, manifest)
    return change


def refuse_if_too_many(removals: int, recipients: int, at_most: float) -> None:
    """Raise BouncekitError if more than the share `at_most` of the recipients would go."""
    if recipients and removals > at_most * recipients:
        raise BouncekitError(
            f"That would remove {removals / recipients:.0%} of the recipients ({removals:,} of "
            f"{recipients:,}), more than {at_most:.0%}; nothing was written. Look at the decisions "
            "first; if they are right, use --force (in Python: at_most=1)."
        )


def manifest_of(path: str | PathLike[str]) -> Path:
    """Give the place of a list's manifest."""
    target = Path(path)
    return target.with_name(target.name + MANIFEST)


def file_facts(path: str | PathLike[str]) -> dict[str, Any]:
    """Give file, bytes and sha256 of a file, so that a run on it can be told from another.

    Raises BouncekitError if it cannot be read.
    """
    try:
        with Path(path).open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        return {"file": str(path), "bytes": Path(path).stat().st_size, "sha256": digest}
    except OSError as problem:
        raise BouncekitError(
            f"{path}: not readable ({problem.strerror}); check the path."
        ) from None


def listed(path: str | PathLike[str]) -> pl.Series:
    """Read the addresses of a list written before, or of any table that has a column of them.

    A list in several files is read whole if its manifest is there. Raises BouncekitError.
    """
    service = _manifest(Path(path)).get("service")
    found = [_recipients(file, service) for file in _files_of(Path(path))]
    return pl.concat([_NOBODY, *found]).unique().sort()


def _policy(decisions: pl.DataFrame) -> str | None:
    if "policy" not in decisions.columns:
        return None
    return ", ".join(sorted(map(str, decisions["policy"].unique()))) or None


def _counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    counted = frame.group_by(column).len().sort(column)
    return {str(name): count for name, count in counted.iter_rows()}


def _version() -> str | None:
    try:
        return version("bouncekit")
    except PackageNotFoundError:  # a checkout that was never installed
        return None


def _named(path: Path, files: Sequence[pl.DataFrame]) -> dict[Path, pl.DataFrame]:
    if len(files) == 1:
        return {path: files[0]}
    return {
        path.with_name(f"{path.stem}-{number}{path.suffix}"): part
        for number, part in enumerate(files, 1)
    }


def _write(
    path: Path, files: Mapping[Path, pl.DataFrame], to: Format, manifest: Mapping[str, Any]
) -> None:
    """Write the files and the manifest, which tells of them."""
    with _drafts(path, [*files]) as (told, drafts):
        for name, rows in files.items():
            write(rows, to, drafts[name])
        facts = [file_facts(drafts[name]) | {"file": name.name} for name in files]
        text = json.dumps({**manifest, "files": facts}, indent=2, ensure_ascii=False, default=str)
        told.write_bytes(f"{text}\n".encode())


@contextmanager
def _drafts(path: Path, files: Sequence[Path]) -> Iterator[tuple[Path, dict[Path, Path]]]:
    """Give a draft of the manifest and of each file of a list.

    When all are written each takes its place, the manifest last; then files of the last run that
    are no longer part of the list are deleted.
    """
    if not path.parent.is_dir():
        raise BouncekitError(
            f"{path}: cannot be written there (no such folder); choose another place."
        )
    before = [file for file in _in_manifest(path) if file not in files and not file.is_dir()]
    # Beside a pipe there is no place for it.
    manifest = os.devnull if is_stream(path) else manifest_of(path)
    with ExitStack() as places:  # leaves in the reverse order of entering
        told = places.enter_context(whole_file(manifest))
        yield told, {name: places.enter_context(whole_file(name)) for name in reversed(files)}
    for file in before:
        file.unlink(missing_ok=True)


def _in_manifest(path: Path) -> list[Path]:
    """Give the files of the list written there before; only what is named like a part of it."""
    names = [file["file"] for file in _manifest(path).get("files", []) if "file" in file]
    own = re.compile(rf"{re.escape(path.stem)}(-[0-9]+)?{re.escape(path.suffix)}")
    return [path.with_name(name) for name in names if own.fullmatch(name)]


def _manifest(path: Path) -> dict[str, Any]:
    """Give the manifest of a list; what is none is no manifest, for the list can do without."""
    try:
        found = json.loads(manifest_of(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _files_of(path: Path) -> Iterable[Path]:
    return [path] if path.exists() else _in_manifest(path) or [path]


def _change(recipients: pl.Series, previous: str | PathLike[str] | None) -> pl.DataFrame:
    before = _NOBODY if previous is None else listed(previous)
    # Services take no notice of an address' case.
    was_listed = pl.col("recipient").str.to_lowercase().is_in(before.str.to_lowercase().implode())
    is_listed = (
        pl.col("recipient").str.to_lowercase().is_in(recipients.str.to_lowercase().implode())
    )
    new = (
        recipients.unique()
        .to_frame()
        .select(
            "recipient", change=pl.when(was_listed).then(pl.lit("kept")).otherwise(pl.lit("added"))
        )
    )
    gone = before.to_frame().filter(~is_listed).with_columns(change=pl.lit("withdrawn"))
    changes = pl.concat([new, gone]).sort("recipient")
    return changes.with_columns(pl.col("change").cast(pl.Enum(CHANGES)))


def _recipients(path: Path, service: str | None) -> pl.Series:
    """Read the addresses of one file: the column that has most of them, if no manifest tells."""
    to = formats().get(service or "")
    try:
        data = path.read_bytes()
        if data[:1] == b"{":
            return _of_calls(data)
        if to is not None and to.kind == "lines":
            return pl.Series("recipient", data.decode().splitlines(), pl.String)
        table = pl.read_csv(data, has_header=False, infer_schema=False, raise_if_empty=False)
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as problem:
        reason = (str(problem).splitlines() or ["no reason given"])[0]
        raise BouncekitError(
            f"{path}: not readable as an earlier removal list ({reason}); check the path."
        ) from None
    if table.is_empty():  # nobody was to be removed, in a format without headings
        return _NOBODY
    is_one = pl.all().str.contains(r'^\s*("[^"]*"|[^\s"]+)@[^\s@]+\s*$').sum()
    counts = table.select(is_one).row(0)
    if table.row(0)[:2] == tuple(formats()["csv"].columns)[:2]:
        # Only that one quotes formulas, and holds what is no address.
        return with_formulas(table.to_series(0)[1:]).alias("recipient").drop_nulls()
    cells = table.to_series(counts.index(max(counts))).alias("recipient")
    return cells.filter(cells.str.contains("@", literal=True).fill_null(False))


def _of_calls(data: bytes) -> pl.Series:
    to = formats()["postmark"]
    address = next(iter(to.columns))
    calls = (json.loads(line) for line in data.decode().splitlines() if line)
    return pl.Series(
        "recipient", [one[address] for call in calls for one in call[to.list]], pl.String
    )
