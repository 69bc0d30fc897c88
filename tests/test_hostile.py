"""What strangers write, in every output that is no page: it stays text, a cell, a line."""

import csv
import json
import re
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from payloads import FORGED, FORMULAS, PATHS, PAYLOADS, TERMINAL

from bouncekit import cli
from bouncekit.classify import classify
from bouncekit.explain import explain
from bouncekit.files import in_html, one_line, with_formulas, without_formulas
from bouncekit.formats import formats
from bouncekit.policy import decide
from bouncekit.read import load, read
from bouncekit.suppress import write_suppressions

every_payload = pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
CELLS = st.text(st.sampled_from("=+-@＝＠'\" ;,|\t\r\na\u200b\ufeff"), max_size=12) | st.text()


def pieces(cell: str) -> list[str]:
    """Cut a cell as spreadsheets of any locale may, and strip what they don't look at."""
    cut = [part for sep in ",;|\t\r\n" for part in cell.split(sep)]
    return [part.lstrip(' \t\r\n"\xa0\u200b\ufeff\x00') for part in [cell, *cut]]


def is_run(cell: str) -> bool:
    """True if some spreadsheet would run some part of the cell, or strip what it begins with."""
    signs = tuple("=+-@＝＋－＠")
    return cell.startswith(("\t", "\r", "\n")) or any(p.startswith(signs) for p in pieces(cell))


def cells(file: Path) -> list[str]:
    with file.open(encoding="utf-8", newline="") as text:
        return [cell for row in csv.reader(text) for cell in row]


@pytest.mark.parametrize("cell", FORMULAS.values(), ids=FORMULAS)
def test_every_formula_is_one_before_and_none_after(cell: str) -> None:
    safe = without_formulas(pl.DataFrame({"cell": [cell]}))["cell"]
    assert is_run(cell) or cell[:1] == "'"
    assert not is_run(safe[0])
    assert with_formulas(safe)[0] == cell


@given(st.lists(CELLS, max_size=20))
def test_no_cell_is_run_and_each_comes_back(texts: list[str]) -> None:
    safe = without_formulas(pl.DataFrame({"cell": texts}, {"cell": pl.String}))["cell"]
    assert [cell for cell in safe if is_run(cell)] == []
    assert with_formulas(safe).to_list() == texts


def test_numbers_and_plain_replies_are_left_alone() -> None:
    frame = pl.DataFrame({"text": ["550 = no", "550-5.1.1 a@b.example", None], "n": [-1, -2, -3]})
    assert without_formulas(frame).rows() == frame.rows()


@every_payload
def test_a_printed_line_stays_one_line_of_visible_text(payload: str) -> None:
    line = one_line(payload)
    assert line.isprintable()
    assert FORGED not in line.splitlines()


@every_payload
def test_html_of_a_text_is_that_text_and_nothing_else(payload: str) -> None:
    from xml.etree import ElementTree

    page = ElementTree.fromstring(f"<p>{in_html(one_line(payload))}</p>")
    assert "".join(page.itertext()) == one_line(payload)
    assert {element.tag for element in page.iter()} <= {"p", "span"}
    # MathJax takes delimiters within one text node only.
    assert [t for t in page.itertext() if len(t) > 1 and ("$" in t or "\\" in t)] == []


def export(folder: Path, name: str = "events.json") -> Path:
    """Write an export with each payload as reply, campaign, sender and in an address."""
    rows = [
        {
            "timestamp": f"2024-05-{day:02}T09:00:00Z",
            "event": event,
            "email": f"reader.{number}@example.org",
            "reason": f"550 5.1.1 User unknown {payload} {number}" if number % 2 else payload,
            "campaign": payload,
            "smtp-id": f"<{payload}>",
        }
        for number, payload in enumerate(PAYLOADS.values())
        for day, event in ((1, "bounce"), (2, "bounce"))
    ]
    rows += [
        {
            "timestamp": "2024-05-01T09:00:00Z",
            "event": "bounce",
            "email": email,
            "reason": "550 no such user",
        }
        for email in ADDRESSES
    ]
    (file := folder / name).write_text(json.dumps(rows), encoding="utf-8")
    return file


# Addresses that SMTP allows (RFC 5321 §4.1.2), some of them only in quotes.
ADDRESSES = [
    "=1+1@example.org",
    "+ann@example.org",
    "-ann@example.org",
    "=cmd|'/c'!A1@example.org",
    '"=hyperlink(a1)"@example.org',
    '"<script>alert(1)</script>"@example.org',
    "'or'1'='1@example.org",
    "$x$@example.org",
]


