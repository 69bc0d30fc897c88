r"""`journalctl -o export`, the Journal Export Format (https://systemd.io/JOURNAL_EXPORT_FORMATS/).

An entry is a line `FIELD=value` for each field; a value with control characters comes as `FIELD`
alone, its size in 8 bytes (little endian) and its bytes. A blank line ends the entry. Each becomes
one line here, with FIELD_END between its fields, so that it is read like any other wrapped line.
"""

import re
from collections.abc import Iterator

FIELD_END = "\x1e"

_TOLD_BY = re.compile(rb"(?m)^__REALTIME_TIMESTAMP=\d{16}$")
_MESSAGE = re.compile(rb"(?m)^MESSAGE(?:=|$)")
_NAME = re.compile(rb"(?m)^[A-Z0-9_]{1,64}\n")
_BLANK_LINES = re.compile(rb"\n{2,}")
_ENTRY_END = b"\x1d"
_SIZE_BYTES = 8
# No server logs a megabyte at once: what claims to be larger is damage, and read as plain lines.
_LARGEST = 1 << 20
_TO_BLANKS = bytes(byte if byte >= 32 or byte in b"\t\n" else 32 for byte in range(256))


def is_export(head: bytes) -> bool:
    r"""True for the beginning of a journal's export.

    >>> is_export(b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1772625600123456\nMESSAGE=removed\n\n")
    True
    """
    return _TOLD_BY.search(head) is not None and _MESSAGE.search(head) is not None


def entries(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Give a line for each entry of an export, in pieces that end anywhere.

    >>> b"".join(entries(iter([b"A=1\nB\n\3\0\0\0\0\0\0\0x\ny\n\nA=2\n"])))
    b'A=1\x1eB=x y\nA=2\n'
    """
    ends = b""
    for lines in _plain(chunks):
        text = ends + lines
        kept = text.rstrip(b"\n")
        ends = text[len(kept) :][:2]
        yield (
            _BLANK_LINES.sub(_ENTRY_END, kept)
            .replace(b"\n", FIELD_END.encode())
            .replace(_ENTRY_END, b"\n")
        )
    yield ends[:1]


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give the export in whole lines, each field as `FIELD=value`, control characters as blanks."""
    held = b""
    for chunk in chunks:
        data = held + chunk
        parts, start, end = [], 0, data.rfind(b"\n") + 1
        while name := _NAME.search(data, start, end):
            value = name.end() + _SIZE_BYTES
            size = int.from_bytes(data[name.end() : value], "little")
            after = value + size
            if len(data) < value or (size <= _LARGEST and len(data) <= after):
                end = name.start()  # the rest of it comes with the next chunk
                break
            if size <= _LARGEST and data[after : after + 1] == b"\n":
                parts += [data[start : name.end() - 1], b"="]
                parts.append(data[value:after].replace(b"\n", b" "))
                start, end = after, max(end, after + 1)
            else:
                parts.append(data[start : name.end()])
                start = name.end()
        parts.append(data[start:end])
        yield b"".join(parts).translate(_TO_BLANKS)
        held = data[end:][: 2 * _LARGEST]
    yield held.translate(_TO_BLANKS)
