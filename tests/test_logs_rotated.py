"""Logs that rotation cut into files: read as the one log that they are."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bouncekit.read import load, read, scan
from bouncekit.read.logs.rotated import go_on, series
from bouncekit.read.stored import store

FROM = "postfix/qmgr[7]: 4F3B2C1D0A: from=<news@example.com>"
ANN = "postfix/smtp[9]: 4F3B2C1D0A: to=<ann@example.org>, relay=mx.example.org[192.0.2.25]:25, "
FIRST = f"""\
Mar  1 09:00:00 mx postfix/cleanup[8]: 4F3B2C1D0A: message-id=<1@news.example.com>
Mar  1 09:00:00 mx {FROM}, size=1, nrcpt=1 (queue active)
Mar  1 09:00:01 mx {ANN}delay=1, dsn=4.2.2, status=deferred (452 4.2.2 mailbox full)
"""
SECOND = f"""\
Mar  3 09:00:00 mx {FROM}, size=1, nrcpt=1 (queue active)
Mar  3 09:00:01 mx {ANN}delay=1, dsn=4.2.2, status=deferred (452 4.2.2 still full)
"""
THIRD = f"""\
Mar  6 09:00:00 mx {FROM}, status=expired, returned to sender
Mar  6 09:00:00 mx postfix/qmgr[7]: 4F3B2C1D0A: removed
"""
PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    "": bytes,
}


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        ending = "." + name.rpartition(".")[2]
        pack = PACKED.get(ending, bytes)
        (folder / name).write_bytes(pack(text.encode()))
    return folder


ROTATIONS = [
    ("mail.log", "mail.log.1", "mail.log.2.gz"),
    ("maillog", "maillog-20260304", "maillog-20260302.xz"),
    ("mail.log", "mail-2026-03-04.log", "mail-2026-03-02.log.bz2"),
]


@pytest.mark.parametrize("names", ROTATIONS)
def test_who_is_given_up_in_a_later_file_is_known(names: tuple[str, ...], tmp_path: Path) -> None:
    written(tmp_path, **dict(zip(names, (THIRD, SECOND, FIRST), strict=True)))
    reading = load(tmp_path, year=2026)
    rows = reading.frame.select("event", "source_class", "reply", "message_id", "sender")
    assert rows["event"].to_list() == ["deferral", "deferral", "bounce"]
    assert rows["source_class"].to_list()[-1] == "postfix:expired"
    assert rows["reply"].to_list()[-1] == "452 4.2.2 still full"
    assert set(rows["message_id"]) == {"1@news.example.com"}
    # The place is that of the line in its own file.
    named = [(Path(source).name, line) for source, line in reading.frame[["source", "line"]].rows()]
    assert named == [(names[2], 3), (names[1], 2), (names[0], 1)]
    assert reading.files["records"].to_list() == [1, 1, 1]
    assert reading.files["name"].unique().to_list() == ["Postfix"]


def test_all_ways_of_reading_give_the_same(tmp_path: Path) -> None:
    written(tmp_path, **dict(zip(ROTATIONS[0], (THIRD, SECOND, FIRST), strict=True)))
    frame = read(tmp_path, year=2026)
    assert_frame_equal(scan(tmp_path, year=2026).collect(), frame)
    assert_frame_equal(scan(tmp_path, year=2026).tail(1).collect(), frame.tail(1))
    (tmp_path / "store").mkdir()
    kept = store(*sorted(tmp_path.glob("mail.log*")), folder=tmp_path / "store", year=2026)
    assert_frame_equal(kept.lazy.collect(), frame)
    assert kept.files["records"].to_list() == [1, 1, 1]


def test_a_file_without_events_is_accounted_for(tmp_path: Path) -> None:
    quiet = "Mar  7 09:00:00 mx postfix/qmgr[7]: 5F3B2C1D0A: removed\n"
    written(tmp_path, **{"mail.log": quiet, "mail.log.1": SECOND})
    files = load(tmp_path, year=2026).files
    assert files.select("name", "records").rows() == [("Postfix", 1), ("Postfix", 0)]


def test_december_goes_on_in_january(tmp_path: Path) -> None:
    old, new = (
        text.replace("Mar  ", month) for text, month in ((FIRST, "Dec 3"), (THIRD, "Jan  "))
    )
    written(tmp_path, **{"mail.log.1": old.replace("Dec 31", "Dec 30"), "mail.log": new})
    frame = read(tmp_path, year=2025)
    assert frame["time"].dt.strftime("%Y-%m-%d").to_list() == ["2025-12-30", "2026-01-06"]
    assert frame["event"].to_list() == ["deferral", "bounce"]


def message(day: str, queue_id: str, to: str) -> str:
    """Write what Postfix says of a message that bounced."""
    begin = f"{day} 09:00:00 mx postfix"
    return (
        f"{begin}/cleanup[8]: {queue_id}: message-id=<{queue_id}@x.example>\n"
        f"{begin}/qmgr[7]: {queue_id}: from=<news@example.com>, size=1, nrcpt=1 (queue active)\n"
        f"{begin}/smtp[9]: {queue_id}: to=<{to}>, relay=mx.example.org[192.0.2.25]:25, delay=1, "
        "dsn=5.1.1, status=bounced (550 no)\n"
        f"{begin}/qmgr[7]: {queue_id}: removed\n"
    )


def test_each_file_has_the_year_of_its_own_date(tmp_path: Path) -> None:
    """A quiet server's two files reach the month again in which the first began."""
    old = message("Mar  3", "AA1AA", "a@example.org") + message("Dec 20", "AA2AA", "b@example.org")
    new = message("Dec 21", "AA3AA", "c@example.org") + message("Mar 28", "AA4AA", "d@example.org")
    written(tmp_path, **{"mail.log.1": old, "mail.log": new})
    dates = {"mail.log.1": datetime(2025, 12, 20, 10, tzinfo=UTC).timestamp()}
    dates["mail.log"] = datetime(2026, 3, 28, 10, tzinfo=UTC).timestamp()
    for name, date in dates.items():
        os.utime(tmp_path / name, (date, date))
    days = ["2025-03-03", "2025-12-20", "2025-12-21", "2026-03-28"]
    assert read(tmp_path)["time"].dt.strftime("%Y-%m-%d").to_list() == days
    assert read(tmp_path, year=2025)["time"].dt.strftime("%Y-%m-%d").to_list() == days


