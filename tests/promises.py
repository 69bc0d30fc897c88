"""What holds whatever bytes come: tried by hypothesis in test_fuzz.py, by atheris in fuzz.py."""

import json
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import polars as pl

from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.explain import explain
from bouncekit.own_rules import check
from bouncekit.policy import find_policy
from bouncekit.read import load
from bouncekit.read.mailbox import blocks, mails
from bouncekit.read.mime import read_mail
from bouncekit.read.reports import events
from bouncekit.read.stored import store
from bouncekit.schema import BOUNCES
from bouncekit.sent import sent_messages
from bouncekit.suppress import listed

HERE = Path(__file__).parent
REPLIES = 20  # seeds of the replies; each has some from all over the file
Check = Callable[[bytes, Path], None]  # the bytes, and a folder to write in


def table(data: bytes, folder: Path) -> None:
    """Reading gives a frame with all records accounted for, or one error that names the file."""
    path = folder / "export"
    path.write_bytes(data)
    try:
        reading = load(path)
    except BouncekitError as error:
        _is_one_sentence(error, path.name)
        return
    assert dict(reading.frame.schema) == BOUNCES
    assert reading.records == reading.rows + reading.duplicates
    assert str(reading).startswith(reading.summary)
    assert "\n" not in reading.summary
    account = store(path, folder=folder)
    assert (account.records, account.rows) == (reading.records, reading.rows)
    assert account.events == reading.events


def mail(data: bytes, folder: Path) -> None:
    """A mail is at least one row, made of the columns of the frame."""
    del folder
    rows = events(read_mail(data))
    assert rows
    frame = pl.DataFrame({name: [row.get(name) for row in rows] for name in BOUNCES}, BOUNCES)
    assert frame["event"].null_count() == 0
    assert not {key for row in rows for key in row} - BOUNCES.keys()


def mbox(data: bytes, folder: Path) -> None:
    """However short the reads are, the mails are the same, and no byte but line ends is lost."""
    del folder
    whole = [mail.strip() for block in blocks(iter([data])) for mail in mails(block)]
    size = len(data) % 7 + 1
    short = (data[at : at + size] for at in range(0, len(data), size))
    assert [mail.strip() for block in blocks(short) for mail in mails(block)] == whole


def reply(data: bytes, folder: Path) -> None:
    """Every reply gets a category by itself, whatever stands before and after it.

    Many in one frame cost little more than one; by itself only one of them is looked at.
    """
    del folder
    texts = data.decode("utf-8", "replace").split("\x00")
    classified = classify(pl.DataFrame({"reply": texts}))
    assert classified["reply"].to_list() == texts
    assert classified["category"].null_count() == 0
    at = len(data) % len(texts)
    if texts[at].strip():
        verdict = explain(texts[at])
        assert verdict.category == classified["category"][at]
        assert repr(verdict)


def rules(data: bytes, folder: Path) -> None:
    """A file of rules is usable or an error that names it."""
    _or_one_sentence(check, data, folder / "own.toml")


def policy(data: bytes, folder: Path) -> None:
    """A file of a policy is usable or an error that names it."""
    _or_one_sentence(find_policy, data, folder / "own.toml")


def sent(data: bytes, folder: Path) -> None:
    """A list of what was sent is usable or an error that names it."""

    def collected(path: Path) -> None:
        sent_messages(path).collect()

    _or_one_sentence(collected, data, folder / "sent.csv")


def previous(data: bytes, folder: Path) -> None:
    """An earlier removal list is usable or an error that names it."""
    _or_one_sentence(listed, data, folder / "remove.csv")


_ALL = (table, mail, mbox, reply, rules, policy, sent, previous)
PROMISES: dict[str, Check] = {promise.__name__: promise for promise in _ALL}


def _or_one_sentence(use: Callable[[Path], object], data: bytes, path: Path) -> None:
    path.write_bytes(data)
    try:
        use(path)
    except BouncekitError as error:
        _is_one_sentence(error, path.name)


def _is_one_sentence(error: BouncekitError, name: str) -> None:
    assert name in str(error)
    assert "\n" not in str(error)


def seeds(target: str) -> list[bytes]:
    """Begin with texts of these tests: exports of every source, mails, replies, rules."""
    return list(dict.fromkeys(_seeds(target)))


def _seeds(target: str) -> Iterator[bytes]:
    from test_logs import JOURNAL, exported
    from test_logs_servers import LOGS
    from test_own_rules import MISTAKES
    from test_reports import SAMPLES

    package = HERE.parent / "bouncekit" / "rules"
    if target == "table":
        for case in json.loads((HERE / "data" / "sources.json").read_text("utf-8")):
            text = case["text"] if isinstance(case["text"], str) else json.dumps(case["text"])
            yield text.encode(case.get("encoding", "utf-8"))
        yield from (log.encode() for log in LOGS.values())
        yield exported(JOURNAL)
    if target in ("table", "mail", "mbox"):
        mails = [mail.encode("utf-8", "replace") for mail in SAMPLES]
        yield from mails
        if target == "mbox":
            yield from (b"From a\n%b\n\nFrom b\n%b\n" % pair for pair in pairwise(mails))
    elif target == "reply":
        lines = (HERE / "replies.tsv").read_text("utf-8").splitlines()[1:]
        replies = [line.partition("\t")[2].replace("\\n", "\n") for line in lines]
        yield from ("\x00".join(replies[at::REPLIES]).encode() for at in range(REPLIES))
    elif target == "rules":
        yield from (content for content, _ in MISTAKES.values())
        yield b'[unknown_user]\n"{mailbox} odd" = "550 mailbox odd"\n'
    elif target == "policy":
        text = (package / "policies.toml").read_text("utf-8")
        for name, about in tomllib.loads(text).items():
            values = "".join(f"{key} = {_toml(value)}\n" for key, value in about.items())
            yield f"[{name}]\n{values}".encode()
    elif target in ("sent", "previous"):
        yield b"recipient,message_id\nann@example.org,<a@example.net>\n"
        yield b"ann@example.org\nbob@example.org\n"
        yield b"email;reason\n'=a@example.org;x\n"
        yield b'{"Suppressions": [{"EmailAddress": "a@example.org"}]}\n'


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)
