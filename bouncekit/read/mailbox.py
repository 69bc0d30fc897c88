"""Find the mails in a file or folder: one .eml, an mbox of any size, a Maildir."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bouncekit.errors import BouncekitError

# What is read of a file at a time, in bytes: some 400 mails.
CHUNK = 2 << 20
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
_CARRIAGE_RETURN = re.compile(rb"\r\n?")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.M)


def is_message(head: bytes) -> bool:
    r"""Tell from the first bytes of a file whether it holds mail (one, or an mbox).

    >>> is_message(b"From: a@example.org\r\nSubject: failure notice\r\n\r\n")
    True
    >>> is_message(b"email,reason\na@example.org,550 unknown\n")
    False
    """
    head = unix_lines(head.removeprefix(b"\xef\xbb\xbf")).lstrip()
    if mbox_line := _MBOX_LINE.match(head):
        return bool(_HEADER.match(head.removeprefix(mbox_line.group(0)).removeprefix(b">")))
    lines = re.split(rb"\n[ \t]*\n", head, maxsplit=1)[0].split(b"\n")
    if not _HEADER.match(lines[0]):
        return False
    names = {match.group(1).lower() for line in lines if (match := _HEADER.match(line))}
    return len(names & _KNOWN_HEADERS) >= min(2, len(names))


def chunks_of(path: Path) -> Iterator[bytes]:
    """Give the bytes of a file, chunk by chunk; raises BouncekitError if it cannot be read."""
    try:
        with path.open("rb") as stream:
            yield from iter(partial(stream.read, CHUNK), b"")
    except OSError as error:
        raise BouncekitError(
            f"{path}: cannot be read ({error.strerror}): check its permissions or leave it out."
        ) from error


def blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Give a stream of bytes in pieces of whole mails, their lines ended by LF.

    An mbox (it begins with a `From ` line) is cut before such a line, anything else is one mail.
    Of a mail larger than LARGEST_MAIL only the beginning is kept.

    >>> list(blocks(iter([b"From a\nTo: x\n\n1\n\nFr", b"om b\nTo: x\n\n2\n"])))
    [b'From a\nTo: x\n\n1', b'From b\nTo: x\n\n2\n']
    """
    held, is_mbox = bytearray(), None
    for chunk in _unix_chunks(chunks):
        seen = max(0, len(held) - _OVERLAP)
        held += chunk
        if is_mbox is None:
            held = held.lstrip()
            if b"\n" not in held and len(held) < _OVERLAP:
                continue
            is_mbox = bool(_MBOX_LINE.match(held))
        if is_mbox and (end := _last_start(held, seen)) > 0:
            with memoryview(held) as view:
                block = bytes(view[:end])
            yield block
            del held[: end + len(b"\n\n")]
        # So that a mail which never ends does not fill the memory.
        del held[LARGEST_MAIL:-_OVERLAP]
    if held.strip():
        yield bytes(held)


def _last_start(held: bytearray, seen: int) -> int:
    """Give where the last mail that begins in the bytes after `seen` is parted off, or -1."""
    end = len(held)
    while (end := held.rfind(b"\n\nFrom ", seen, end)) > 0:
        if _MAIL_START.match(held, end):
            return end
    return -1


def mails(block: bytes) -> list[bytes]:
    r"""Split a piece that `blocks` gave into mails; in an mbox, `>From ` loses its quotation mark.

    >>> mails(b"From a\nTo: x\n\n>From 1\n\nFrom b\nTo: x\n\n2")
    [b'From a\nTo: x\n\nFrom 1', b'From b\nTo: x\n\n2']
    """
    if not _MBOX_LINE.match(block):
        return [block]
    return [
        _QUOTED_FROM.sub(rb"\1", mail) if b">From " in mail else mail
        for mail in _MAIL_START.split(block)
    ]


def unix_lines(data: bytes) -> bytes:
    """Give bytes with LF line ends; nearly all mails have them."""
    if b"\r" not in data:
        return data
    if data.count(b"\r", 0, CHUNK // 32) < 100:  # where they are few, this takes half as long
        return _CARRIAGE_RETURN.sub(b"\n", data)
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _unix_chunks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give the chunks with LF line ends; a CR at the end of one waits for the next."""
    held = b""
    for chunk in chunks:
        data = held + chunk if held else chunk
        held = b"\r" if data.endswith(b"\r") else b""
        yield unix_lines(data.removesuffix(b"\r"))
    if held:
        yield b"\n"


def maildir_files(folder: Path) -> list[Path]:
    """List the mails of a Maildir and of its Maildir++ subfolders, in a stable order."""
    boxes = [folder, *sorted(f for f in folder.glob(".*") if f.is_dir())]
    found = (f for box in boxes for sub in ("cur", "new") for f in (box / sub).glob("*"))
    return sorted(f for f in found if f.is_file() and not f.name.startswith("."))
