"""Unpack ZIP archives of exports, such as the audience Mailchimp gives."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shutil import disk_usage

from bouncekit.drafts import scratch
from bouncekit.errors import BouncekitError
from bouncekit.read.bounds import check_unpacked

MEMBERS = 10_000


@contextmanager
def unzipped(path: Path) -> Iterator[list[tuple[str, Path]]]:
    """Names of an archive's files and where each is unpacked, for as long as the context lasts.

    Raises BouncekitError where the archive is damaged, locked, or grows beyond all measure.
    """
    with scratch() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                members = list(_members(path, archive, folder))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError):
            raise BouncekitError(
                f"{path} is damaged: its ZIP data is broken; copy it again."
            ) from None
        yield members


def _members(path: Path, archive: zipfile.ZipFile, folder: Path) -> Iterator[tuple[str, Path]]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MEMBERS:
        raise BouncekitError(
            f"{path} holds {len(members):,} files, more than {MEMBERS:,}: unpack it yourself."
        )
    size = sum(member.file_size for member in members)
    check_unpacked(path, size)
    if size > (free := disk_usage(folder).free):
        raise BouncekitError(
            f"{path} unpacks to {size:,} bytes, and {folder.parent} has room for {free:,}: make "
            "room, or set TMPDIR to a folder that has."
        )
    for number, member in enumerate(members):
        name = PurePosixPath(member.filename)
        if name.name.startswith(".") or "__MACOSX" in name.parts:
            continue
        if member.flag_bits & 1:
            raise BouncekitError(f"{path} is locked with a password: unpack it first.")
        # Named by us: a member may be called anything, such as ../../x.
        place = folder / str(number) / Path(name.name).name
        place.parent.mkdir()
        with archive.open(member) as packed, place.open("wb") as unpacked:
            while chunk := packed.read(2**20):
                unpacked.write(chunk)
        yield str(name), place
