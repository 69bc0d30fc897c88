"""What the command line reads, and how it is kept while a run lasts."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bouncekit.cli.telling import count_of, progress_of, say, tell
from bouncekit.errors import BouncekitError

if TYPE_CHECKING:  # Polars is loaded by the commands that need it: --help answers at once
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from bouncekit.cli.options import How
    from bouncekit.formats import Format
    from bouncekit.read import Reading
    from bouncekit.read.reading import Account


def read_all(exports: "Sequence[str]", how: "How", verp_key: bytes | None = None) -> "Reading":
    """Read exports into memory."""
    from bouncekit.read import load

    return load(*exports, **how, verp_key=verp_key)


def refuse_to_lose(output: Path, *given: str | Path | None) -> None:
    """Stop a run that would write over what it reads."""
    for path in given:
        if path is not None and Path(path).is_file() and output.exists() and output.samefile(path):
            raise BouncekitError(f"{output}: is what this run reads; write to another file.")


def secret(file: Path | None) -> bytes | None:
    """Read a secret key from a file: on the command line others would see it."""
    if file is None:
        return None
    try:
        key = file.read_bytes().strip()
    except OSError as problem:
        raise BouncekitError(f"{file}: not readable ({problem.strerror}).") from None
    if not key:
        raise BouncekitError(f"{file}: holds no key; write a secret of 32 or more letters into it.")
    return key


def small_table(file: Path) -> "pl.DataFrame":
    """Read a CSV that somebody wrote by hand, whatever separates its cells, as text."""
    import polars as pl

    from bouncekit.read.delimited import sniff
    from bouncekit.read.files import HEAD

    try:
        with file.open(encoding="utf-8-sig", errors="replace") as text:
            separator = sniff(text.read(HEAD), whole=False).separator
        return pl.read_csv(file, separator=separator, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as problem:
        said = str(problem).splitlines()[0]
        raise BouncekitError(f"{file}: not readable as CSV: {said}; check it.") from None


@contextmanager
def stored(
    exports: "Sequence[str]", how: "How", verp_key: bytes | None = None
) -> "Iterator[Account]":
    """Read exports into a temporary folder, for they may be larger than memory."""
    from bouncekit.drafts import scratch
    from bouncekit.read.stored import store

    with scratch() as folder:
        with progress_of("rows read") as progress:
            account = store(*exports, folder=folder, **how, verp_key=verp_key, progress=progress)
        yield account


@contextmanager
def classified_parts(bounces: "pl.LazyFrame") -> "Iterator[list[pl.LazyFrame]]":
    """Classify rows into parts that share no recipient, without what only their reader needs."""
    from bouncekit.buckets import in_parts
    from bouncekit.conform import with_few_verdicts
    from bouncekit.files import watched

    lean = with_few_verdicts(bounces.drop("source", "line", "final_recipient"))
    with ExitStack() as kept:
        with progress_of("rows classified") as progress:
            parts = kept.enter_context(in_parts(watched(lean, progress)))
        yield parts


def brief(
    to: "Format", progress: "Callable[[int], None]"
) -> "Callable[[pl.DataFrame], pl.DataFrame]":
    """Keep of decisions what a service's list is made from; those of all would take much room."""
    import polars as pl

    from bouncekit.batches import compact

    needed = ("recipient", "category", "last_bounce", "last_delivery", "policy")
    columns = list(dict.fromkeys(["verdict", *needed, *to.needed]))

    def brief(decisions: pl.DataFrame) -> pl.DataFrame:
        progress(decisions.height)
        kept = decisions.select(columns).cast({"policy": pl.Categorical})  # of all rows the same
        is_listed = pl.when(pl.col("verdict") == "remove")
        return compact(kept.with_columns(is_listed.then(pl.col(pl.String))))

    return brief


def read_replies(exports: "Sequence[str]", how: "How") -> "pl.DataFrame":
    """Read exports, or plain tables of replies where there are no addresses; tell what was read."""
    import polars as pl

    from bouncekit.own_rules import replies
    from bouncekit.read.files import NotOursError

    try:
        reading = read_all(exports, how)
    except NotOursError:
        heading = (how["mapping"] or {}).get("reply")
        tables = [replies(export, heading) for export in exports]
        if any(table is None for table in tables):
            raise
        frame = pl.concat(table for table in tables if table is not None)
        tell(f"Read {count_of(frame.height, 'reply', 'replies')} without addresses.")
        return frame
    say(str(reading))
    return reading.frame


def flat(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    """Turn what CSV has no word for into text: durations become seconds."""
    import polars as pl

    return frame.with_columns(pl.col(pl.Duration).dt.total_seconds())