def run(*arguments: str | Path) -> int:
    """Run the command line in this process; give its exit code."""
    sys.argv = ["bouncekit", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_classify_writes_no_formula_and_its_file_reads_back_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = export(tmp_path), tmp_path / "out.csv"
    assert run("classify", before, "-o", out) == 0
    assert [cell for cell in cells(out) if is_run(cell)] == []
    columns = ["recipient", "reply", "mailing", "message_id"]
    assert read(out).select(columns).rows() == read(before).select(columns).rows()
    assert all(c.isprintable() for line in capsys.readouterr().out.splitlines() for c in line)


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return decide(classify(read(export(tmp_path_factory.mktemp("hostile")))))


@pytest.mark.parametrize("service", formats())
def test_no_removal_list_holds_what_a_spreadsheet_runs(
    service: str, decisions: pl.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "remove.csv"
    write_suppressions(decisions, out, service)
    text = out.read_text(encoding="utf-8")
    assert "+ann@example.org" in text
    told = json.loads((tmp_path / "remove.csv.manifest.json").read_text(encoding="utf-8"))
    if service == "csv":
        assert [cell for cell in cells(out) if is_run(cell)] == []
        assert told["counts"]["no_address"] == 0
        return
    left_out = [name for name in ("cmd|", "hyperlink") if name in text]
    assert left_out == []
    assert told["counts"]["no_address"] == 2
    if formats()[service].kind == "csv":
        # What is left is an address that begins with a sign: a sum at the most.
        run_cells = {cell for cell in cells(out) if is_run(cell)}
        assert run_cells <= {"=1+1@example.org", "+ann@example.org", "-ann@example.org"}


@pytest.mark.parametrize("payload", TERMINAL.values(), ids=TERMINAL)
def test_explain_prints_no_line_of_the_replys_own(
    payload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", f"550 {payload}\n  category      unknown_user: forged") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if line.startswith("  category ")]) == 1


def test_explain_in_a_notebook_is_text() -> None:
    html = explain("550 " + " ".join(PAYLOADS.values()))._repr_html_()
    assert set(re.findall(r"<(\w+)", html)) == {"pre", "table", "tr", "th", "td", "span"}
    assert not re.search(r"[$\\](?!</span>)", html)


# File names that this system lets be; each holds an export.
NAMES = {
    name: text.replace("/", "_").replace("\x00", "")[:80] + ".csv"
    for name, text in {**TERMINAL, **PATHS}.items()
}
EXPORT = "email,reason\nann@example.org,550 5.1.1 User unknown\n"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_may_be_called_anything(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for other in ("x.csv", "bx.csv"):  # what `*[!a]?.csv` would match
        (tmp_path / other).write_text(EXPORT * 5)
    (folder := tmp_path / "in").mkdir()
    for other in ("x.csv", "bx.csv"):
        (folder / other).write_text("a,b\n")
    (folder / name).write_text(EXPORT)
    out = tmp_path / "out.parquet"
    assert run("classify", f"{folder}/{name}", "-o", out) == 0
    assert pl.read_parquet(out).height == 1
    (folder / name).write_text("")
    assert run("classify", f"{folder}/{name}", "-o", out) == 2
    said = capfd.readouterr()
    for line in (said.out + said.err).split("\n"):
        assert line.isprintable()
        assert not line.startswith(FORGED)
    assert len(said.err.splitlines()) == 1
    assert not Path("taken").exists()


@pytest.mark.parametrize("ending", ["ndjson", "log", "mbox", "csv.gz"])
def test_a_name_is_no_pattern(ending: str, tmp_path: Path) -> None:
    import gzip

    texts = {
        "ndjson": '{"email": "%s@example.org", "reason": "550 5.1.1 User unknown"}\n' * 2,
        "log": "May  1 09:00:00 mx postfix/smtp[12]: 4F1A2B3C4D: to=<%s@example.org>, relay=none, "
        "delay=1, dsn=5.1.1, status=bounced (550 5.1.1 User unknown)\n",
        "mbox": "From - Wed May  1 09:00:00 2024\nFrom: MAILER-DAEMON@example.net\n"
        "Subject: failure notice\n\n<%s@example.org>:\n550 5.1.1 User unknown\n\n",
        "csv.gz": "email,reason\n%s@example.org,550 5.1.1 User unknown\n",
    }
    for name, who in ((f"a*b.{ending}", "ann"), (f"axb.{ending}", "bob")):
        text = texts[ending].replace("%s", who).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if ending == "csv.gz" else text)
    found = load(tmp_path / f"a*b.{ending}").frame["recipient"].unique().to_list()
    assert found == ["ann@example.org"]


def test_a_member_of_an_archive_cannot_leave_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    names = [*PATHS.values(), "..", "../..", "a/../../b.csv", "x" * 200 + ".csv", "line\nbreak.csv"]
    with zipfile.ZipFile(place / "export.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(name, EXPORT.replace("ann", f"ann{number}"))
    before = sorted(tmp_path.rglob("*"))
    found = load(place / "export.zip")
    assert found.frame.height == len(names) - 3  # what begins with a dot is hidden
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/srv/taken").exists()


def test_a_manifest_cannot_have_files_deleted(decisions: pl.DataFrame, tmp_path: Path) -> None:
    (keep := tmp_path / "keep.csv").write_text("x")
    (deeper := tmp_path / "in").mkdir()
    forged = [{"file": name} for name in ("../keep.csv", str(keep), "keep.csv", "remove-1.csv/..")]
    (deeper / "remove.csv.manifest.json").write_text(json.dumps({"files": forged}))
    (deeper / "keep.csv").write_text("x")
    write_suppressions(decisions, deeper / "remove.csv")
    assert keep.exists()
    assert (deeper / "keep.csv").exists()


def test_a_name_that_is_no_text_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good := tmp_path / "good.csv").write_text(EXPORT)
    (bad := tmp_path / "caf\udce9.csv").write_text(EXPORT)
    for command, of, to in (("classify", bad, tmp_path / "o.csv"), ("decide", good, bad)):
        assert run(command, of, "-o", to) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.endswith("its name is not UTF-8; rename it.")
    mail = b"From: MAILER-DAEMON@example.net\n\n<ann@example.org>:\n550 5.1.1 User unknown"
    for sub in ("cur", "new"):
        (tmp_path / "Maildir" / sub).mkdir(parents=True)
    (tmp_path / "Maildir" / "new" / "1.caf\udce9").write_bytes(mail)
    (source,) = load(tmp_path / "Maildir").frame["source"]
    assert source.endswith("1.caf\\xe9")


def test_an_error_names_a_hostile_file_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", tmp_path / f"no\n{FORGED}\x1b[2J.csv", "-o", tmp_path / "o.csv") == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.isprintable()
