"""Mail logs: lines are joined to what became of each recipient, and nothing else counts."""

import gzip
import json
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

import bouncekit as bk
from bouncekit.errors import BouncekitError
from bouncekit.read import files, load
from bouncekit.read.logs import export
from bouncekit.schema import BOUNCES

POSTFIX = """\
Dec 31 23:58:00 mx postfix/pickup[9]: 4F3B2C1D0A: uid=0 from=<news>
Dec 31 23:58:00 mx postfix/cleanup[11]: 4F3B2C1D0A: message-id=<m1@example.com>
Dec 31 23:58:00 mx postfix/qmgr[7]: 4F3B2C1D0A: from=<news@example.com>, size=12, nrcpt=3 (queue active)
Dec 31 23:58:01 mx postfix/smtp[12]: 4F3B2C1D0A: to=<ann@Example.org>, relay=mx.example.org[192.0.2.25]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.25] said: 550 5.1.1 User unknown (in reply to RCPT TO command))
Dec 31 23:58:01 mx postfix/smtp[12]: 4F3B2C1D0A: to=<bob@example.net>, orig_to=<list@example.com>, relay=mx.example.net[192.0.2.26]:25, conn_use=2, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77)
Dec 31 23:58:02 mx postfix/smtp[12]: 4F3B2C1D0A: to=<cy@slow.example>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, status=deferred (connect to mx.slow.example[192.0.2.99]:25: Connection timed out)
Dec 31 23:58:02 mx postfix/bounce[13]: 4F3B2C1D0A: sender non-delivery notification: 5A00000001
Dec 31 23:58:02 mx postfix/cleanup[11]: 5A00000001: message-id=<x@mx.example.com>
Dec 31 23:58:02 mx postfix/qmgr[7]: 5A00000001: from=<>, size=3000, nrcpt=1 (queue active)
Dec 31 23:58:03 mx postfix/local[14]: 5A00000001: to=<news@example.com>, relay=local, delay=0.1, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: "news")
Dec 31 23:58:03 mx postfix/smtpd[15]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 550 5.1.1 <x@example.com>: Recipient address rejected: User unknown; from=<a@b.example> to=<x@example.com> proto=ESMTP
Dec 31 23:58:04 mx postfix/smtp[12]: 6A00000001: to=<probe@example.org>, relay=mx.example.org[192.0.2.25]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=undeliverable (host mx.example.org[192.0.2.25] said: 550 no)
Jan  5 23:58:02 mx postfix/qmgr[7]: 4F3B2C1D0A: from=<news@example.com>, status=expired, returned to sender
Jan  5 23:58:02 mx postfix/qmgr[7]: 4F3B2C1D0A: removed
Jan  5 23:59:00 mx postfix/cleanup[11]: 4F3B2C1D0A: message-id=<m2@example.com>
Jan  5 23:59:01 mx postfix/smtp[12]: 4F3B2C1D0A: to=<dee@example.org>, relay=mx.example.org[192.0.2.25]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx.example.org[192.0.2.25] said: 550 no mailbox here by that name (#5.1.1))
Jan  5 23:59:02 mx postfix/smtp[12]: 4F3B2C1D0A: to=<broken, status=
"""  # noqa: E501

