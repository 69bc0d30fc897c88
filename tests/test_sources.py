"""Golden rows: an export of each service as it writes it, and the rows that are in it."""

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from bouncekit.errors import BouncekitError
from bouncekit.read import load
from bouncekit.read.stored import store

GOLDEN = json.loads((Path(__file__).parent / "data" / "sources.json").read_text("utf-8"))


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its nulls and its place, as JSON can say it."""
    kept = {k: v for k, v in row.items() if v not in (None, "") and k not in ("source", "line")}
    return {k: v.isoformat() if k == "time" else v for k, v in kept.items()}


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["case"])
def test_an_export_gives_its_rows(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / case.get("file", "export")
    text = case["text"] if isinstance(case["text"], str) else json.dumps(case["text"])
    path.write_bytes(text.encode(case.get("encoding", "utf-8")))
    reading = load(path)
    assert reading.files["name"].to_list() == [case["service"]]
    assert [brief(row) for row in reading.frame.rows(named=True)] == case["rows"]


def workbook(rows: list[list[str]]) -> bytes:
    """The least an .xlsx file can be (ECMA-376): a sheet of inline strings."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cells(row: list[str]) -> str:
        return "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row)

    sheet = "".join(f"<row>{cells(row)}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package'
        '.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{content}.sheet.main+xml"/>'
        f'<Override PartName="/xl/sheet1.xml" ContentType="{content}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="sheet1.xml"/></Relationships>',
        "xl/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    return archive({name: text.encode() for name, text in parts.items()})


def archive(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return data.getvalue()


def test_a_workbook_is_read_like_the_csv_it_could_have_been(tmp_path: Path) -> None:
    rows = [["# June"], ["E-Mail", "Grund"], ["ann@example.org", "550 nein"]]
    (tmp_path / "bounces.xlsx").write_bytes(workbook(rows))
    frame = load(tmp_path / "bounces.xlsx").frame
    assert frame.select("recipient", "reply").rows() == [("ann@example.org", "550 nein")]


def test_an_archive_is_read_like_a_folder_and_its_names_cannot_lead_out(tmp_path: Path) -> None:
    files = {
        "cleaned_members.csv": b"Email Address,CLEAN_TIME\nann@example.org,2024-03-01 10:00:00\n",
        "../../bounces.csv": b"email,reason\nbob@example.org,550 no\n",
        "README.txt": b"Thank you\n",
    }
    (tmp_path / "audience.zip").write_bytes(archive(files))
    reading = load(tmp_path / "audience.zip")
    assert reading.frame["recipient"].to_list() == ["ann@example.org", "bob@example.org"]
    assert reading.frame["source"][0] == f"{tmp_path / 'audience.zip'}/cleaned_members.csv"
    assert reading.files.select("kind", "name").rows() == [("zip", "mailchimp, generic")]


def test_a_mixed_folder_gives_one_frame_and_one_account(tmp_path: Path) -> None:
    (tmp_path / "hook.json").write_text(
        '[{"event":"bounce","email":"ann@example.org","timestamp":1461095250,"sg_event_id":"1"}]'
    )
    (tmp_path / "2023.csv").write_text(
        "E-Mail;Grund;Datum\nbob@example.org;550 nein;19.04.2016 12:00\n"
    )
    (tmp_path / "1.eml").write_text(
        "From: MAILER-DAEMON@example.net\nSubject: failure notice\n"
        "Date: Fri, 21 Oct 2011 11:02:55 +0000\n\n<cid@example.org>:\n550 5.1.1 no such user\n"
    )
    lines = str(load(tmp_path)).splitlines()
    assert lines[1:] == [
        "  files       csv 1, json 1, mail 1",
        "  events      bounce 3",
        "  time        2011-10-21 to 2016-04-19 (UTC)",
        f"  inferred    delimiter a semicolon ({tmp_path}/2023.csv)",
        f"  inferred    time = Datum, recipient = E-Mail, reply = Grund ({tmp_path}/2023.csv)",
        f"  inferred    times without a zone taken as UTC ({tmp_path}/2023.csv)",
    ]


def test_reports_about_mail_are_told_apart_and_other_json_is_left_out(tmp_path: Path) -> None:
    report = b'<?xml version="1.0"?>\n<feedback><report_metadata><org_name>example.net</org_name>'
    (tmp_path / "1.xml").write_bytes(report)
    (tmp_path / "2.xml.gz").write_bytes(gzip.compress(report))
    (tmp_path / "3.zip").write_bytes(archive({"3.xml": report}))
    assert load(tmp_path / "1.xml").frame.is_empty()
    (tmp_path / "package.json").write_text('{"name": "news", "version": "1.0.0"}')
    (tmp_path / "bounces.csv").write_text("email,reason\nann@example.org,550 no\n")
    reading = load(tmp_path)
    assert reading.frame["recipient"].to_list() == ["ann@example.org"]
    assert str(reading).splitlines()[:2] == [
        "Read 1 row from 1 file (generic): 0 could not be read, 0 were duplicates and counted "
        "once, 1 without a time, 3 files of DMARC reports tell of no bounces, "
        f"skipped {tmp_path}/package.json.",
        "  files       dmarc 2, csv 1, skipped 1, zip 1",
    ]
    with pytest.raises(BouncekitError, match="no column of addresses"):
        load(tmp_path / "package.json")


def test_the_account_says_which_files_hold_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("email,reason,date\nann,550 no,03/04/2024\n")
    (tmp_path / "2.csv").write_text("email,reason,date\nbob@example.org,550 no,13/04/2024\n")
    said = str(load(tmp_path)).splitlines()
    assert f"  unreadable  {tmp_path}/1.csv 1" in said
    left_out = "dates such as 03/04/2024 left out, as nothing tells day from month: map time_format"
    assert f"  inferred    {left_out} ({tmp_path}/1.csv)" in said
    assert f"  inferred    day before month in dates such as 03/04/2024 ({tmp_path}/2.csv)" in said


def test_a_source_says_what_makes_two_rows_the_same_event(tmp_path: Path) -> None:
    head = "Email Address,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE\n"
    for name, time in (("1.csv", "2024-03-01 10:00:00"), ("2.csv", "2024-03-01 10:00:01")):
        (tmp_path / name).write_text(f"{head}ann@example.org,{time},Spring\n")
    assert load(tmp_path).duplicates == 1


def test_what_is_stored_is_what_is_read_each_event_once(tmp_path: Path) -> None:
    folder, exports = tmp_path / "stored", tmp_path / "exports"
    folder.mkdir()
    exports.mkdir()
    head = "email,reason,date,campaign\n"
    row = "ann@example.org,550 no,2024-03-01 10:00:00,Spring\n"
    (exports / "1.csv").write_text(head + row + "bob,550 no,,\n")
    (exports / "2.csv").write_text(head + "cid@example.org,551,2024-03-02 10:00:00,\n" + row)
    told: list[int] = []
    account, reading = store(exports, folder=folder, progress=told.append), load(exports)
    assert_frame_equal(account.lazy.collect(), reading.frame)
    assert str(account) == str(reading)
    assert (sum(told), account.duplicates) == (4, 1)
