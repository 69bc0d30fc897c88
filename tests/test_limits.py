"""What is made to fill memory or disk is told in a sentence or kept as a row, in little memory."""

import gzip
import io
import json
import os
import re
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bouncekit.errors import BouncekitError
from bouncekit.own_rules import check
from bouncekit.read import bounds, load
from bouncekit.read.archives import MEMBERS
from bouncekit.read.delimited import LONGEST_RECORD
from bouncekit.read.mailbox import LARGEST_MAIL
from bouncekit.read.mime import HEADERS_LIMIT, NESTING_LIMIT, PART_LIMIT, PARTS_LIMIT
from bouncekit.rules import MOST_SPELLINGS

MB = 1 << 20
# Python, Polars and the rules alone take 200 MB.
MOST_MEMORY = 1_200 * MB
FAR_AWAY = 400  # seconds of a processor

GOOD = b"a@example.org,550 5.1.1 user unknown\n"
EVENT = b'{"email":"a@example.org","reason":"550 5.1.1 user unknown"}\n'
MAIL = (
    b"From: MAILER-DAEMON@example.net\nTo: x@example.org\nSubject: failure notice\nMIME-Version: "
    b"1.0\n"
)
NOTICE = b"\n<b@example.org>:\n550 5.1.1 user unknown\n"
REPORT = b'Content-Type: multipart/report; boundary="b"\n\n'
FIELDS = (
    b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
    b"Final-Recipient: rfc822; b@example.org\nAction: failed\nStatus: 5.1.1\n\n"
)
PART = b"--b\nContent-Type: text/plain\n\nx\n"


@dataclass(frozen=True)
class Ended:
    """How a process ended: its code, what it said, and the most memory it had."""

    code: int
    said: str
    memory: int


def classified(path: Path, **environment: str) -> Ended:
    """Let the command line classify a file in a process of its own."""
    command = [sys.executable, "-m", "bouncekit", "classify", str(path), "-o", f"{path}.parquet"]
    environment = {**os.environ, **environment}
    with open(f"{path}.said", "w+b") as said:  # noqa: PTH123 - a suffix added
        process = subprocess.Popen(
            command, stdout=said, stderr=said, env=environment, preexec_fn=_in_bounded_time
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            process.returncode = 0  # waited for above
        said.seek(0)
        return Ended(
            os.waitstatus_to_exitcode(status), said.read().decode(), usage.ru_maxrss * 1024
        )


def _in_bounded_time() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (FAR_AWAY, FAR_AWAY))


def packed(begin: bytes, unit: bytes, times: int) -> Iterator[bytes]:
    """A .gz of members that are all alike: gigabytes in no time."""
    yield gzip.compress(begin)
    member = gzip.compress(unit, 6)
    yield from (member for _ in range(times))


