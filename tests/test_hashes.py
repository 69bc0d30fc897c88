"""A list of hashes: it grows, it names nobody, and it is asked before a mailing."""

import re
from pathlib import Path

import polars as pl
import pytest
from frames import bounces
from test_hostile import run

from bouncekit.errors import BouncekitError
from bouncekit.hashes import add_hashes, hashed, is_listed
from bouncekit.mask import mask
from bouncekit.policy import decide

KEY = "a secret"
DECISIONS = decide(
    bounces("""
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:00 bounce bob@example.org 552 5.2.2 Mailbox full
        2025-01-07 09:00 delivery eve@example.org
    """)
)


def test_it_knows_whom_it_lists_however_they_are_written(tmp_path: Path) -> None:
    assert add_hashes(DECISIONS, tmp_path / "kept.csv", KEY) == 2
    asked = pl.Series(["Ann@EXAMPLE.org ", "eve@example.org", "bob@example.org", None])
    assert is_listed(asked, tmp_path / "kept.csv", KEY).to_list() == [True, False, True, None]
    assert not is_listed(asked, tmp_path / "kept.csv", "another key").any()


def test_it_names_nobody(tmp_path: Path) -> None:
    add_hashes(DECISIONS, tmp_path / "kept.csv", KEY)
    heading, *lines = (tmp_path / "kept.csv").read_text().splitlines()
    assert heading == "recipient_hash,category,last_bounce"
    assert all(re.fullmatch(r"[0-9a-f]{64},[a-z_]+,2025-01-07", line) for line in lines)
    pseudonym = mask(DECISIONS, KEY)["recipient"][0].removeprefix("u_").partition("@")[0]
    assert pseudonym not in (tmp_path / "kept.csv").read_text()


def test_it_grows_and_forgets_nobody(tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    add_hashes(DECISIONS.filter(pl.col("recipient") == "ann@example.org"), kept, KEY)
    assert add_hashes(DECISIONS, kept, KEY) == 1
    before = kept.read_bytes()
    assert add_hashes(DECISIONS, kept, KEY) == 0
    assert add_hashes(DECISIONS.clear(), kept, KEY) == 0
    assert kept.read_bytes() == before


@pytest.mark.parametrize("text", ["email\nann@example.org\n", "", "\x00\xff"])
def test_another_file_is_neither_asked_nor_overwritten(text: str, tmp_path: Path) -> None:
    (other := tmp_path / "other.csv").write_text(text)
    with pytest.raises(BouncekitError, match=r"other\.csv: (is no|not readable as a) list of hash"):
        add_hashes(DECISIONS, other, KEY)
    assert other.read_text() == text


def test_a_key_is_needed() -> None:
    with pytest.raises(BouncekitError, match="key for hashes is empty"):
        hashed(DECISIONS["recipient"], "")


def test_decide_keeps_hashes_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (export := tmp_path / "export.csv").write_text("email,reason\nann@example.org,550 5.1.1 gone\n")
    (key := tmp_path / "key").write_text(KEY)
    kept, out = tmp_path / "kept.csv", tmp_path / "remove.csv"
    assert run("decide", export, "-o", out, "--hashes", kept) == 2
    assert "--hash-key" in capsys.readouterr().err
    assert run("decide", export, "-o", out, "--hashes", kept, "--hash-key", key) == 0
    assert f"Added 1 hash to {kept}." in capsys.readouterr().out
    assert is_listed(pl.Series(["ann@example.org"]), kept, KEY).all()
