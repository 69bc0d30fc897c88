"""The same frames on a Spark cluster: the same code on each part, and so the same rows.

    from bouncekit import spark
    bounces = spark.classify(session.read.parquet("s3a://bucket/bounces/"))
    spark.decide(bounces, "article").write.parquet("s3a://bucket/decisions/")

It takes `pip install 'bouncekit[spark]'`, there and on the workers, and Java 17 or later. Spark
knows no Enum and no unsigned numbers: categories are strings there and counts are longs.
`collected` brings a frame back as Polars has it.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from os import PathLike
from pathlib import Path

import polars as pl

from bouncekit import rules as knowledge
from bouncekit.classify import classify_by
from bouncekit.history import told
from bouncekit.policy import USED, decided, find_policy
from bouncekit.presets import Policy
from bouncekit.schema import BOUNCES, CLASSIFICATION, Verdict
from bouncekit.tallies import ALWAYS, Gather, Tally
from bouncekit.whole import whole_of

try:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as sql
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
    from pyspark.sql.types import StructType
except ImportError as problem:
    raise ImportError(
        f"Spark is not installed here ({problem}): pip install 'bouncekit[spark]'."
    ) from None

# Spark hands over 10,000 rows at a time. The fewer they are, the more it costs to look for phrases.
ROWS_AT_A_TIME = 200_000

# What Spark has no type for, by the columns of bounces and decisions.
DTYPES: dict[str, pl.DataType] = BOUNCES | CLASSIFICATION
DTYPES |= {"verdict": Verdict, "strikes": pl.UInt32(), "mailings_bounced": pl.UInt32()}

Work = Callable[[pl.DataFrame], pl.DataFrame]


def classify(frame: DataFrame, rules: str | PathLike[str] | None = None) -> DataFrame:
    """Do what `bk.classify` does to a Spark frame with a column `reply`; nothing is moved.

    `rules` is a file on the machine that asks. Raises BouncekitError if there is no such column or
    the file of rules cannot be used.
    """
    own = None if rules is None else (str(rules), _text(rules))

    def work(part: pl.DataFrame) -> pl.DataFrame:
        known = knowledge.builtin() if own is None else knowledge.with_text(*own)
        return classify_by(part, known)

    return _mapped(frame, work, ROWS_AT_A_TIME)


def decide(
    frame: DataFrame,
    policy: str | PathLike[str] | Policy = "article",
    *,
    as_of: date | str | None = None,
    guard: bool | pl.DataFrame = True,
) -> DataFrame:
    """Do what `bk.decide` does to a classified Spark frame; the rows are in no order.

    What only the whole list can tell (the last event, the names that are a list's, the distance of
    mailings, the outages) is counted first, in parts that are added up. Then the rows are moved so
    that all events of a recipient are in one partition, and each partition is decided by itself: it
    must fit into the memory of a worker. More `spark.sql.shuffle.partitions` make them smaller.

    Events marked `unmatched` count for nothing, as in `bk.decide`. Raises BouncekitError for an
    unknown policy and for a frame that has no recipients or is not classified.
    """
    chosen = find_policy(policy)
    told(_empty(frame))  # raises if it cannot be counted
    lean = frame.select(*(name for name in USED if name in frame.columns))
    as_of = as_of or _last_event(lean)
    whole = whole_of(over(lean, as_of), as_of, guard)
    return _mapped(lean.repartition("recipient"), lambda part: decided(part, chosen, whole))


def collected(frame: DataFrame) -> pl.DataFrame:
    """Bring a Spark frame of bounces or decisions into memory, with the dtypes of `schema`."""
    return _typed(frame.toArrow())


def _text(rules: str | PathLike[str]) -> str:
    knowledge.with_own(str(rules))  # raises if it cannot be used
    return Path(rules).read_text(encoding="utf-8")


def _last_event(frame: DataFrame) -> datetime | None:
    if "time" not in frame.columns:
        return None
    newest = collected(frame.agg(sql.max("time").alias("time"))).item()
    assert newest is None or isinstance(newest, datetime)
    return newest


def over(frame: DataFrame, as_of: date | str | None = None) -> Gather:
    """Give what makes counts over the partitions of a frame, and adds them up there."""

    def counted(tally: Tally) -> pl.DataFrame:
        columns = [name for name in (*ALWAYS, *tally.columns) if name in frame.columns]
        rows = frame.select(*columns)
        if tally.span and "time" in columns:
            rows = rows.where(sql.col("time").between(*tally.span))
        if tally.by_recipient:
            rows = rows.repartition("recipient")

        def count(part: pl.DataFrame) -> pl.DataFrame:
            return tally.count(told(part, as_of)).collect()

        counts = _mapped(rows, count, None if tally.by_recipient else ROWS_AT_A_TIME)
        found = [
            put_together(name).alias(name)
            for put_together, names in (
                (sql.sum, tally.sums),
                (sql.min, tally.firsts),
                (sql.max, tally.lasts),
            )
            for name in names
        ]
        together = counts.groupBy(*tally.keys).agg(*found) if found else counts.distinct()
        return tally.together([collected(together).cast(count(_empty(rows)).schema)])

    return lambda tallies: [counted(tally) for tally in tallies]


def _mapped(frame: DataFrame, work: Work, rows: int | None = None) -> DataFrame:
    """Do some work on the rows of each partition: on so many at a time, or on all together."""
    schema = from_arrow_schema(_plain(work(_empty(frame))).to_arrow().schema)
    target = to_arrow_schema(schema, timezone="UTC")

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for chunk in _chunks(batches, rows):
            done = work(_typed(pa.Table.from_batches(chunk)))
            yield from _plain(done).to_arrow().cast(target).to_batches()

    return frame.mapInArrow(run, schema)


def _chunks(
    batches: Iterator[pa.RecordBatch], rows: int | None
) -> Iterator[Sequence[pa.RecordBatch]]:
    chunk: list[pa.RecordBatch] = []
    for batch in batches:
        chunk.append(batch)
        if rows is not None and sum(one.num_rows for one in chunk) >= rows:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _empty(frame: DataFrame) -> pl.DataFrame:
    schema: StructType = frame.schema
    return _typed(to_arrow_schema(schema, timezone="UTC").empty_table())


def _typed(table: pa.Table) -> pl.DataFrame:
    """Give what Spark has as Polars has it."""
    frame = pl.DataFrame(table)
    return frame.cast({name: DTYPES[name] for name in frame.columns if name in DTYPES})


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Give what Polars has as Spark can have it."""
    return frame.cast(
        {
            name: pl.String if isinstance(dtype, pl.Enum) else pl.Int64
            for name, dtype in frame.schema.items()
            if isinstance(dtype, pl.Enum) or dtype.is_unsigned_integer()
        }
    )
