"""A masked report names nobody: not in a page, a picture, a list or its own notes."""

import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

PRIVATE = re.compile(r"quillfeather", re.I)
DRAWN = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"pHYs", b"sRGB", b"gAMA", b"tRNS"}


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give type and body of each chunk (PNG, ISO/IEC 15948 §5.3)."""
    at = 8
    while at < len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : end]
        at = end + 4


def pictures(folder: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in folder.rglob("*.png"))
    for page in folder.glob("*.html"):
        yield from map(b64decode, re.findall(r"data:image/png;base64,([^\"]+)", page.read_text()))


def test_nobody_is_named_but_in_the_removal_list(strange_report: Path) -> None:
    named = {
        path.relative_to(strange_report).as_posix()
        for path in strange_report.rglob("*")
        if path.is_file() and PRIVATE.search(path.read_bytes().decode("utf-8", "replace"))
    }
    # It tells whom to remove, and its cells have to be addresses.
    assert named == {"remove.csv"}


def test_pictures_hold_pixels_only(strange_report: Path) -> None:
    seen = list(pictures(strange_report))
    assert len(seen) > 20
    for png in seen:
        assert {kind for kind, _ in chunks(png)} <= DRAWN
        pixels = b"".join(body for kind, body in chunks(png) if kind == b"IDAT")
        assert not PRIVATE.search(zlib.decompress(pixels).decode("latin-1"))


def test_what_was_read_is_told_without_names(strange_report: Path) -> None:
    manifest = json.loads((strange_report / "manifest.json").read_text("utf-8"))
    sources = [file["source"] for file in manifest["files"]]
    assert len(sources) == 2
    assert all("***" in source for source in sources)
    assert (
        "***" in re.findall(r'class="lead">([^<]*)', (strange_report / "index.html").read_text())[0]
    )
