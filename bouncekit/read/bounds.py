"""How much of a file is read, so that none can fill the memory or the disk.

What is beyond a bound is an error of one sentence that says how to raise it: by a variable of the
environment, for a user who knows his file. docs/limits.md lists all bounds, those of mails too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from bouncekit.errors import BouncekitError

# Variable of the environment: what it is unless set.
BOUNDS = {
    "BOUNCEKIT_LINE_MB": 16,  # a line of a table: batches of webhooks have some
    "BOUNCEKIT_WHOLE_MB": 1_024,  # what is in memory at once: text that is no UTF-8, a packed log
    "BOUNCEKIT_JSON_MB": 256,  # a JSON document, which takes 5 to 30 times its size
    "BOUNCEKIT_UNPACKED_GB": 50,  # what a packed file unpacks to
    "BOUNCEKIT_GROWTH": 200,  # by how much it grows, once beyond a GB: exports grow 10 to 50 times
    "BOUNCEKIT_COLUMNS": 1_000,  # of a table
}
_MB, _GB = 1 << 20, 1 << 30


def bound(name: str) -> int:
    """Give a bound. Raises BouncekitError where its variable holds no number above 0."""
    said = os.environ.get(name, str(BOUNDS[name]))
    if not (said.isascii() and said.isdecimal() and int(said[:18])):
        raise BouncekitError(f"{name}={said} is no number above 0: mend or unset the variable.")
    return int(said[:18])


def bounded(path: Path, packed: bool, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give the chunks of a text, up to a line that is too long or to where it grew too much."""
    limit = bound("BOUNCEKIT_LINE_MB") * _MB
    size, run = 0, 0
    for chunk in chunks:
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        run = len(chunk) - end - 1 if end >= 0 else run + len(chunk)
        size += len(chunk)
        if run > limit:
            raise BouncekitError(
                f"{path}: the line that begins at byte {size - run:,} is longer than "
                f"{limit // _MB} MB, which no export holds; if it is right, set BOUNCEKIT_LINE_MB."
            )
        if packed:
            check_unpacked(path, size)
        yield chunk


def joined(path: Path, packed: bool, chunks: Iterator[bytes]) -> bytes:
    """Give all of a file that has to be in memory at once."""
    limit = bound("BOUNCEKIT_WHOLE_MB") * _MB
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if packed:
            check_unpacked(path, len(data))
        if len(data) > limit:
            raise BouncekitError(
                f"{path} has to be read at once and is larger than {limit // _MB:,} MB: split it, "
                "save it as CSV or NDJSON in UTF-8, or set BOUNCEKIT_WHOLE_MB."
            )
    return bytes(data)


def check_document(path: Path, size: int) -> None:
    """Raise BouncekitError for a JSON document that would take too much memory."""
    limit = bound("BOUNCEKIT_JSON_MB")
    if size > limit * _MB:
        raise BouncekitError(
            f"{path} is one JSON document of more than {limit:,} MB: write its events one a line "
            "(jq -c '.[]'), or set BOUNCEKIT_JSON_MB."
        )


def check_unpacked(path: Path, size: int) -> None:
    """Raise BouncekitError where a packed file unpacks to more bytes than an export holds."""
    if size <= _GB:
        return
    grown = bound("BOUNCEKIT_GROWTH") * path.stat().st_size
    if size > max(grown, _GB) or size > bound("BOUNCEKIT_UNPACKED_GB") * _GB:
        raise BouncekitError(
            f"{path} unpacks to far more than an export holds ({path.stat().st_size:,} bytes to "
            f"{size:,} or more): if it is right, unpack it yourself."
        )


def check_columns(path: Path, columns: int) -> None:
    """Raise BouncekitError for a table of more columns than an export has."""
    limit = bound("BOUNCEKIT_COLUMNS")
    if columns > limit:
        raise BouncekitError(
            f"{path} has {columns:,} columns, more than {limit:,}: leave out those that tell "
            "nothing of bounces, or set BOUNCEKIT_COLUMNS."
        )
