"""Find the mails in a file or folder: one .eml, an mbox of any size, a Maildir."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bouncekit.errors import BouncekitError

CHUNK = 1 << 20
# A larger mail is cut here, in bytes.
LARGEST_MAIL = 50_000_000

_KNOWN_HEADERS = frozenset(
    b"received return-path delivered-to x-original-to date from to subject message-id sender "
    b"reply-to mime-version content-type content-transfer-encoding auto-submitted "
    b"x-failed-recipients x-mailer importance precedence cc references in-reply-to".split()
)
_HEADER = re.compile(rb"([A-Za-z0-9-]{1,80})[ \t]*:")
_MBOX_LINE = re.compile(rb">?From \S[^\n]*\n")
# In an mbox a mail begins after a blank line, and a header follows its `From ` line: a sentence
# that begins with "From" does not end the mail before it.
_MAIL_START = re.compile(rb"\n\n(?=From \S[^\n]{0,998}\n>?[A-Za-z0-9-]{1,80}[ \t]*:)")
# The longest stretch in which a mail's start can hide between two chunks, in bytes.
_OVERLAP = 2_048
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)


def is_message(head: bytes) -> bool:
    r"""Tell from the first bytes of a file whether it holds mail (one, or an mbox).

    >>> is_message(b"From: a@example.org\r\nSubject: failure notice\r\n\r\n")
    True
    >>> is_message(b"email,reason\na@example.org,550 unknown\n")
    False
    """
    head = _unix_lines(head.removeprefix(b"\xef\xbb\xbf")).lstrip()
    if mbox_line := _MBOX_LINE.match(head):
        return bool(_HEADER.match(head.removeprefix(mbox_line.group(0)).removeprefix(b">")))
    lines = re.split(rb"\n[ \t]*\n", head, maxsplit=1)[0].split(b"\n")
    if not _HEADER.match(lines[0]):
        return False
    names = {match.group(1).lower() for line in lines if (match := _HEADER.match(line))}
    return len(names & _KNOWN_HEADERS) >= min(2, len(names))


def raw_messages(
    path: Path, chunks: Iterator[bytes] | None = None
) -> Iterator[tuple[str, int, bytes]]:
    """Give each mail as (file, 1-based number in that file, bytes), one mail in memory at a time.

    `path` is a Maildir, an mbox or a file with one mail; `chunks` are its bytes where they are not
    those on disk. Raises BouncekitError if a file cannot be read.
    """
    if chunks is not None:
        yield from ((str(path), n, raw) for n, raw in enumerate(split_mails(chunks), start=1))
        return
    files = _maildir_files(path) if path.is_dir() else [path]
    for file in files:
        try:
            with file.open("rb") as stream:
                read = iter(partial(stream.read, CHUNK), b"")
                for number, raw in enumerate(split_mails(read), start=1):
                    yield os.fsencode(file).decode("utf-8", "backslashreplace"), number, raw
        except OSError as error:
            raise BouncekitError(
                f"{file}: cannot be read ({error.strerror}): check its permissions or leave it out"
            ) from error


def split_mails(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Split a stream of bytes into mails: at `From ` lines if it begins with one, else not at all.

    Line ends become LF, `>From ` loses its quotation mark, each mail is cut at LARGEST_MAIL bytes.

    >>> mails = split_mails(iter([b"From a\nTo: x\n\n1\n\nFr", b"om b\nTo: x\n\n2\n"]))
    >>> [mail.strip()[-1:] for mail in mails]
    [b'1', b'2']
    """
    mail, tail, is_mbox = bytearray(), b"", None
    for chunk in _unix_chunks(chunks):
        data = tail + chunk
        if is_mbox is None:
            data = data.lstrip()
            if b"\n" not in data and len(data) < _OVERLAP:
                tail = data
                continue
            is_mbox = bool(_MBOX_LINE.match(data))
        *ended, last = _MAIL_START.split(data) if is_mbox else [data]
        for piece in ended:
            yield _finished(mail, piece, is_mbox)
            mail = bytearray()
        _grow(mail, last[:-_OVERLAP])
        tail = last[-_OVERLAP:]
    if mail or tail.strip():
        yield _finished(mail, tail, is_mbox)


def _grow(mail: bytearray, piece: bytes) -> None:
    mail += piece[: LARGEST_MAIL - len(mail)]


def _finished(mail: bytearray, piece: bytes, is_mbox: bool | None) -> bytes:
    _grow(mail, piece)
    return _QUOTED_FROM.sub(rb"\1", bytes(mail)) if is_mbox else bytes(mail)


def _unix_lines(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _unix_chunks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give the chunks with LF line ends; a CR at the end of one waits for the next."""
    held = b""
    for chunk in chunks:
        data = held + chunk
        held = b"\r" if data.endswith(b"\r") else b""
        yield _unix_lines(data.removesuffix(b"\r"))
    if held:
        yield b"\n"


def _maildir_files(folder: Path) -> list[Path]:
    """List the mails of a Maildir and of its Maildir++ subfolders, in a stable order."""
    boxes = [folder, *sorted(f for f in folder.glob(".*") if f.is_dir())]
    found = (f for box in boxes for sub in ("cur", "new") for f in (box / sub).glob("*"))
    return sorted(f for f in found if f.is_file() and not f.name.startswith("."))
