"""Find the files a user names, unpack them and turn their bytes into UTF-8 text."""

import bz2
import gzip
import lzma
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob, has_magic
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

from bouncekit.errors import BouncekitError
from bouncekit.files import refuse_bytes
from bouncekit.read.bounds import joined

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD = 64 * 1024  # bytes that are looked at to recognise a file
CHUNK = 1 << 20  # bytes of a packed file that are unpacked at once
HOLE = bytes(16)  # a log begins with one whose server wrote on where it was when it was emptied
PACKINGS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "bzip2": re.compile(rb"BZh[1-9]1AY&SY"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}

# The code pages spreadsheets and mail services still write, the commonest first: a free
# choice among all that exist mistakes short German text for Turkish or Macintosh text.
CODE_PAGES = [
    *("cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949", "koi8_r"),
]


class NotOursError(BouncekitError):
    """A file that is nothing bouncekit reads: an error only where the user named it."""


@dataclass(frozen=True)
class Found:
    """One file (or Maildir folder) to read; `named` where the user named this very path."""

    path: Path
    named: bool


@dataclass(frozen=True)
class Peek:
    """The unpacked first bytes of a file, how it is packed, and whether they are all of it."""

    head: bytes
    packing: str  # "", or a name in PACKINGS
    whole: bool


def is_maildir(path: Path) -> bool:
    """True where a folder is a Maildir (https://cr.yp.to/proto/maildir.html)."""
    return (path / "cur").is_dir() and (path / "new").is_dir()


def find(paths: Sequence[str | Path]) -> list[Found]:
    """Files behind paths, folders (searched deep) and globs: each once, in a stable order.

    Raises BouncekitError where a path or glob leads nowhere.
    """
    if not paths:
        raise BouncekitError("There is nothing to read: name a file, a folder or a glob.")
    found: dict[Path, Found] = {}
    for path in paths:
        for each in _behind(path):
            refuse_bytes(each.path)
            found.setdefault(each.path.resolve(), each)
    return list(found.values())


def at_home(path: str | Path) -> Path:
    """A path with the home folder for its `~`, unless there is a file of that name.

    `~$list.xlsx` is what Excel leaves beside a workbook that is open.
    """
    place = Path(path)
    with suppress(RuntimeError):  # there is no such user
        return place if place.exists() else place.expanduser()
    return place


def _behind(path: str | Path) -> Iterator[Found]:
    place = at_home(path)
    if place.is_dir():
        yield from _inside(place)
    elif place.exists():
        yield Found(place, named=True)
    elif has_magic(str(place)):
        matches = sorted(glob(str(place), recursive=True))  # noqa: PTH207 - Path.glob refuses absolute patterns
        if not matches:
            raise BouncekitError(f"No file matches {path}: check the folder and the ending.")
        for match in map(Path, matches):
            yield from _inside(match) if match.is_dir() else [Found(match, named=False)]
    else:
        raise BouncekitError(f"{path} does not exist: check the spelling and the folder.")


def _inside(folder: Path) -> Iterator[Found]:
    """Files below a folder in order of their names, without hidden ones; Maildirs whole."""
    if is_maildir(folder):
        yield Found(folder, named=False)
        return
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise BouncekitError(
            f"{folder} cannot be opened ({error.strerror}): change its rights, or name the exports "
            "themselves."
        ) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not entry.is_symlink():  # a link back up would never end
                yield from _inside(entry)
        elif entry.is_file():
            yield Found(entry, named=False)


def unmapped(source: Path | bytes) -> str | bytes:
    """A path for `pl.scan_ndjson`, where a name alone would be a pattern and its file be mapped.

    A mapped file that somebody cuts meanwhile ends the process (SIGBUS, mmap(2)).
    """
    return source.absolute().as_uri() if isinstance(source, Path) else source


def peek(path: Path) -> Peek:
    """The first HEAD bytes of a file, unpacked where its magic bytes say how it is packed.

    Raises BouncekitError where the file can't be opened or its packing is broken.
    """
    if path.exists() and not path.is_file():
        raise BouncekitError(
            f"{path} is a pipe or a device, which can be read only once: save what it gives to a "
            "file first."
        )
    try:
        with path.open("rb") as file:
            head = file.read(HEAD + 1)
    except OSError as error:
        reason = error.strerror or error
        raise BouncekitError(f"{path} cannot be opened ({reason}): check its rights.") from None
    packing = next((name for name, magic in PACKINGS.items() if magic.match(head)), "")
    if packing:
        with _open(path, packing) as unpacked:
            head = unpacked.read(HEAD + 1)
    whole = len(head) <= HEAD
    if head.startswith(HOLE):
        head = head.lstrip(b"\0")
    return Peek(head[:HEAD], packing, whole=whole)