def test_a_missing_file_parts_the_log(tmp_path: Path) -> None:
    """Short queue ids are used again: what came between is not known."""
    other = THIRD.replace("news@", "other@")
    written(tmp_path, **{"mail.log.3": FIRST, "mail.log.1": other})
    assert read(tmp_path, year=2026)["event"].to_list() == ["deferral"]


@pytest.mark.parametrize("text", ["", "Mar  7 09:00:00 mx dovecot: imap(ann): Logged out\n"])
def test_a_file_that_says_nothing_yet_parts_nothing(text: str, tmp_path: Path) -> None:
    written(tmp_path, **{"mail.log": text, "mail.log.1": THIRD, "mail.log.2": FIRST})
    assert read(tmp_path, year=2026)["event"].to_list() == ["deferral", "bounce"]


def test_logs_of_two_machines_stay_two(tmp_path: Path) -> None:
    """The same names in two folders; and two files of which the older by name begins later."""
    for host in ("one", "two"):
        (tmp_path / host).mkdir()
    written(tmp_path / "one", **{"mail.log": THIRD})
    written(tmp_path / "two", **{"mail.log.1": FIRST})
    assert read(tmp_path, year=2026)["event"].to_list() == ["deferral"]
    written(tmp_path / "one", **{"mail.log.1": FIRST.replace("Mar  1", "Mar  8")})
    assert sorted(read(tmp_path, year=2026)["event"]) == ["deferral", "deferral"]


def test_tables_with_such_names_are_read_as_before(tmp_path: Path) -> None:
    for day in ("2026-03-02", "2026-03-01"):
        text = f"email,reason,date\nann@example.org,550 no such user,{day}\n"
        (tmp_path / f"export-{day}.csv").write_text(text)
    assert read(tmp_path)["line"].to_list() == [1, 1]


@pytest.mark.parametrize(
    ("heads", "is_one"),
    [
        (["Mar  1 09:00:00 a", "Mar 10 09:00:00 a"], True),
        (["Mar 10 09:00:00 a", "Mar  1 09:00:00 a"], False),
        (["Nov 30 09:00:00 a", "Dec 30 09:00:00 a", "Jan  6 09:00:00 a"], True),
        (["Nov 30 09:00:00 a", "Jan  6 09:00:00 a", "Dec 30 09:00:00 a"], False),
        (["Mar  1 09:00:00 a", "Mar  1 09:00:00 a"], False),
        (["Mar  5 09:00:00 a", "Jan  1 09:00:00 a", "Mar  6 09:00:00 a"], False),
        (["2026-03-01T09:00:00+01:00 a", "2026-03-02 09:00:00 a"], True),
        (["2026-03-02 09:00:00 a", "2026-03-01 09:00:00 a"], False),
        (["2026-03-01 09:00:00 a", "Mar  2 09:00:00 a"], False),
        (["nothing", "Mar  2 09:00:00 a"], False),
        (["Mar  1 09:00:00 mx1 postfix/qmgr[7]: A", "Mar 10 09:00:00 mx1 sshd: b"], True),
        (["Mar  1 09:00:00 mx1 postfix/qmgr[7]: A", "Mar 10 09:00:00 mx2 sshd: b"], False),
    ],
)
def test_files_go_on_where_each_begins_later(heads: list[str], is_one: bool) -> None:
    assert go_on(heads) == is_one


@given(st.permutations(["mail.log", *(f"mail.log.{n}.gz" for n in range(1, 15)), "main.log"]))
def test_the_order_of_names_does_not_matter(names: list[str]) -> None:
    found = {tuple(path.name for path in paths) for paths in series([Path(name) for name in names])}
    ages = (*(f"mail.log.{n}.gz" for n in range(14, 0, -1)), "mail.log")
    assert found == {ages, ("main.log",)}
