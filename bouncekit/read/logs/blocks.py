"""Read a log of any size as blocks of whole lines in UTF-8: packed, in another encoding, damaged.

What comes out does not depend on the size of the blocks: how bytes that are not UTF-8 are to be
read is judged once, on the first megabyte that has some.
"""

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from bouncekit.read.files import Peek, encoding, packed_chunks, text_encoding
from bouncekit.read.logs.export import entries, is_export
from bouncekit.read.logs.wrappings import Unwrap

# Smaller blocks cost time for each of them, larger ones only memory.
BLOCK_BYTES = 16 << 20
# No server writes lines of a megabyte: what a line holds beyond is left out.
LINE_BYTES = 1 << 20


def line_blocks(path: Path, peek: Peek, size: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Give blocks of whole lines in UTF-8, each with the number of its first line, from 0.

    A block has `size` bytes (BLOCK_BYTES) and what its last line needs. Raises BouncekitError where
    the file cannot be opened or its packing is broken.
    """
    least = size or BLOCK_BYTES
    first, held = 0, 0
    block: list[bytes] = []
    for part in _parts(_as_utf8(_whole_lines(_one_entry_a_line(path, peek))), least):
        block.append(part)
        held += len(part)
        if held >= least:
            whole = b"".join(block)
            yield first, whole
            first += whole.count(b"\n")
            block, held = [], 0
    if block:
        yield first, b"".join(block)


def lines_of(first: int, block: bytes, off: Unwrap | None = None) -> pl.LazyFrame:
    """Give the lines of a block: line (UInt32, its number) and text, without line ends.

    `off` takes off what other programs wrapped round each line.
    """
    lines = pl.scan_lines(io.BytesIO(block), name="text", row_index_name="line")
    text = pl.col("text")
    if b"\r" in block:
        text = text.str.strip_suffix("\r")
    if off is not None:
        text = off(text)
    return lines.with_columns(pl.col("line") + pl.lit(first, pl.UInt32), text=text)


def _one_entry_a_line(path: Path, peek: Peek) -> Iterator[bytes]:
    """Give the unpacked bytes of a file, each entry of a journal's export as one line."""
    if is_export(peek.head):
        return entries(packed_chunks(path, peek.packing))
    return _without_utf16(path, peek)


def _without_utf16(path: Path, peek: Peek) -> Iterator[bytes]:
    """Give the unpacked bytes of a file, those of UTF-16 as UTF-8, without a byte order mark."""
    name = encoding(peek.head)
    chunks = packed_chunks(path, peek.packing)
    if name == "utf-8-sig":
        yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
    if not name.startswith("utf-16"):
        # What a disk that was full, or a rotation under a writing server, leaves behind.
        yield from (chunk.replace(b"\0", b"") for chunk in chunks)
        return
    decoder = codecs.getincrementaldecoder(name)("backslashreplace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "backslashreplace")
    yield decoder.decode(b"", final=True).encode("utf-8", "backslashreplace")


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give pieces that end where a line ends; of a line over several chunks its LINE_BYTES."""
    begun = b""
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if not end:
            begun = (begun + chunk)[:LINE_BYTES]
            continue
        rest, view = chunk.find(b"\n"), memoryview(chunk)
        kept = min(rest, LINE_BYTES - len(begun))
        yield b"".join((begun, view[:kept], view[rest:end]))
        begun = chunk[end : end + LINE_BYTES]
    if begun:
        yield begun


def _as_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Give each piece in UTF-8, its other bytes read by the code page of the first that has any."""
    name = ""
    for piece in pieces:
        if _is_utf8(piece):
            yield piece
            continue
        name = name or text_encoding(piece)
        yield piece.decode(name, "backslashreplace").encode("utf-8", "backslashreplace")


def _is_utf8(piece: bytes) -> bool:
    if piece.isascii():  # a tenth of the time
        return True
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


def _parts(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Give whole lines of no more than `size` bytes, or one line that has more."""
    for piece in pieces:
        start = 0
        while len(piece) - start > size:
            end = piece.rfind(b"\n", start, start + size) + 1 or piece.find(b"\n", start) + 1
            if not end:
                break
            yield piece[start:end]
            start = end
        yield piece[start:] if start else piece