def unpack(path: Path, packing: str) -> bytes:
    """All bytes of a file, unpacked."""
    return joined(path, bool(packing), packed_chunks(path, packing))


def packed_chunks(path: Path, packing: str) -> Iterator[bytes]:
    """All bytes of a file, unpacked chunk by chunk. Raises BouncekitError where it is broken."""
    with _open(path, packing) as file:
        while chunk := file.read(CHUNK):
            yield chunk


@contextmanager
def _open(path: Path, packing: str) -> Iterator[BufferedIOBase | BinaryIO]:
    """Open a file for reading, unpacked; say of broken packing how it is broken."""
    try:
        with path.open("rb") as packed, _unpacked(packed, packing) as file:
            yield file
    except EOFError:
        raise cut_off(path, packing) from None
    except (OSError, zlib.error, zstd.ZstdError, lzma.LZMAError) as error:
        broken = f"its {packing} data is broken" if packing else f"it cannot be read ({error})"
        raise BouncekitError(f"{path} is damaged: {broken}; copy it again.") from None


def _unpacked(packed: BinaryIO, packing: str) -> BufferedIOBase | BinaryIO:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=packed)
    if packing == "bzip2":
        return bz2.BZ2File(packed)
    if packing == "xz":
        return lzma.LZMAFile(packed)
    return zstd.ZstdFile(packed) if packing == "zstd" else packed


def cut_off(path: Path, packing: str) -> BouncekitError:
    """The error for a packed file that ends before its stream does."""
    return BouncekitError(f"{path} is cut off: its {packing} stream ends early; copy it again.")


def encoding(sample: bytes) -> str:
    """Name of the encoding of text, from its first bytes.

    A byte order mark decides; then zero bytes (Microsoft 365 writes UTF-16 without a mark);
    then whether it is UTF-8; else the likeliest code page of the lines that are not ASCII.

    >>> encoding("получатель;причина".encode("cp1251"))
    'cp1251'
    >>> encoding("email,reason".encode("utf-16-le"))
    'utf-16-le'
    """
    if sample.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if is_wide(sample):
        return "utf-16-le" if _zeros(sample[1:512:2]) > _zeros(sample[:512:2]) else "utf-16-be"
    if _is_utf8(sample):
        return "utf-8"
    return code_page(sample)


def is_wide(sample: bytes) -> bool:
    """True for UTF-16, told by its byte order mark or by every other byte being zero."""
    marked = sample.startswith((b"\xff\xfe", b"\xfe\xff"))
    return marked or max(_zeros(sample[1:512:2]), _zeros(sample[:512:2])) > 0.6


def _zeros(data: bytes) -> float:
    return data.count(0) / max(len(data), 1)


def as_text(data: bytes) -> str:
    r"""All text of a file.

    UTF-8 with a few stray bytes stays UTF-8: these are shown as \\xfc, and harm nothing else.

    >>> as_text("größer\nfüllig\n".encode() + b"voll \xfc")
    'größer\nfüllig\nvoll \\xfc'
    """
    return data.decode(text_encoding(data), "backslashreplace")


def text_encoding(data: bytes) -> str:
    """Name of the encoding of text that may hold a few stray bytes, from all of it."""
    name = encoding(data[:HEAD])
    if name.startswith("utf-16"):
        return name
    telling = [line for line in data.split(b"\n") if not line.isascii()]
    if 4 * sum(map(_is_utf8, telling)) >= len(telling):  # no code page reads as UTF-8 by chance
        return "utf-8-sig"
    return code_page(data)


def code_page(text: bytes) -> str:
    """The likeliest code page of text that is not UTF-8, judged on its lines beyond ASCII."""
    telling = b"\n".join(line for line in text.split(b"\n") if not line.isascii())[:HEAD]
    import charset_normalizer  # slow to load, and hardly any export needs it

    guesses = charset_normalizer.from_bytes(telling, cp_isolation=CODE_PAGES)
    best = guesses.best()
    if best is None:
        return CODE_PAGES[0]
    tied = {
        name
        for guess in guesses
        if (guess.chaos, guess.coherence) == (best.chaos, best.coherence)
        for name in guess.could_be_from_charset
    }
    return next(name for name in CODE_PAGES if name in tied)


def _is_utf8(sample: bytes) -> bool:
    """True for UTF-8, even where a full head ends inside a character."""
    try:
        sample.decode()
    except UnicodeDecodeError as error:
        return len(sample) >= HEAD and error.reason == "unexpected end of data"
    return True