EXIM = r"""
2026-03-04 09:12:00 1tABCd-0001XY-2z <= news@example.com H=localhost [127.0.0.1] P=esmtp S=1200 id=m1@example.com
2026-03-04 09:12:01 1tABCd-0001XY-2z ** ann@example.org R=dnslookup T=remote_smtp H=mx.example.org [192.0.2.25] X=TLS1.3:ECDHE:256 CV=yes: SMTP error from remote mail server after RCPT TO:<ann@example.org>: 550-5.1.1 No such\n550 5.1.1 user here
2026-03-04 09:12:02 1tABCd-0001XY-2z => bob@example.net <list@Example.com> R=dnslookup T=remote_smtp H=mx.example.net [192.0.2.26] I=[198.51.100.1] C="250 OK id=77"
2026-03-04 09:12:03 1tABCd-0001XY-2z == cy@slow.example R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.slow.example [192.0.2.99]
2026-03-04 09:12:04 1tABCd-0001XY-2z == dee@example.org R=dnslookup T=remote_smtp defer (-44) H=mx.example.org [192.0.2.25]: SMTP error from remote mail server after RCPT TO:<dee@example.org>: 451 4.7.1 Greylisted
2026-03-04 09:12:05 1tABCd-0001XY-2z ** eve@nowhere.example: Unrouteable address
2026-03-04 09:12:06 1tABCe-0001XZ-3z <= <> R=1tABCd-0001XY-2z U=mail P=local S=2000
2026-03-04 09:12:07 1tABCe-0001XZ-3z => news <news@example.com> R=local T=local_delivery
2026-03-04 09:12:08 H=(x) [198.51.100.7] F=<a@b.example> rejected RCPT <x@example.com>: Unknown user
2026-03-04 09:12:09 1tABCd-0001XY-2z Completed
"""  # noqa: E501


def written(folder: Path, text: str, name: str = "mail.log") -> Path:
    """Write a log."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_postfix_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, POSTFIX), year=2025)
    told = ["line", "event", "recipient", "final_recipient", "enhanced_code", "message_id"]
    assert frame.select(told).rows() == [
        (4, "bounce", "ann@example.org", None, "5.1.1", "m1@example.com"),
        (5, "delivery", "list@example.com", "bob@example.net", "2.0.0", "m1@example.com"),
        (6, "deferral", "cy@slow.example", None, "4.4.1", "m1@example.com"),
        (13, "bounce", "cy@slow.example", None, "4.4.1", "m1@example.com"),
        (16, "bounce", "dee@example.org", None, None, "m2@example.com"),
        (17, "unreadable", None, None, None, None),
    ]
    assert frame["sender"].to_list()[:4] == ["news@example.com"] * 4
    assert frame["remote_mta"].to_list()[:3] == [
        "mx.example.org",
        "mx.example.net",
        "mx.slow.example",
    ]
    assert bk.classify(frame)["category"].to_list()[:5] == [
        "unknown_user",
        None,
        "connection_failed",
        "connection_failed",
        "unknown_user",
    ]


def test_a_year_turns_over_inside_a_log(tmp_path: Path) -> None:
    frame = bk.read(written(tmp_path, POSTFIX), year=2025, tz="Europe/Berlin")
    first, *_, last = frame["time"].to_list()
    assert first == datetime(2025, 12, 31, 22, 58, 1, tzinfo=UTC)
    assert last == datetime(2026, 1, 5, 22, 59, 2, tzinfo=UTC)


def test_what_was_inferred_is_told(tmp_path: Path) -> None:
    said = str(load(written(tmp_path, POSTFIX)))
    assert "from the date of the file" in said
    assert "UTC" in said


STAMPS = {
    "2026-03-04T09:12:00.123456+01:00 mx ": datetime(2026, 3, 4, 8, 12, 0, 123456, UTC),
    "2026-03-04T09:12:00Z mx ": datetime(2026, 3, 4, 9, 12, tzinfo=UTC),
    "2026-03-04 09:12:00 ": datetime(2026, 3, 4, 9, 12, tzinfo=UTC),
    "<22>1 2026-03-04T09:12:00+01:00 mx ": datetime(2026, 3, 4, 8, 12, tzinfo=UTC),
    "Mar  4 09:12:00 mx ": datetime(2024, 3, 4, 9, 12, tzinfo=UTC),
}


@pytest.mark.parametrize(("stamp", "time"), STAMPS.items())
def test_times_are_read_as_syslog_writes_them(tmp_path: Path, stamp: str, time: datetime) -> None:
    line = (
        "postfix/smtp[12]: 4F3B2C1D0A: to=<ann@example.org>, relay=none, delay=1, delays=0/0/0/1, "
        "dsn=5.4.4, status=bounced (Host or domain name not found)"
    )
    assert bk.read(written(tmp_path, stamp + line + "\n"), year=2024)["time"].to_list() == [time]


def test_exim_lines_become_what_became_of_each_recipient(tmp_path: Path) -> None:
    frame = bk.classify(bk.read(written(tmp_path, EXIM)))
    told = ["line", "event", "recipient", "final_recipient", "category", "remote_mta"]
    assert frame.select(told).rows() == [
        (3, "bounce", "ann@example.org", None, "unknown_user", "mx.example.org"),
        (4, "delivery", "list@example.com", "bob@example.net", None, "mx.example.net"),
        (5, "deferral", "cy@slow.example", None, "connection_failed", "mx.slow.example"),
        (6, "deferral", "dee@example.org", None, "greylisted", "mx.example.org"),
        (7, "bounce", "eve@nowhere.example", None, frame["category"][4], None),
    ]
    assert set(frame["message_id"]) == {"m1@example.com"}
    assert frame["sending_ip"].to_list()[1] == "198.51.100.1"


def test_the_server_can_be_named(tmp_path: Path) -> None:
    assert load(written(tmp_path, EXIM), source="exim").files["kind"].to_list() == ["log"]


def test_exim_gives_up_for_the_reason_it_last_heard(tmp_path: Path) -> None:
    log = """\
