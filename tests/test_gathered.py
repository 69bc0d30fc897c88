"""Small files of JSON, read at once: what comes out is what each of them gives by itself."""

import gzip
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from bouncekit.errors import BouncekitError
from bouncekit.read import load, read, scan
from bouncekit.read.files import find
from bouncekit.read.gathered import FEWEST
from bouncekit.read.layouts import Options
from bouncekit.read.opening import together

GOLDEN = json.loads((Path(__file__).parent / "data" / "sources.json").read_text("utf-8"))
STORED = [case for case in GOLDEN if not isinstance(case["text"], str) and "encoding" not in case]
PLAIN = Options(None, None, None, None)


def write(folder: Path, cases: list[dict[str, Any]], *, indent: int | None = None) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number, case in enumerate(cases):
        path = folder / f"{number:04}-{case.get('file', 'export')}"
        path.write_text(json.dumps(case["text"], indent=indent), encoding="utf-8")
        paths.append(path)
    return paths


def one_by_one(paths: list[Path]) -> pl.DataFrame:
    return pl.concat(scan(path).collect() for path in paths)


def test_files_of_all_services_give_what_each_gives_alone(tmp_path: Path) -> None:
    alone = [
        scan(path).collect().drop("source") for path in write(tmp_path / "alone", STORED, indent=1)
    ]
    paths = write(tmp_path / "in", [case for case in STORED for _ in range(FEWEST)], indent=1)
    groups = list(together(find([tmp_path / "in"]), PLAIN))
    assert len(groups) < len(paths) / 5  # those of many services, at least
    rows = scan(tmp_path / "in").collect().group_by("source", maintain_order=True)
    found = {str(source): part.drop("source") for (source,), part in rows}
    for case, rows_alone, copies in zip(STORED, alone, batched(paths), strict=True):
        for path in copies:
            rows_there = found.get(str(path), rows_alone.clear())
            assert rows_there.equals(rows_alone), case["case"]


def batched(paths: list[Path]) -> list[list[Path]]:
    return [paths[at : at + FEWEST] for at in range(0, len(paths), FEWEST)]


def ses(number: int, **more: Any) -> dict[str, Any]:
    """Write what Amazon SES says of a bounce; every third time of a delivery."""
    to = f"user{number}@example.org"
    mail = {"messageId": f"m{number}", "source": "news@example.com", "destination": [to]}
    time = "2024-03-01T10:00:00.123Z"
    if number % 3 == 0:
        delivery = {"timestamp": time, "recipients": [to], "smtpResponse": "250 ok"}
        return {"notificationType": "Delivery", "delivery": delivery, "mail": mail, **more}
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "timestamp": time,
        "bouncedRecipients": [{"emailAddress": to, "diagnosticCode": "smtp; 550 no such user"}],
    }
    return {"notificationType": "Bounce", "bounce": bounce, "mail": mail, **more}


def test_thousands_of_notifications_are_one_table(tmp_path: Path) -> None:
    cases = [{"text": ses(number), "file": "x.json"} for number in range(100)]
    paths = write(tmp_path / "in", cases)
    groups = list(together(find([tmp_path / "in"]), PLAIN))
    assert [len(group) for group in groups] == [100]
    reading = load(tmp_path / "in")
    assert reading.frame["source"].to_list() == [str(path) for path in paths]
    assert reading.frame["line"].unique().to_list() == [1]
    assert reading.files["source"].to_list() == [str(path) for path in paths]
    assert reading.files["records"].to_list() == [1] * 100
    assert set(reading.files["name"]) == {"ses"}


def test_what_else_lies_there_is_read_as_before(tmp_path: Path) -> None:
    write(tmp_path / "in", [{"text": ses(number)} for number in range(FEWEST)])
    (tmp_path / "in" / "0005-broken.json").write_text('{"notificationType": "Bounce", ')
    with pytest.raises(BouncekitError, match=r"0005-broken\.json"):
        read(tmp_path / "in")
    (tmp_path / "in" / "0005-broken.json").write_text('{"name": "settings", "version": 1}')
    (tmp_path / "in" / "0006-table.csv").write_text("email,reason\nbo@example.org,550 no\n")
    reading = load(tmp_path / "in")
    assert reading.rows == FEWEST + 1
    assert sorted(set(reading.files["kind"])) == ["csv", "json", "skipped"]


