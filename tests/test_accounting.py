"""Records in the files = rows + duplicates told; what cannot be read stays: for every source."""

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bouncekit.read import load
from bouncekit.read.stored import store

# What becomes of a record: it is an event, the event before once more, or nothing readable.
EVENT, AGAIN, LOST = "event", "again", "lost"
Fates = list[str]


def csv(fates: Fates) -> str:
    row = "u{n}@example.org,2024-05-01T00:00:00Z,550 no {n}"
    return "email,time,reason\n" + _records(fates, row, "nobody,2024-05-01T00:00:00Z,550 no {n}")


def ndjson(fates: Fates) -> str:
    row = '{{"email":"u{n}@example.org","time":"2024-05-01T00:00:00Z","reason":"550 no {n}"}}'
    first = row.format(n="first") + "\n"  # so that a file whose records are all lost is one
    return first + _records(fates, row, '{{"email":"u{n}@exam')


def mbox(fates: Fates) -> str:
    mail = (
        "From a\nFrom: MAILER-DAEMON@example.net\nDate: Wed, 1 May 2024 00:00:00 +0000\n"
        "To: x@example.org\nSubject: failure notice\n\n<u{n}@example.org>:\n550 no {n}\n\n"
    )
    return _records(fates, mail, "From a\nSubject: {n}\n\nnothing\n\n", end="")


def postfix(fates: Fates) -> str:
    begin = "2024-05-01T00:00:00+00:00 mx postfix/smtp[7]: AAAAA{n}: "
    row = begin + "to=<u{n}@example.org>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)"
    first = row.format(n="F") + "\n"
    return first + _records(fates, row, begin + "to=<u{n}@example.org>, relay= status=")


def _records(fates: Fates, event: str, lost: str, end: str = "\n") -> str:
    last, texts = "", []
    for number, fate in enumerate(fates):
        if fate == EVENT or (fate == AGAIN and not last):
            last = event.format(n=number)
        texts.append(lost.format(n=number) if fate == LOST else last)
    return "".join(text + end for text in texts)


# How each kind is written, and how many records come before those of the fates.
KINDS: dict[str, tuple[Callable[[Fates], str], int]] = {
    "x.csv": (csv, 0),
    "x.ndjson": (ndjson, 1),
    "x.mbox": (mbox, 0),
    "x.log": (postfix, 1),
}
PACKINGS = ("plain", "gzip", "zip")


def expected(fates: Fates, before: int) -> tuple[int, int, int]:
    """Records, unreadable, and duplicates of one file."""
    lost = fates.count(LOST)
    readable = [fate for fate in fates if fate != LOST]
    again = readable[1:].count(AGAIN)
    return len(fates) + before, lost, again


def written(folder: Path, name: str, text: str, packing: str) -> Path:
    data = text.encode()
    if packing == "gzip":
        path = folder / f"{name}.gz"
        path.write_bytes(gzip.compress(data))
    elif packing == "zip":
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, data)
    else:
        path = folder / name
        path.write_bytes(data)
    return path


fates = st.lists(st.sampled_from([EVENT, EVENT, AGAIN, LOST]), min_size=1, max_size=40).filter(
    lambda fates: fates[0] != LOST
)


@settings(max_examples=100)
@given(st.sampled_from([*KINDS]), st.sampled_from(PACKINGS), fates)
@example("x.log", "zip", [EVENT])  # once read as a log whose first line was the archive's head
def test_what_became_of_every_record_is_told(name: str, packing: str, fates: Fates) -> None:
    write, before = KINDS[name]
    with TemporaryDirectory() as place:
        path = written(Path(place), name, write(fates), packing)
        reading = load(path)
        told = (reading.records, reading.unreadable, reading.duplicates)
        assert told == expected(fates, before)
        assert reading.frame.height == told[0] - told[2]
        account = store(path, folder=Path(place))
        assert (account.records, account.unreadable, account.duplicates) == told
        assert account.lazy.collect().equals(reading.frame)


@settings(max_examples=25)
@given(st.data())
def test_a_folder_of_all_kinds_is_the_sum_of_its_files(data: st.DataObject) -> None:
    with TemporaryDirectory() as place:
        sums = [0, 0]
        for name, (write, before) in KINDS.items():
            drawn = data.draw(fates)
            packing = data.draw(st.sampled_from(PACKINGS))
            written(Path(place), name, write(drawn), packing)
            records, unreadable, _ = expected(drawn, before)
            sums = [sums[0] + records, sums[1] + unreadable]
        reading = load(place)
        assert [reading.records, reading.unreadable] == sums
        assert reading.rows + reading.duplicates == sums[0]
        assert sum(reading.events.values()) == reading.frame.height
