"""Forged bounces: signed return paths, and a flood of them that removes nobody."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_hostile import run

from bouncekit.classify import classify
from bouncekit.errors import BouncekitError
from bouncekit.policy import decide
from bouncekit.read import load, read
from bouncekit.read.addresses import in_verp
from bouncekit.sent import match_sent, unmatched
from bouncekit.verp import LONGEST, ReturnPath, sign, verify

KEY = "a secret of the sender's"
DAY = date(2024, 5, 1)
LISTS = "news@lists.example.net"
LOCAL = st.from_regex(r"[a-z0-9][a-z0-9.+=_'/!#-]{0,20}", fullmatch=True)
HOST = st.from_regex(r"[a-z]{1,9}\.(org|example)", fullmatch=True)
ADDRESS = st.builds("{}@{}".format, LOCAL, HOST)


@given(ADDRESS, st.dates(date(1971, 1, 1), date(2200, 1, 1)), st.sampled_from("+-"))
def test_what_was_signed_is_verified_and_says_to_whom(
    recipient: str, day: date, delimiter: str
) -> None:
    path = sign(recipient, LISTS, KEY, sent_on=day, delimiter=delimiter)
    assert verify(path, KEY, as_of=day) == ReturnPath(recipient, day)
    assert verify(f"<{path.upper()}>", KEY, as_of=day) is not None
    assert verify(path, "another", as_of=day) is None


@given(ADDRESS, st.integers(0, 200), st.characters(codec="ascii"))
def test_one_changed_letter_is_another_path(recipient: str, at: int, letter: str) -> None:
    path = sign(recipient, LISTS, KEY, sent_on=DAY)
    at %= len(path)
    changed = path[:at] + letter + path[at + 1 :]
    found = verify(changed, KEY, as_of=DAY)
    assert (found is not None) == (changed.strip("<> ").lower() == path.lower())


@pytest.mark.parametrize(("days", "is_good"), [(-2, False), (-1, True), (14, True), (15, False)])
def test_a_path_is_good_for_two_weeks(days: int, is_good: bool) -> None:
    path = sign("ann@example.org", LISTS, KEY, sent_on=DAY)
    found = verify(path, KEY, as_of=DAY + timedelta(days=days))
    assert (found is not None) == is_good


@pytest.mark.parametrize("delimiter", "+-")
def test_a_reader_without_the_key_finds_the_recipient_too(delimiter: str) -> None:
    path = sign("ann@example.org", "a-list@example.net", KEY, sent_on=DAY, delimiter=delimiter)
    assert in_verp(path) == "ann@example.org"


@pytest.mark.parametrize(
    ("recipient", "return_path", "key", "words"),
    [
        ("ann@example.org", LISTS, "", "key for return paths is empty"),
        ('"ann lee"@example.org', LISTS, KEY, "cannot stand in a return path"),
        ("ann", LISTS, KEY, "cannot stand in a return path"),
        ("a" * 40 + "@example.org", LISTS, KEY, f"longer than {LONGEST} octets"),
        ("ann@example.org\r\nRCPT TO:<x@example.org>", LISTS, KEY, "cannot stand"),
    ],
)
def test_what_cannot_be_signed_is_told(
    recipient: str, return_path: str, key: str, words: str
) -> None:
    with pytest.raises(BouncekitError, match=words):
        sign(recipient, return_path, key, sent_on=DAY)


def mail(recipient: str, to: str, original: str = "", when: str = "3 May 2024") -> str:
    """Write a delivery status notification, as an mbox has it."""
    return (
        "From MAILER-DAEMON Fri May  3 09:00:00 2024\n"
        "From: MAILER-DAEMON@mx.example.org\n"
        f"To: {to}\n"
        f"Date: Fri, {when} 09:00:00 +0000\n"
        "Subject: Undelivered Mail Returned to Sender\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\n\nYour mail was not delivered.\n\n"
        "--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; mx.example.org\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: User unknown\n\n"
        f"--b\nContent-Type: text/rfc822-headers\n\nSubject: News\n{original}\n--b--\n\n"
    )


def path_of(name: str, day: date = DAY) -> str:
    return sign(f"{name}@example.org", LISTS, KEY, sent_on=day)


# A mail, and what its row is with the key: recipient, and whether it is unmatched.
MAILS = {
    "to a signed path": (mail("ann@example.org", path_of("ann")), ("ann", False)),
    "in the original": (
        mail("ann@example.org", LISTS, f"Return-Path: <{path_of('ann')}>\n"),
        ("ann", False),
    ),
    "in capitals": (mail("ann@example.org", path_of("ann").upper()), ("ann", False)),
    "forwarded": (mail("elsewhere@example.com", path_of("ann")), ("ann", False)),
    "unsigned": (mail("ann@example.org", LISTS), ("ann", True)),
    "another key's": (
        mail("ann@example.org", sign("ann@example.org", LISTS, "guessed", sent_on=DAY)),
        ("ann", True),
    ),
    "too old": (mail("ann@example.org", path_of("ann", date(2024, 3, 1))), ("ann", True)),
    "a reader's own path in a bounce of somebody else": (
        mail("victim@example.org", path_of("mallory")),
        ("mallory", False),
    ),
    "two paths": (
        mail("victim@example.org", f"{path_of('mallory')}, {path_of('ann')}"),
        ("victim", True),
    ),
}


@pytest.mark.parametrize(("text", "row"), MAILS.values(), ids=MAILS)
def test_a_bounce_needs_a_return_path_that_was_signed(
    text: str, row: tuple[str, bool], tmp_path: Path
) -> None:
    (mbox := tmp_path / "mbox").write_text(text)
    (found,) = read(mbox, verp_key=KEY).rows(named=True)
    assert (found["recipient"], found["unmatched"]) == (f"{row[0]}@example.org", row[1])
    assert "unmatched" not in read(mbox).columns


def test_tables_and_packed_mails_are_judged_alike(tmp_path: Path) -> None:
    import gzip
    import zipfile

    forged = mail("ann@example.org", LISTS)
    (tmp_path / "mbox.gz").write_bytes(gzip.compress(forged.encode()))
    with zipfile.ZipFile(tmp_path / "mails.zip", "w") as archive:
        archive.writestr("mbox", forged.replace("ann@", "bob@"))
    for name in ("sue", "tim"):  # neighbours are read at once
        (tmp_path / f"{name}.eml").write_text(forged.replace("ann@", f"{name}@"))
    (tmp_path / "table.csv").write_text("email,reason\neve@example.org,550 5.1.1 User unknown\n")
    frame = load(tmp_path, verp_key=KEY.encode()).frame
    assert frame.filter("unmatched")["recipient"].sort().to_list() == [
        "ann@example.org",
        "bob@example.org",
        "sue@example.org",
        "tim@example.org",
    ]
    assert frame["unmatched"].null_count() == 0
    alone = read(tmp_path / "table.csv", verp_key=KEY)
    assert alone["unmatched"].to_list() == [False]


READERS = 300
GONE = 5


@pytest.fixture(scope="module")
def flood(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder of what was sent, deliveries, true bounces and forged ones of each kind."""
    folder = tmp_path_factory.mktemp("flood")
    people = [f"reader{n}@example.org" for n in range(READERS)]
    ids = {person: f"{n}.20240501@news.example.net" for n, person in enumerate(people)}
    sent = pl.DataFrame({"email": people, "message_id": list(ids.values())})
    sent.write_csv(folder / "sent.csv")
    when = datetime(2024, 5, 1, 9, tzinfo=UTC).isoformat()
    rows = [f"{when},delivered,{person},250 ok" for person in people[GONE:]]
    (folder / "deliveries.csv").write_text("\n".join(["timestamp,event,email,reason", *rows, ""]))
    (folder / "true.mbox").write_text(
        "".join(
            mail(person, path_of(person.partition("@")[0]), f"Message-ID: <{ids[person]}>\n")
            for person in people[:GONE]
        )
    )
    originals = [
        "",
        "Message-ID: <made-up-{n}@news.example.net>\n",
        f"Message-ID: <{ids[people[0]]}>\n",
    ]
    (folder / "forged.mbox").write_text(
        "".join(
            mail(person, LISTS, originals[n % 3].format(n=n), when=f"{3 + n % 20} May 2024")
            for n, person in enumerate(people[GONE:])
        )
    )
    return folder