def test_lines_of_json_are_counted_by_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for hour in range(FEWEST):
        lines = "\n".join(json.dumps(ses(hour * 10 + n)) for n in range(3))
        packed = gzip.compress((lines + "\n\n").encode())  # as Firehose stores them
        (tmp_path / "in" / f"{hour:02}.gz").write_bytes(packed)
    assert len(list(together(find([tmp_path / "in"]), PLAIN))) == 1
    frame = read(tmp_path / "in")
    assert frame["line"].to_list() == [1, 2, 3] * FEWEST
    assert_frame_equal(frame, one_by_one(sorted((tmp_path / "in").iterdir())))


def test_an_archive_of_such_files_is_read_at_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "events.zip", "w") as archive:
        for number in range(FEWEST):
            archive.writestr(f"2024/{number:02}.json", json.dumps(ses(number)))
    frame = read(tmp_path / "events.zip")
    names = [f"{tmp_path}/events.zip/2024/{number:02}.json" for number in range(FEWEST)]
    assert frame["source"].to_list() == names


def sns(said: object) -> dict[str, Any]:
    """Write what Amazon SNS wraps round a message."""
    text = said if isinstance(said, str) else json.dumps(said)
    return {"Type": "Notification", "MessageId": "x", "Message": text, "Timestamp": "2024-03-01"}


def sendgrid(number: int, **more: Any) -> dict[str, Any]:
    to = f"user{number}@example.org"
    told = {"email": to, "timestamp": 1709287200, "event": "bounce", "reason": "550 5.1.1 gone"}
    return told | {"sg_event_id": f"e{number}"} | more


def generic(number: int, **more: Any) -> dict[str, Any]:
    return {"email": f"user{number}@example.org", "reason": "550 no", "date": "2024-03-01"} | more


LOG_LINE = (
    "Mar  4 09:12:00 mx postfix/smtp[7]: 4F3B2C1D0A: to=<ann@example.org>, "
    "relay=mx.example.org[192.0.2.25]:25, delay=1, dsn=5.1.1, status=bounced (550 no)"
)
# Folders in which one file would change what the others mean, were they read as one table.
MIXED: dict[str, list[Any]] = {
    "wrapped from the 250th on": [*map(ses, range(250)), *(sns(ses(n)) for n in range(250, 280))],
    "a word in a column of codes": [
        generic(n, status="delivered" if n == 5 else "5.1.1") for n in range(24)
    ],
    "messages about other things": [
        *(sns(ses(n)) for n in range(40)),
        sns({"AlarmName": "cpu", "NewStateValue": "ALARM"}),
        sns("plain text"),
        *(sns(ses(n)) for n in range(40, 80)),
    ],
    "two spellings of a key": [
        *map(sendgrid, range(12)),
        *(
            {"Email" if k == "email" else k: v for k, v in sendgrid(n).items()}
            for n in range(12, 24)
        ),
    ],
    "a line of a log in one": [
        *({"message": json.dumps(ses(n)), "timestamp": 1} for n in range(24)),
        {"message": LOG_LINE, "timestamp": 1},
    ],
    "another form of time at the end": [
        *map(sendgrid, range(1_005)),
        sendgrid(2_000, timestamp="Fri, 01 Mar 2024 10:00:00 +0100"),
    ],
}


@pytest.mark.parametrize("folder", MIXED)
def test_no_file_changes_what_others_mean(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in", [{"text": text, "file": "x.json"} for text in MIXED[folder]])
    together_read = load(tmp_path / "in", year=2024)
    monkeypatch.setattr(sys.modules["bouncekit.read.opening"], "FEWEST", 1_000_000)
    alone = load(tmp_path / "in", year=2024)
    assert_frame_equal(together_read.frame, alone.frame)
    assert_frame_equal(together_read.files, alone.files)


def test_batches_on_lines_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in range(FEWEST):
        batches = [{"events": [sendgrid(file * 9 + n), sendgrid(file * 9 + 3 + n)]} for n in (0, 1)]
        lines = "\n".join(map(json.dumps, batches))
        (tmp_path / "in" / f"{file:02}.ndjson").write_text(lines, encoding="utf-8")
    assert read(tmp_path / "in")["line"].to_list() == [1, 1, 2, 2] * FEWEST
