"""Logs are read block by block: where they are cut changes nothing, and little is kept."""

import gzip
import random
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_logs import POSTFIX, written
from test_logs_servers import LOGS

import bouncekit as bk
from bouncekit.errors import BouncekitError
from bouncekit.read import files
from bouncekit.read.logs import READERS, blocks, stream
from bouncekit.read.logs.stream import events_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def told(server: str, cut: list[list[str]]) -> pl.DataFrame:
    """Give the events of a log whose lines come in these blocks."""
    first, numbered = 0, []
    for block in cut:
        numbered.append((first, "".join(f"{line}\n" for line in block).encode()))
        first += len(block)
    return pl.concat(events_of(READERS[server], numbered, lambda events: events))


@pytest.mark.parametrize("server", LOGS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_log_tells_the_same_wherever_it_is_cut(server: str, size: int) -> None:
    lines = LOGS[server].splitlines()
    blocks = [lines[start : start + size] for start in range(0, len(lines), size)]
    assert told(server, blocks).rows() == told(server, [lines]).rows()


# These give an id to one message only, and no line is left out that tells whom it is for.
NEVER_AGAIN = {"Sendmail": ": from=", "Haraka": "[core]"}


@pytest.mark.parametrize("server", LOGS)
@settings(max_examples=25)
@given(data=st.data())
def test_a_log_with_lines_lost_tells_the_same_wherever_it_is_cut(
    server: str, data: st.DataObject
) -> None:
    known = LOGS[server].splitlines()
    if server in NEVER_AGAIN:
        kept = data.draw(st.sets(st.sampled_from(known), min_size=2))
        lines = [line for line in known if line in kept or NEVER_AGAIN[server] in line]
    else:
        lines = data.draw(st.lists(st.sampled_from(known), min_size=2, max_size=25))
    cuts = data.draw(st.sets(st.integers(1, len(lines) - 1)))
    bounds = [0, *sorted(cuts), len(lines)]
    blocks = [lines[start:end] for start, end in pairwise(bounds)]
    assert told(server, blocks).rows() == told(server, [lines]).rows()


GERMAN = POSTFIX.replace("User unknown", "Empfänger unbekannt")
PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd.compress}
ENCODED = ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"]


@pytest.mark.parametrize("packing", ["", *PACKED])
@pytest.mark.parametrize("encoding", ENCODED)
def test_a_log_of_any_encoding_is_read_packed_or_not(
    tmp_path: Path, encoding: str, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    monkeypatch.setattr(files, "CHUNK", 37)
    plain = bk.read(written(tmp_path, GERMAN), year=2025).drop("source")
    data = GERMAN.encode(encoding)
    path = tmp_path / "mail.log.1"
    path.write_bytes(PACKED[packing](data) if packing else data)
    read = bk.read(path, year=2025).drop("source")
    assert read["reply"].to_list()[0] == plain["reply"].to_list()[0]
    assert read.equals(plain)


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_log_that_is_cut_off_is_one_clear_error(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "mail.log.gz"
    path.write_bytes(PACKED[packing](random.Random(1).randbytes(9) + POSTFIX.encode() * 400)[:-9])
    with pytest.raises(BouncekitError, match=f"cut off: its {packing} stream ends early"):
        bk.read(path, source="postfix")


def test_bytes_that_are_not_utf8_far_into_a_log_are_kept(tmp_path: Path) -> None:
    lines = POSTFIX.splitlines(keepends=True)
    path = tmp_path / "mail.log"
    late = (lines[3].replace("User unknown", "Benutzer für immer fort")).encode("cp1252")
    path.write_bytes(POSTFIX.encode() * 30 + late)
    assert "Benutzer für immer fort" in bk.read(path, year=2025)["reply"].to_list()[-1]


def test_of_a_giant_line_the_beginning_is_read(tmp_path: Path) -> None:
    lines = POSTFIX.splitlines(keepends=True)
    giant = lines[3].rstrip("\n").removesuffix(")") + "x" * (3 << 20) + "\n"
    frame = bk.read(written(tmp_path, giant + "".join(lines[4:6]) + "y" * (3 << 20)), year=2025)
    assert frame["line"].to_list() == [1, 2, 3]
    assert frame["recipient"].to_list()[:2] == ["ann@example.org", "list@example.com"]
    length = len(frame["reply"][0])
    assert blocks.LINE_BYTES - 300 < length <= blocks.LINE_BYTES


def test_a_gigabyte_without_a_line_end_is_no_gigabyte_in_memory() -> None:
    chunk = b"x" * files.CHUNK
    held = [len(piece) for piece in blocks._whole_lines(chunk for _ in range(1024))]
    assert held == [blocks.LINE_BYTES]


def test_of_more_mails_than_can_be_remembered_the_events_are_all_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "CARRIED_LINES", 1)
    lines = POSTFIX.splitlines()
    whole = told("Postfix", [lines]).filter(pl.col("source_class") != "postfix:expired")
    forgetful = told("Postfix", [[line] for line in lines])
    columns = ["line", "event", "recipient", "reply"]
    assert set(whole.select(columns).rows()) <= set(forgetful.select(columns).rows())
