"""Files and folders that appear whole or not at all, whatever ends the run that writes them."""

import ctypes
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from platform import node
from secrets import token_hex
from typing import BinaryIO

from bouncekit.errors import BouncekitError
from bouncekit.files import refuse_bytes

_HERE = re.sub(r"[^\w.]", "_", node()) or "here"
_RUN = token_hex(4)  # in a container each run may have the same number of process
_NUMBERS = count()
_OPEN_STREAM = re.compile(r"/dev/(?:fd/(?P<number>[0-9]{1,4})|(?P<name>stdout|stderr))")
_NUMBER_OF = {"stdout": 1, "stderr": 2}
_AT_FOLDER, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the place of `path` if all went well.

    A link stays one, and the file it leads to is replaced; a device or pipe is written to. What
    is replaced keeps its rights. Raises BouncekitError where the file cannot be written.
    """
    refuse_bytes(Path(path))
    if is_stream(Path(path)):
        with scratch() as folder, _told(Path(path)):
            yield folder / Path(path).name
            with _opened(Path(path)) as stream:
                stream.write((folder / Path(path).name).read_bytes())
        return
    target = Path(os.path.realpath(path))
    draft = _begun(target, Path(path))
    try:
        with _told(Path(path)):
            yield draft
            _onto_disk(draft)
            draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """True for a device or a pipe, and for the name of a stream that is open: /dev/stdout."""
    is_open = _OPEN_STREAM.fullmatch(str(path)) is not None
    return path.exists() and not path.is_dir() and (is_open or not path.is_file())


def _opened(path: Path) -> BinaryIO:
    """Open a stream to write on where it is: to open `> list.csv` anew would begin it again."""
    named = _OPEN_STREAM.fullmatch(str(path))
    if named is None:
        return path.open("wb")
    sys.stdout.flush()
    return os.fdopen(os.dup(int(named["number"] or _NUMBER_OF[named["name"]])), "wb")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; it takes the place of `path` if all went well.

    Raises BouncekitError where the folder cannot be written.
    """
    target = Path(os.path.realpath(path))
    with _told(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target.parent, f".{target.name}")
        draft = target.parent / _name(f".{target.name}")
        draft.mkdir()
    try:
        with _told(path):
            yield draft
            if not target.exists():
                draft.replace(target)
            else:
                _exchange(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder for as long as the context lasts; those that killed runs left are deleted.

    Raises BouncekitError where there is no place for it.
    """
    place = Path(tempfile.gettempdir())
    _clear(place, "bouncekit")
    folder = place / _name("bouncekit")
    try:
        folder.mkdir(mode=0o700)
    except OSError as problem:
        raise BouncekitError(
            f"{place}: cannot be written to ({problem.strerror}); set TMPDIR to another folder."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _begun(target: Path, named: Path) -> Path:
    """Make an empty draft with the rights that the finished file is to have."""
    draft = target.parent / _name(f".{target.name}")
    if target.is_dir():  # told now: of several files the first would have been replaced by then
        raise BouncekitError(f"{named}: cannot be written (it is a folder); nothing was changed.")
    try:
        _clear(target.parent, f".{target.name}")
        draft.touch(exist_ok=False)
        if target.is_file():
            draft.chmod(target.stat().st_mode & 0o777)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise BouncekitError(
            f"{named}: cannot be written there ({problem.strerror}); choose another place."
        ) from None
    return draft


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of a file that cannot be written why, and that it is as it was."""
    try:
        yield
    except BrokenPipeError:  # nobody reads on, which is no trouble
        raise
    except OSError as problem:
        reason = problem.strerror or str(problem).partition("\n")[0]
        raise BouncekitError(f"{path}: cannot be written ({reason}); it is as it was.") from None


def _onto_disk(draft: Path) -> None:
    """A name must not reach the disk before what it names (fsync(2))."""
    with draft.open("rb") as file:
        os.fsync(file.fileno())


def _exchange(draft: Path, target: Path) -> None:
    """Put one folder in the place of another; where the system can, in one step."""
    with suppress(AttributeError, OSError):  # no Linux; a file system that cannot
        names = os.fsencode(draft), os.fsencode(target)
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        if renameat2(_AT_FOLDER, names[0], _AT_FOLDER, names[1], _EXCHANGE) == 0:
            return
    before = target.parent / _name(f".{target.name}")
    target.replace(before)
    draft.replace(target)
    shutil.rmtree(before, ignore_errors=True)


def _name(begin: str) -> str:
    """A name that tells the machine and the process it belongs to."""
    return f"{begin}.{_HERE}.{os.getpid()}.{_RUN}.{next(_NUMBERS)}"


def _clear(folder: Path, begin: str) -> None:
    """Delete what processes of this machine left that were killed."""
    # Polars may write a draft under a name of its own first: with a number behind a hash.
    ours = re.compile(rf"{re.escape(begin)}\.{re.escape(_HERE)}\.(\d+)\.(\w+)\.\d+(?:#\d+)?")
    with suppress(OSError):
        for left in [entry for entry in folder.iterdir() if ours.fullmatch(entry.name)]:
            match = ours.fullmatch(left.name)
            if match is None or _is_alive(int(match[1]), match[2]) or not _is_mine(left):
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_mine(path: Path) -> bool:
    return os.name == "posix" and path.lstat().st_uid == os.getuid()


def _is_alive(process: int, run: str) -> bool:
    if process == os.getpid():
        return run == _RUN
    if os.name != "posix":  # there 0 is a signal like others
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
