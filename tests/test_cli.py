"""The command line, as users call it: in a process of its own."""

import gzip
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

DATA = Path(__file__).parent.parent / "data"

EXPORT = """status,reason,email,created
5.1.1,550 5.1.1 User unknown,gone@example.org,1704067200
5.2.2,552 5.2.2 Mailbox full,full@example.org,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",ann@example.net,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",ben@example.net,1704067200
5.7.1,"554 5.7.1 Client host [192.0.2.7] blocked using zen.spamhaus.org",eve@example.net,1704067200
"""


def bouncekit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bouncekit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "suppression_bounces.csv"
    path.write_text(EXPORT, encoding="utf-8")
    return path


def test_explain_says_category_fault_action_and_what_decided() -> None:
    done = bouncekit("explain", "550 5.1.1 <ann@example.org>: User unknown")
    assert done.returncode == 0
    for said in ("unknown_user", "recipient", "remove", "user unknown", "550:", "5.1.1:"):
        assert said in done.stdout


def test_explain_takes_a_reply_without_quotes() -> None:
    done = bouncekit("explain", "550", "Mailbox", "full")
    assert "mailbox_full" in done.stdout


def test_a_reply_cannot_steer_the_terminal() -> None:
    done = bouncekit("explain", "550 \x1b[2J\x1b]0;owned\x07 user unknown")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


@pytest.mark.parametrize("code", ["550", "5.1.1", "4.2.2", "5.7.515"])
def test_codes_says_what_a_code_means_and_what_to_do(code: str) -> None:
    done = bouncekit("codes", code)
    assert done.returncode == 0
    assert done.stdout.startswith(code)
    assert "what to do" in done.stdout


def test_codes_without_a_code_lists_both_kinds() -> None:
    listed = bouncekit("codes").stdout
    assert "\n554 " in listed
    assert "\nX.1.1 " in listed


def test_classify_writes_as_many_rows_as_it_read(export: Path, tmp_path: Path) -> None:
    for name in ("out.parquet", "out.csv"):
        done = bouncekit("classify", export, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "5 rows" in done.stdout
    assert pl.read_parquet(tmp_path / "out.parquet").height == 5
    assert pl.read_csv(tmp_path / "out.csv")["category"].to_list()[0] == "unknown_user"


def test_decide_writes_the_list_and_tells_what_was_read_and_what_is_to_fix(
    export: Path, tmp_path: Path
) -> None:
    done = bouncekit("decide", export, "--service", "sendgrid", "-o", tmp_path / "remove.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "remove.csv").read_text() == "email\nfull@example.org\ngone@example.org\n"
    assert "Read 5 rows from 1 file" in done.stdout
    assert "remove 2, keep 3" in done.stdout
    assert "blocklisted on Spamhaus ZEN" in done.stdout
    assert "WARNING: that removes 40%" in done.stdout


def test_decide_tells_what_changed_since_the_last_list(export: Path, tmp_path: Path) -> None:
    last = tmp_path / "last.csv"
    last.write_text("email\ngone@example.org\nold@example.org\n")
    done = bouncekit("decide", export, "--previous", last, "-o", tmp_path / "remove.csv")
    assert "1 added, 1 kept, 1 withdrawn." in done.stdout


def not_there(folder: Path) -> Path:
    return folder / "nothing.csv"


def empty(folder: Path) -> Path:
    (path := folder / "empty.csv").touch()
    return path


def binary(folder: Path) -> Path:
    (path := folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    return path


def without_addresses(folder: Path) -> Path:
    (path := folder / "sales.csv").write_text("day,amount\n2024-01-01,3\n2024-01-02,4\n")
    return path


def cut_off(folder: Path) -> Path:
    whole = gzip.compress((EXPORT * 200).encode())
    (path := folder / "export.csv.gz").write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize("command", ["classify", "decide"])
@pytest.mark.parametrize("make", [not_there, empty, binary, without_addresses, cut_off])
def test_bad_input_is_one_sentence_and_writes_nothing(
    make: object, command: str, tmp_path: Path
) -> None:
    assert callable(make)
    path = make(tmp_path)
    output = tmp_path / "out.csv"
    done = bouncekit(command, path, "-o", output)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("bouncekit: ")
    assert done.stderr.count("\n") == 1
    assert path.name in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decide", "{export}", "-o", "{out}", "--policy", "harsh"], "no policy 'harsh'"),
        (["decide", "{export}", "-o", "{out}", "--service", "pigeon"], "no format for 'pigeon'"),
        (["classify", "{export}", "-o", "{out}.xlsx"], "ends in .parquet or .csv"),
        (["decide", "{export}", "-o", "{out}/no/folder.csv"], "choose another place"),
        (["decide", "{export}", "-o", "{out}", "--map", "recipient"], "--map recipient=Mail"),
        (["codes", "55"], "'55'"),
        (["explain", " "], "no reply to explain"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_wrong_option_is_one_sentence_with_the_way_out(
    arguments: list[str], said: str, export: Path, tmp_path: Path
) -> None:
    filled = [a.format(export=export, out=tmp_path / "out.csv") for a in arguments]
    done = bouncekit(*filled)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_output_may_be_cut_short_by_the_next_program() -> None:
    command = f"{sys.executable} -m bouncekit codes | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("2")
    assert done.stderr == ""
