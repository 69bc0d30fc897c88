"""The removal list: as each mail service takes it, safe to open, whole or not there at all."""

from pathlib import Path

import polars as pl
import pytest
from frames import bounces

from bouncekit.errors import BouncekitError
from bouncekit.files import whole_file, without_formulas
from bouncekit.policy import decide
from bouncekit.suppress import SERVICES, write_suppressions

DECISIONS = decide(
    bounces("""
        2025-01-07 09:00 bounce bob@example.org 552 5.2.2 Mailbox full
        2025-01-07 09:00 bounce ann@example.org 550 5.1.1 User unknown
        2025-01-07 09:00 bounce eve@example.org 554 5.7.1 blocked using zen.spamhaus.org
        2025-01-07 09:00 delivery tom@example.org
    """)
)
WHY = (
    "\"The mailbox does not exist, or never did ('user unknown', 550 5.1.1). "
    '1 mailing bounced for it, on 2025-01-07; no delivery to it is known."'
)

# What each service's import page asks for: the headings and the first row.
FILES = {
    "csv": (
        "recipient,category,because,last_bounce,policy",
        f"ann@example.org,unknown_user,{WHY},2025-01-07T09:00:00Z,article",
    ),
    "sendgrid": ("email", "ann@example.org"),
    "mailgun": (
        "address,code,error,created_at",
        f'ann@example.org,550,{WHY},"Tue, 07 Jan 2025 09:00:00 GMT"',
    ),
    "ses": (None, "ann@example.org,BOUNCE"),
    "sparkpost": ("recipient,type,description", f"ann@example.org,non_transactional,{WHY}"),
    "mailchimp": ("Email Address", "ann@example.org"),
    "brevo": ("EMAIL", "ann@example.org"),
    "hubspot": ("Email", "ann@example.org"),
    "klaviyo": ("Email", "ann@example.org"),
    "listmonk": ("email,name,attributes", 'ann@example.org,"",{}'),
}
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"]

every_service = pytest.mark.parametrize("service", SERVICES)


def only(*recipients: str) -> pl.DataFrame:
    """Give decisions that remove these recipients."""
    one = DECISIONS.filter(pl.col("recipient") == "ann@example.org").drop("recipient")
    return pl.DataFrame({"recipient": recipients}, {"recipient": pl.String}).join(one, how="cross")


def test_every_service_has_its_file() -> None:
    assert list(FILES) == list(SERVICES)


@every_service
def test_the_file_is_what_the_service_imports(service: str, tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    write_suppressions(DECISIONS, file, service)
    head = [line for line in FILES[service] if line is not None]
    text = file.read_bytes().decode("utf-8")
    assert text.split("\n")[: len(head)] == head
    assert text.endswith("\n")
    assert [name for name in ("ann", "bob", "eve", "tom") if f"{name}@" in text] == ["ann", "bob"]


@pytest.mark.parametrize("cell", FORMULAS, ids=map(repr, FORMULAS))
def test_no_cell_is_a_formula(cell: str) -> None:
    frame = pl.DataFrame({"text": [cell, "550 = no", None], "number": [-1, -2, -3]})
    assert without_formulas(frame).rows() == [("'" + cell, -1), ("550 = no", -2), (None, -3)]


@every_service
def test_the_changes_since_the_last_list_are_told(service: str, tmp_path: Path) -> None:
    last, now = tmp_path / "last.csv", tmp_path / "now.csv"
    odd = ["+a@example.org", "'b@example.org", '"c, d"@example.org']
    first = write_suppressions(only("ann@example.org", "bob@example.org", *odd), last, service)
    assert set(first["change"]) == {"added"}
    decisions = only("bob@example.org", "kim@example.org", *odd)
    assert dict(write_suppressions(decisions, now, service, previous=last).iter_rows()) == {
        "ann@example.org": "withdrawn",
        "bob@example.org": "kept",
        "kim@example.org": "added",
        **dict.fromkeys(odd, "kept"),
    }


@every_service
def test_a_list_of_nobody_is_a_list(service: str, tmp_path: Path) -> None:
    nobody, now = tmp_path / "nobody.csv", tmp_path / "now.csv"
    assert write_suppressions(only(), nobody, service).is_empty()
    change = write_suppressions(only("ann@example.org"), now, service, previous=nobody)
    assert change.rows() == [("ann@example.org", "added")]
    back = write_suppressions(only(), now, service, previous=now)
    assert back.rows() == [("ann@example.org", "withdrawn")]


def test_what_goes_wrong_halfway_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "remove.csv"
    file.write_text("old")
    with pytest.raises(RuntimeError), whole_file(file) as draft:  # noqa: PT012
        draft.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/remove.csv", "remove.csv: cannot be written there .*; choose another place"),
        ("a_file/remove.csv", "remove.csv: cannot be written there .*; choose another place"),
        ("a_folder", "a_folder: cannot be written .*; nothing was changed"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named(path: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a_file").touch()
    (tmp_path / "a_folder").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BouncekitError, match=words):
        write_suppressions(DECISIONS, tmp_path / path)
    assert sorted(tmp_path.iterdir()) == before


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match="no format for 'sendgird'; use one of csv, sendgrid"):
        write_suppressions(DECISIONS, tmp_path / "remove.csv", "sendgird")


@pytest.mark.parametrize("column", ["recipient", "verdict", "because", "last_bounce"])
def test_a_frame_that_holds_no_decisions_is_refused(column: str, tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=f"no column '{column}'; .* takes what decide"):
        write_suppressions(DECISIONS.drop(column), tmp_path / "remove.csv")
    assert not list(tmp_path.iterdir())


def test_an_earlier_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match=r"last\.csv: not readable as an earlier removal list"):
        write_suppressions(DECISIONS, tmp_path / "now.csv", previous=tmp_path / "last.csv")
    assert not list(tmp_path.iterdir())