def removed(frame: pl.DataFrame) -> list[str]:
    found = decide(classify(frame) if "category" not in frame.columns else frame)
    return found.filter(pl.col("verdict") == "remove")["recipient"].to_list()


def true_ones() -> list[str]:
    return [f"reader{n}@example.org" for n in range(GONE)]


def test_a_flood_removes_nobody_where_it_is_known_what_was_sent(flood: Path) -> None:
    marked = match_sent(classify(read(flood)), flood / "sent.csv")
    assert isinstance(marked, pl.DataFrame)
    assert removed(marked) == true_ones()
    (row,) = unmatched(marked).rows(named=True)
    assert row["event"] == "bounce"
    assert row["category"] == "unknown_user"
    assert row["events"] == row["recipients"] == READERS - GONE
    assert row["share"] == pytest.approx((READERS - GONE) / READERS)


def test_a_flood_removes_nobody_where_return_paths_are_signed(flood: Path) -> None:
    assert removed(read(flood, verp_key=KEY)) == true_ones()


def test_who_has_not_been_compared_with_anything_has_no_report(flood: Path) -> None:
    with pytest.raises(BouncekitError, match="no column 'unmatched'"):
        unmatched(classify(read(flood / "true.mbox")))


def test_a_flood_trips_the_brake_where_nothing_is_known(
    flood: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "remove.csv"
    mails = [flood / name for name in ("deliveries.csv", "true.mbox", "forged.mbox")]
    assert run("decide", *mails, "-o", out) == 2
    assert "more than 30%; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_tells_of_a_flood_and_lets_it_pass(
    flood: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (key := tmp_path / "key").write_text(f"{KEY}\n")
    mails = [flood / name for name in ("deliveries.csv", "true.mbox", "forged.mbox")]
    for option, file in (("--verp-key", key), ("--sent", flood / "sent.csv")):
        out = tmp_path / "remove.csv"
        assert run("decide", *mails, "-o", out, "--service", "sendgrid", option, file) == 0
        assert out.read_text().split() == ["email", *true_ones()]
        said = capsys.readouterr().out
        assert "295 events matched nothing that was sent." in said
        assert (
            "UNMATCHED: unknown_user (bounce) at example.org: 295 events, 98% of all such, "
            "for 295 recipients, 2024-05-03 to 2024-05-22." in said
        )
    (key := tmp_path / "empty").write_text("\n")
    assert run("decide", *mails, "-o", out, "--verp-key", key) == 2
    assert "holds no key" in capsys.readouterr().err