2026-03-04 09:12:00 1tABCd-0001XY-2z == ann@example.org R=dns T=smtp defer (-44) H=mx.example.org [192.0.2.25]: 452 4.2.2 Mailbox full
2026-03-04 09:13:00 1tABCd-0001XY-2z == bob@example.org R=dns T=smtp defer (-53): retry time not reached for any host
2026-03-08 09:12:00 1tABCd-0001XY-2z ** ann@example.org: retry timeout exceeded
"""  # noqa: E501
    frame = bk.read(written(tmp_path, log))
    assert frame["reply"].to_list() == [
        "452 4.2.2 Mailbox full",
        "retry time not reached for any host",
        "452 4.2.2 Mailbox full",
    ]


def test_a_log_with_holes_reads_alike(tmp_path: Path) -> None:
    """Its server wrote on where it was when the log was copied and emptied (copytruncate)."""
    middle = POSTFIX.index("\n") + 1
    torn = "\0" * 5000 + POSTFIX[:middle] + "\0" * 300 + POSTFIX[middle:]
    whole = bk.read(written(tmp_path, POSTFIX)).drop("source")
    assert bk.read(written(tmp_path, torn, "torn.log")).drop("source").equals(whole)


def test_a_packed_log_reads_alike(tmp_path: Path) -> None:

    plain = bk.read(written(tmp_path, POSTFIX), year=2025).drop("source")
    packed = tmp_path / "mail.log.1.gz"
    packed.write_bytes(gzip.compress(POSTFIX.encode()))
    assert bk.read(packed, year=2025).drop("source").equals(plain)
    assert bk.scan(packed, year=2025).drop("source").collect().equals(plain)


@pytest.mark.parametrize("text", [POSTFIX, EXIM])
def test_a_damaged_log_gives_rows_or_a_clear_error(tmp_path: Path, text: str) -> None:
    rng = random.Random(550)
    for number in range(60):
        data = bytearray(text.encode())
        for _ in range(number):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path = tmp_path / f"{number}.log"
        path.write_bytes(data[: rng.randrange(1, len(data))] if number % 3 else data)
        with suppress(BouncekitError):
            assert set(bk.read(path).columns) == set(BOUNCES)


DELIVERY = (
    "4F3B2C1D0A: to=<ann@example.org>, relay=mx.example.org[192.0.2.25]:25, delay=1, "
    "delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.25] said: 550 5.1.1 "
    'No "such" user, sorry (in reply to RCPT TO command))'
)
FROM = "4F3B2C1D0A: from=<news@example.com>, size=12, nrcpt=1 (queue active)"
NOON = datetime(2026, 3, 4, 12, 0, 0, 123456, UTC)


def cells(line: str) -> str:
    """Save a line as a spreadsheet does that took it for cells with commas between."""
    made = [
        f'"{cell.replace(chr(34), chr(34) * 2)}"' if '"' in cell else cell
        for cell in line.split(",")
    ]
    return ",".join([*made, "", "", ""])


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


# How other programs hand on the two lines of smtp[12] and qmgr[7].
WRAPPED: dict[str, Callable[[str, int, str], str]] = {
    "rsyslog": lambda program, pid, said: (
        f"2026-03-04T12:00:00.123456+00:00 mx postfix/{program}[{pid}]: {said}"
    ),
    "journalctl -o short-iso-precise": lambda program, pid, said: (
        f"2026-03-04T13:00:00.123456+0100 mx postfix/{program}[{pid}]: {said}"
    ),
    "journalctl -o short-full": lambda program, pid, said: (
        f"Wed 2026-03-04 12:00:00.123456 UTC mx postfix/{program}[{pid}]: {said}"
    ),
    "journalctl -o short-unix": lambda program, pid, said: (
        f"1772625600.123456 mx postfix/{program}[{pid}]: {said}"
    ),
    "journalctl -o json": lambda program, pid, said: json.dumps(
        {
            "_HOSTNAME": "mx",
            "SYSLOG_IDENTIFIER": f"postfix/{program}",
            "_PID": str(pid),
            "MESSAGE": said,
            "__REALTIME_TIMESTAMP": "1772625600123456",
        }
    ),
    "journalctl -o export": lambda program, pid, said: (
        "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1772625600123456\nPRIORITY=6\n"
        f"SYSLOG_IDENTIFIER=postfix/{program}\n_PID={pid}\nMESSAGE={said}\n"
    ),
    "RFC 5424": lambda program, pid, said: (
        f"<22>1 2026-03-04T12:00:00.123456Z mx postfix/{program} {pid} - - {said}"
    ),
    "RFC 5424 with data": lambda program, pid, said: (
        f"<22>1 2026-03-04T12:00:00.123456Z mx postfix/{program} {pid} - "
        f'[timeQuality tzKnown="1"][x@1 y="a]\\"b"] \ufeff{said}'
    ),
    "container without a host": lambda program, pid, said: (
        f"2026-03-04T12:00:00.123456+00:00 INFO    postfix/{program}[{pid}]: {said}"
    ),
    "docker compose": lambda program, pid, said: (
        f"mail-1  | 2026-03-04T12:00:00.123456Z mx postfix/{program}[{pid}]: {said}"
    ),
    "docker": lambda program, pid, said: json.dumps(
        {
            "log": f"Mar  4 12:00:00 mx postfix/{program}[{pid}]: {said}\n",
            "stream": "stdout",
            "time": "2026-03-04T12:00:00.123456789Z",
        },
        separators=(",", ":"),
    ),
    "kubernetes": lambda program, pid, said: (
        "2026-03-04T12:00:00.123456789Z stdout F "
        f"Mar  4 12:00:00 mx postfix/{program}[{pid}]: {said}"
    ),
    "grep -n over several files": lambda program, pid, said: (
        f"/var/log/mail.log.1:12:2026-03-04T12:00:00.123456Z mx postfix/{program}[{pid}]: {said}"
    ),
    "colours of a terminal": lambda program, pid, said: (
        f"\x1b[0m2026-03-04T12:00:00.123456Z mx "
        f"\x1b[1mpostfix/{program}\x1b[0m[{pid}]: {said}\x1b[0m"
    ),
    "CSV of a log service": lambda program, pid, said: (
        '"2026-03-04T12:00:00.123456Z","mx",'
        + quoted(f"Mar  4 12:00:00 mx postfix/{program}[{pid}]: {said}")
    ),
    "CSV of a log service, its message alone": lambda program, pid, said: (
        "2026-03-04 12:00:00.123456," + quoted(f"mx postfix/{program}[{pid}]: {said}") + ",info"
    ),
    "Elasticsearch": lambda program, pid, said: json.dumps(
        {
            "_index": "mail-2026.03.04",
            "_source": {
                "@timestamp": "2026-03-04T12:00:00.123456Z",
                "message": f"Mar  4 12:00:00 mx postfix/{program}[{pid}]: {said}",
            },
        }
    ),
    "Filebeat": lambda program, pid, said: json.dumps(
        {
            "@timestamp": "2026-03-04T12:00:00.123456Z",
            "host": {"name": "mx"},
            "process": {"name": f"postfix/{program}", "pid": pid},
            "message": said,
        }
    ),
    "spreadsheet": lambda program, pid, said: cells(
        f"2026-03-04T12:00:00.123456Z mx postfix/{program}[{pid}]: {said}"
    ),
    "Solaris": lambda program, pid, said: (
        f"2026-03-04T12:00:00.123456Z mx postfix/{program}[{pid}]: [ID 197553 mail.info] {said}"
    ),
    "second instance on a host of its name": lambda program, pid, said: (
        f"2026-03-04T12:00:00.123456Z postfix-2 postfix-out/{program}[{pid}]: {said}"
    ),
}


@pytest.mark.parametrize("way", WRAPPED)
def test_a_log_is_read_through_what_other_programs_made_of_its_lines(
    tmp_path: Path, way: str
) -> None:
    wrapped = WRAPPED[way]
    log = f"{wrapped('qmgr', 7, FROM)}\n{wrapped('smtp', 12, DELIVERY)}\n"
    reading = load(written(tmp_path, log))
    told = ["time", "event", "recipient", "sender", "reply"]
    reply = DELIVERY.partition("(")[2].removesuffix(")")
    assert reading.frame.select(told).rows() == [
        (NOON, "bounce", "ann@example.org", "news@example.com", reply)
    ]
    assert ("taken as UTC" in str(reading)) == (way == "CSV of a log service, its message alone")


def exported(entries: list[dict[str, str]]) -> bytes:
    """Write entries as `journalctl -o export` does, control characters behind a size."""
    return b"".join(
        b"".join(_field(name, value.encode()) for name, value in entry.items()) + b"\n"
        for entry in entries
    )


def _field(name: str, value: bytes) -> bytes:
    if value.isascii() and value.decode().isprintable():
        return b"%b=%b\n" % (name.encode(), value)
    return b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(value)), value)


ODD = "\n\nMESSAGE\n\x1e__REALTIME_TIMESTAMP=1\n\n"
JOURNAL = [
    {
        "__CURSOR": f"s=1;i={number}",
        "__REALTIME_TIMESTAMP": str(1772625600123456 + number),
        "OTHER": ODD * number,
        "SYSLOG_IDENTIFIER": f"postfix/{'qmgr' if said is FROM else 'smtp'}",
        "SYSLOG_PID": "7",
        "MESSAGE": said,
    }
    for number, said in enumerate(
        [FROM, DELIVERY, DELIVERY.replace("sorry", "désolé"), "removed\x1b[0m"]
    )
]


@pytest.mark.parametrize("chunk", [1, 2, 37, 1 << 20])
def test_an_export_of_a_journal_tells_what_its_json_tells(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = bk.read(written(tmp_path, "\n".join(map(json.dumps, JOURNAL)))).drop("source")
    monkeypatch.setattr(files, "CHUNK", chunk)
    path = tmp_path / "journal"
    path.write_bytes(exported(JOURNAL))
    assert told["line"].to_list() == [2, 3]
    assert bk.read(path).drop("source").equals(told)
    path.write_bytes(gzip.compress(exported(JOURNAL)))
    assert bk.read(path).drop("source").equals(told)


@pytest.mark.parametrize("size", [2**63, 2**40, 1 << 21, 5])
def test_a_field_of_a_size_that_is_none_costs_no_other_entry(tmp_path: Path, size: int) -> None:
    whole = exported(JOURNAL)
    damaged = b"OTHER\n%b" % struct.pack("<Q", size) + b"damaged\n\n"
    path = tmp_path / "journal"
    path.write_bytes(exported(JOURNAL[:1]) + damaged + whole)
    assert len(bk.read(path)) == 2


def test_of_a_giant_field_of_a_journal_little_is_held() -> None:
    chunk = b"x" * (1 << 16)
    begun = b"__REALTIME_TIMESTAMP=1772625600123456\nMESSAGE\n" + struct.pack("<Q", 1 << 40)
    pieces = export.entries(chain([begun], (chunk for _ in range(1000)), [b"\n\n"]))
    assert max(map(len, pieces)) < 3 << 20