def lying_zip() -> bytes:
    """A .zip that says of itself that it unpacks to 4 GB."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.csv", b"email,reason\n" + GOOD)
    data = bytearray(out.getvalue())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (0xFFFF_FFF0).to_bytes(4, "little")
    return bytes(data)


def zipped(names: list[str], content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return out.getvalue()


def wide(columns: int, rows: int) -> Iterator[bytes]:
    yield b"email,reason," + b",".join(b"c%d" % n for n in range(columns)) + b"\n"
    yield from (GOOD.rstrip() + b"," + b",".join([b"x"] * columns) + b"\n" for _ in range(rows))


def nested(times: int) -> bytes:
    begin = b"From: a@example.net\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
    return begin * times + MAIL + NOTICE


def multiparts(times: int) -> bytes:
    kind = b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n'
    return MAIL + b"".join(kind % (n, n) for n in range(times)) + b"\n" + NOTICE


def keys(rows: int, each: int) -> Iterator[bytes]:
    for row in range(rows):
        own = {f"own_{row}_{n}": "x" for n in range(each)}
        event = {"email": f"a{row}@example.org", "reason": "550 5.1.1 user unknown", **own}
        yield json.dumps(event).encode() + b"\n"


def repeated(unit: bytes, times: int) -> Iterator[bytes]:
    return (unit for _ in range(times))


# What a file holds, and what is said of it or how many rows of which event it has.
ERRORS: dict[str, tuple[str, Callable[[], Iterator[bytes]], str]] = {
    "20 GB of one line, packed": (
        "x.csv.gz",
        lambda: packed(b"email,reason\n" + GOOD, b"x" * 64 * MB, 320),
        "the line that begins at byte 50 is longer than 16 MB",
    ),
    "rows that grow 300 times, packed": (
        "x.csv.gz",
        lambda: packed(b"email,reason\n", GOOD * (64 * MB // len(GOOD)), 18),
        "unpacks to far more than an export holds",
    ),
    "a .zip of 4 GB": (
        "x.zip",
        lambda: iter([lying_zip()]),
        "unpacks to far more than an export holds",
    ),
    "an archive in an archive": (
        "x.zip",
        lambda: iter([zipped(["b.zip"], zipped(["c.csv"], b"email,reason\n" + GOOD))]),
        "holds another archive, b.zip",
    ),
    "a .zip of 10,001 files": (
        "x.zip",
        lambda: iter([zipped([f"{n}.csv" for n in range(MEMBERS + 1)], GOOD)]),
        "holds 10,001 files",
    ),
    "a line of 128 MB in a CSV": (
        "x.csv",
        lambda: (part for part in [b"email,reason\n" + GOOD, *[b"x" * 64 * MB] * 2]),
        "the line that begins at byte 50 is longer than 16 MB",
    ),
    "a line of 128 MB in NDJSON": (
        "x.ndjson",
        lambda: (part for part in [EVENT, b'{"email":"', *[b"x" * 64 * MB] * 2, b'"}\n']),
        "is longer than 16 MB",
    ),
    "a JSON document of 300 MB": (
        "x.json",
        lambda: (part for part in [b'[{"email":"', *[b"x" * 60 * MB] * 5, b'"}]']),
        "one JSON document of more than 256 MB",
    ),
    "10,000 columns": ("x.csv", lambda: wide(9_998, 50), "has 10,000 columns"),
    "a million columns": ("x.csv", lambda: wide(1_000_000, 1), "first line is longer than 65,536"),
    "JSON 100,000 deep": (
        "x.json",
        lambda: iter([b"[" * 100_000 + b"]" * 100_000]),
        "this is not JSON (too deep",
    ),
    "objects 100,000 deep": (
        "x.json",
        lambda: iter([b'{"a":' * 100_000 + b"1" + b"}" * 100_000]),
        "this is not JSON (too deep",
    ),
}
ROWS: dict[str, tuple[str, Callable[[], Iterator[bytes]], dict[str, int]]] = {
    "an event 100,000 deep": (
        "x.ndjson",
        lambda: iter([EVENT, b'{"email":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", EVENT]),
        {"bounce": 2, "unreadable": 1},
    ),
    "100,000 different keys": ("x.ndjson", lambda: keys(1_000, 100), {"bounce": 1_000}),
    "a quote that never closes": (
        "x.csv",
        lambda: (p for p in [b'email,reason\n"', *repeated(GOOD, 100_000)]),
        {"bounce": 99_999, "unreadable": 1},
    ),
    "a mail of 128 MB": (
        "x.mbox",
        lambda: (
            part
            for part in [
                b"From a\n" + MAIL,
                *[b"x" * 64 * MB] * 2,
                b"\n\nFrom b\n" + MAIL + NOTICE,
            ]
        ),
        {"bounce": 1, "unreadable": 1},
    ),
    "a header of 49 MB": (
        "x.eml",
        lambda: iter([MAIL, b"X-Long: ", b"y" * 49 * 1_000_000, b"\n", NOTICE]),
        {"unreadable": 1},
    ),
    "ten million headers": (
        "x.eml",
        lambda: (part for part in [MAIL, b"A: b\n" * 9_500_000, NOTICE]),
        {"unreadable": 1},
    ),
    "a million parts": (
        "x.eml",
        lambda: iter([MAIL, REPORT, FIELDS, PART * 1_000_000]),
        {"bounce": 1},
    ),
    "a million parts before the one that counts": (
        "x.eml",
        lambda: iter([MAIL, REPORT, PART * 1_000_000, FIELDS]),
        {"unreadable": 1},
    ),
    "forwarded twice": ("x.eml", lambda: iter([nested(2)]), {"bounce": 1}),
    "forwarded 1,000 times": ("x.eml", lambda: iter([nested(1_000)]), {"unreadable": 1}),
    "1,000 parts in one another": ("x.eml", lambda: iter([multiparts(1_000)]), {"unreadable": 1}),
}


def written(path: Path, parts: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(parts)
    return path


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_beyond_a_bound_is_one_sentence_in_little_memory(name: str, tmp_path: Path) -> None:
    file, parts, said = ERRORS[name]
    ended = classified(written(tmp_path / file, parts()))
    assert (ended.code, len(ended.said.splitlines())) == (2, 1), ended.said
    assert file in ended.said
    assert said in ended.said
    assert ended.memory < MOST_MEMORY
    assert not (tmp_path / f"{file}.parquet").exists()


@pytest.mark.parametrize("name", ROWS)
def test_what_is_large_in_a_readable_file_is_rows_in_little_memory(
    name: str, tmp_path: Path
) -> None:
    file, parts, events = ROWS[name]
    path = written(tmp_path / file, parts())
    ended = classified(path)
    assert ended.code == 0, ended.said
    told = re.search(r"events +(.*)", ended.said)
    assert told
    assert told[1] == ", ".join(f"{event} {count:,}" for event, count in events.items())
    assert ended.memory < MOST_MEMORY


@pytest.mark.parametrize("name", bounds.BOUNDS)
def test_a_bound_that_is_no_number_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "much")
    with pytest.raises(BouncekitError, match=rf"{name}=much is no number above 0"):
        bounds.bound(name)


def test_a_user_who_knows_his_file_raises_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = tmp_path / "x.csv"
    export.write_bytes(b"email,reason\n" + GOOD + b"b@example.org," + b"x" * 3 * MB + b"\n" + GOOD)
    monkeypatch.setenv("BOUNCEKIT_LINE_MB", "1")
    with pytest.raises(BouncekitError, match=r"longer than 1 MB.*set BOUNCEKIT_LINE_MB"):
        load(export)
    monkeypatch.setenv("BOUNCEKIT_LINE_MB", "4")
    assert load(export).records == 3


def test_phrases_that_multiply_are_named(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    sets = "{mailbox} {full} " * 8
    own.write_text(f'[mailbox_full]\n"{sets}" = "552 mailbox full"\n')
    with pytest.raises(BouncekitError, match=r"own\.toml.*spellings.*name fewer sets"):
        check(own)


def test_the_page_on_limits_says_what_the_code_does() -> None:
    page = (Path(__file__).parent.parent / "docs" / "limits.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| .*? \| ([\d,]+)[^|]*\| `(\w+)` \|", page, re.M))
    assert {name: int(number.replace(",", "")) for number, name in rows.items()} == bounds.BOUNDS
    fixed = {
        "files in a .zip": f"{MEMBERS:,}",
        "quoted cell in a damaged CSV": f"{LONGEST_RECORD} lines",
        "mail": f"{LARGEST_MAIL // 10**6} MB",
        "headers of a mail or a part": f"{HEADERS_LIMIT // 1_000} kB",
        "text of a part": f"{PART_LIMIT // 1_000} kB",
        "parts in a part of a mail": f"{PARTS_LIMIT}",
        "nested parts, forwarded mails": f"{NESTING_LIMIT}, 3",
        "spellings of the phrases in one file of rules": f"{MOST_SPELLINGS:,}",
    }
    for what, number in fixed.items():
        assert f"| {what} | {number}" in page


OPENED = """
import resource, sys
from pathlib import Path
from bouncekit.read.files import peek
from bouncekit.read.objects import open_json
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_json(path, peek(path))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("around", ["[{}]", '{{"data": {{"results": [{}]}}}}'])
def test_a_document_of_tiny_records_takes_a_few_times_its_size(around: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(around.format(",".join(['{"email":"ann@example.org"}'] * 500_000)))
    command = [sys.executable, "-c", OPENED, str(path)]
    kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert kilobytes * 1024 < 10 * path.stat().st_size
