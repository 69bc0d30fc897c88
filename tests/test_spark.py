"""The same rows from a real Spark of two executors, each with its Python workers, as from here."""

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from frames import large_list
from polars.testing import assert_frame_equal

from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.policy import decide
from bouncekit.tallies import over
from bouncekit.whole import whole_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

REQUIRED = os.environ.get("BOUNCEKIT_SPARK") == "required"
MISSING = [
    *(["Java: apt-get install openjdk-17-jre-headless"] * (shutil.which("java") is None)),
    *(["pyspark: pip install 'bouncekit[spark]'"] * (find_spec("pyspark") is None)),
]
pytestmark = [
    pytest.mark.skipif(
        bool(MISSING) and not REQUIRED, reason=f"there is no {' and no '.join(MISSING)}"
    ),
    # What others warn of among themselves is not ours to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning"),
]

OUTAGE = datetime(2025, 3, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """Start Spark as on a cluster: a driver, and two executors that are processes of their own."""
    import pyspark
    from pyspark.sql import SparkSession

    # Its workers write beside its jars, so that it gets a home of its own.
    home, installed = tmp_path_factory.mktemp("spark"), Path(pyspark.__file__).parent
    for part in ("bin", "jars", "python"):
        if (installed / part).exists():
            (home / part).symlink_to(installed / part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
        builder = SparkSession.builder.master("local-cluster[2,1,1024]")
        for name, value in {
            "spark.ui.enabled": "false",
            "spark.executor.memory": "512m",
            "spark.sql.shuffle.partitions": "3",
            # Small parts and batches, so that there are many even of few rows.
            "spark.sql.adaptive.enabled": "false",
            "spark.sql.execution.arrow.maxRecordsPerBatch": "300",
            "spark.sql.session.timeZone": "America/New_York",
            "spark.sql.warehouse.dir": str(home / "warehouse"),
        }.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        session.sparkContext.setLogLevel("OFF")
        yield session
        session.stop()


@pytest.fixture(scope="module")
def exported(session: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> "DataFrame":
    """The sample as Spark reads it from two files."""
    folder = tmp_path_factory.mktemp("bounces")
    for number in range(2):
        large_list().gather_every(2, number).write_parquet(folder / f"{number}.parquet")
    return session.read.parquet(str(folder))


@pytest.fixture(scope="module")
def classified(exported: "DataFrame") -> Iterator["DataFrame"]:
    from bouncekit import spark

    frame = spark.classify(exported).persist()
    yield frame
    frame.unpersist()


def test_classify_gives_the_rows_of_one_machine(classified: "DataFrame") -> None:
    from bouncekit import spark

    ours = classify(large_list())
    theirs = spark.collected(classified)
    order = ["message_id", "recipient", "time"]
    assert_frame_equal(theirs.sort(order), ours.sort(order))
    assert classified.rdd.getNumPartitions() > 1


CASES: dict[str, dict[str, Any]] = {
    "in the middle of the outage": {"policy": "article", "as_of": OUTAGE},
    "without the guard": {"policy": "sympa", "guard": False},
}


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_decide_gives_the_rows_of_one_machine(
    classified: "DataFrame", options: dict[str, Any]
) -> None:
    from bouncekit import spark

    ours = decide(classify(large_list()), **options)
    theirs = spark.collected(spark.decide(classified, **options))
    assert_frame_equal(theirs.sort("verdict", "recipient"), ours)


def test_all_that_is_global_is_found_on_all_machines_together(classified: "DataFrame") -> None:
    """Last event, names of lists, distance of mailings and outages, each across partitions."""
    from bouncekit import spark

    ours = whole_of(over(classify(large_list())), None, True)
    theirs = whole_of(spark.over(classified), None, True)
    assert ours.outages is not None
    assert ours.outages["provider"].to_list() == ["Gmail", "bigmail.example"]
    assert ours.lists["mailing"].to_list() == ["weekly"]
    assert_frame_equal(theirs.lists, ours.lists)
    assert theirs.outages is not None
    assert_frame_equal(theirs.outages, ours.outages)
    assert theirs.gap == ours.gap


def test_the_sample_has_held_addresses() -> None:
    held = decide(classify(large_list()), as_of=OUTAGE)
    assert held.filter(pl.col("verdict") == "hold").height > 30


def test_what_cannot_be_counted_is_said_before_anything_runs(exported: "DataFrame") -> None:
    from bouncekit import spark

    with pytest.raises(BouncekitError, match="not classified yet"):
        spark.decide(exported)
    with pytest.raises(BouncekitError, match="no column 'reply'"):
        spark.classify(exported.drop("reply"))
    with pytest.raises(BouncekitError, match="no policy 'harsh'"):
        spark.decide(exported, "harsh")
