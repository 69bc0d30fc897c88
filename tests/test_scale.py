"""The same rows whichever way a frame is run, and nothing that keeps all of them in memory."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from frames import large_list
from polars.testing import assert_frame_equal

from bouncekit import buckets, tallies
from bouncekit.alerts import alerts, alerts_in
from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.history import by_mailing, events, last_event
from bouncekit.policy import decide
from bouncekit.presets import presets
from bouncekit.rules import builtin
from bouncekit.strikes import weight

SOME_POLICIES = ("article", "careful", "mailman3", "sympa", "powermta_categories")


def test_classify_gives_the_same_rows_eager_lazy_and_streaming() -> None:
    frame = large_list()
    eager = classify(frame)
    lazy = classify(frame.lazy())
    assert_frame_equal(lazy.collect(), eager)
    assert_frame_equal(lazy.collect(engine="streaming"), eager)
    assert_frame_equal(lazy.collect(engine="in-memory"), eager)
    assert_frame_equal(pl.concat(classify(part) for part in frame.iter_slices(97)), eager)


@pytest.mark.parametrize("held", [0, buckets.HELD], ids=["on disk", "in memory"])
@pytest.mark.parametrize("merged", [1, tallies.MERGED])
@pytest.mark.parametrize("policy", SOME_POLICIES)
def test_decide_gives_the_same_rows_on_a_frame_and_on_its_parts(
    policy: str, merged: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "HELD", held)
    monkeypatch.setattr(buckets, "ROWS", 200)
    monkeypatch.setattr(tallies, "MERGED", merged)
    frame = classify(large_list())
    with buckets.in_parts(frame.lazy()) as parts:
        assert len(parts) > 5
    assert_frame_equal(decide(frame.lazy(), policy), decide(frame, policy))
    assert_frame_equal(decide(classify(large_list().lazy()), policy), decide(frame, policy))


@pytest.mark.parametrize("merged", [1, tallies.MERGED])
def test_alerts_are_the_same_on_a_frame_and_on_its_parts(
    merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "ROWS", 200)
    monkeypatch.setattr(tallies, "MERGED", merged)
    row = pl.int_range(pl.len())
    blocked = "554 5.7.1 Service unavailable; [192.0.2.{}] blocked using zen.spamhaus.org"
    frame = classify(
        large_list().with_columns(
            reply=pl.when(row % 5 > 0, pl.col("event") == "bounce")
            .then(pl.format(blocked, row % 3))
            .otherwise("reply"),
            sender=pl.format("news@s{}.example.com", row % 2),
        )
    )
    whole = alerts(frame)
    assert whole.height > 5
    with buckets.in_parts(frame.lazy()) as parts:
        assert_frame_equal(alerts_in(tallies.over(*parts, as_of=last_event(frame))), whole)


@pytest.mark.parametrize("held", [0, 30_000, buckets.HELD])
def test_parts_hold_every_row_once_and_share_no_recipient(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "HELD", held)
    monkeypatch.setattr(buckets, "ROWS", 200)
    frame = large_list()
    with buckets.in_parts(frame.lazy()) as parts:
        collected = [part.collect() for part in parts]
    order = ["message_id", "recipient", "time"]
    assert_frame_equal(pl.concat(collected).sort(order), frame.sort(order))
    owners = pl.concat(part.select("recipient").unique() for part in collected)
    assert owners["recipient"].is_duplicated().sum() == 0


def test_a_frame_without_rows_has_one_part() -> None:
    empty = classify(large_list().clear().lazy())
    assert_frame_equal(decide(empty), decide(empty.collect()))


def nodes(lazy: pl.LazyFrame) -> set[str]:
    """Give the kinds of nodes that the streaming engine runs a frame with."""
    graph = lazy.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert graph is not None
    return set(re.findall(r'label="([a-z-]+)', graph))


@pytest.mark.parametrize("portable", [False, True])
def test_classify_keeps_no_rows_back(portable: bool, tmp_path: Path) -> None:
    large_list().write_parquet(tmp_path / "bounces.parquet")
    scan = pl.scan_parquet(tmp_path / "bounces.parquet")
    assert nodes(classify(scan, portable=portable)) == {"multi-scan", "select", "with-columns"}


def many_replies() -> pl.DataFrame:
    """Give replies of all kinds: those that each phrase must win, as bounces and deliveries."""
    replies = [phrase.example for phrase in builtin().phrases]
    aside = [
        "250 2.0.0 Ok: queued as 4XyzAB12cd",
        "552 5.3.4 message size 18876259 exceeds size limit 10240000 of mx.example.org",
        "554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",
        "450 4.2.0 Greylisted, try again in 300 seconds",
        "550 Postfach &uuml;berf=C3=BCllt",
        "=?utf-8?B?NTUwIHVzZXIgdW5rbm93bg==?=",
        "550-5.1.1 The email account that you tried to reach does not exist. gsmtp",
        "",
        None,
    ]
    row = pl.int_range(pl.len())
    return pl.DataFrame({"reply": [*replies, *aside]}, schema={"reply": pl.String}).with_columns(
        event=pl.lit(pl.Series(["bounce", "deferral", "delivery", None])).gather(row // 5 % 4),
        recipient=pl.format(
            "ann@{}", pl.lit(pl.Series(["gmail.com", "example.org"])).gather(row % 2)
        ),
        remote_mta=pl.when(row % 3 == 0).then(pl.lit("mx1.hotmail.example")),
        source_class=pl.when(row % 7 == 0).then(pl.lit("ses:Permanent/General")),
    )


@pytest.mark.parametrize("frame", [large_list(), many_replies()], ids=["list", "replies"])
def test_a_portable_plan_gives_the_same_rows(frame: pl.DataFrame) -> None:
    assert_frame_equal(classify(frame, portable=True), classify(frame))


WITHOUT_BOUNCEKIT = """
import sys
sys.modules["bouncekit"] = None
import polars as pl
pl.LazyFrame.deserialize(sys.argv[1]).sink_parquet(sys.argv[2])
"""


def test_a_portable_plan_runs_where_no_bouncekit_is(tmp_path: Path) -> None:
    large_list().write_parquet(tmp_path / "bounces.parquet")
    plan = classify(pl.scan_parquet(tmp_path / "bounces.parquet"), portable=True)
    assert "python" not in plan.explain(optimized=False).lower()
    plan.serialize(tmp_path / "plan")
    asked = [sys.executable, "-c", WITHOUT_BOUNCEKIT, tmp_path / "plan", tmp_path / "out.parquet"]
    subprocess.run([*map(str, asked)], check=True)
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), classify(large_list()))


NEW_WORDINGS = """
import re
from pathlib import Path
import polars as pl
from bouncekit import rules
from bouncekit.classify import _reader_of_wordings
read = _reader_of_wordings(rules.builtin())
def resident():
    return int(re.search(r"RssAnon:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
usual = pl.format("550 no such user here, says host {} of very many", pl.int_range(10_000))
for batch in range(200):
    read(pl.select(pl.concat([usual, pl.lit(f"550 user {batch} unknown")])).to_series())
    if batch == 10:
        before = resident()
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told there only")
def test_a_wording_that_is_kept_keeps_no_batch() -> None:
    run = [sys.executable, "-c", NEW_WORDINGS]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 60  # MB; with all batches 100


def test_classify_steps_out_of_expressions_in_batches_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CONTRIBUTING.md says why; whoever does it elsewhere has to say that it is by the cell."""
    classify(large_list().head(1))  # what is known is read but once
    asked = []

    def noted(step_out: Callable[..., pl.Expr]) -> Callable[..., pl.Expr]:
        def note(*given: object, **options: object) -> pl.Expr:
            asked.append(sys._getframe(1).f_globals["__name__"])
            assert options["is_elementwise"]
            return step_out(*given, **options)

        return note

    monkeypatch.setattr(pl.Expr, "map_batches", noted(pl.Expr.map_batches))
    monkeypatch.setattr(pl, "map_batches", noted(pl.map_batches))
    plan = classify(large_list().lazy()).explain(optimized=False)
    assert set(asked) == {"bouncekit.batches"}
    assert plan.count("python_udf") >= len(asked)
    assert "PYTHON" not in plan


@pytest.mark.parametrize("policy", SOME_POLICIES)
def test_mailings_are_counted_without_python_and_by_the_row(policy: str) -> None:
    frame = classify(large_list().head(100))
    counted = by_mailing(events(frame.lazy()), weight(presets()[policy]))
    assert "python_udf" not in counted.explain()
    assert "columnar-function" not in nodes(counted)
    assert "in-memory-map" not in nodes(counted)


@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        ("classify", signal.SIGINT, 130),
        ("decide", signal.SIGINT, 130),
        ("decide", signal.SIGTERM, 143),
    ],
)
def test_an_interrupt_leaves_no_half_file(
    command: str, number: int, code: int, tmp_path: Path
) -> None:
    """Ctrl-C, or the end of a job's time, while rows are read, classified and written."""
    pl.concat([large_list()] * 60).write_csv(tmp_path / "export.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    out = tmp_path / "out" / "result.csv"
    run = subprocess.Popen(
        [sys.executable, "-m", "bouncekit", command, tmp_path / "export.csv", "-o", out],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not [*(tmp_path / "tmp").rglob("*.parquet")] and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == code
    assert "Traceback" not in said
    assert [*(tmp_path / "out").iterdir()] == []
    assert [*(tmp_path / "tmp").iterdir()] == []


def test_a_lazy_frame_that_cannot_be_counted_is_told_so() -> None:
    with pytest.raises(BouncekitError, match="not classified yet"):
        decide(large_list().lazy())
    with pytest.raises(BouncekitError, match="no column 'recipient'"):
        decide(classify(large_list().lazy()).drop("recipient"))
