"""Plain texts: a list of replies, a notice without its mail, and what is neither."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

import bouncekit as bk
from bouncekit.errors import BouncekitError
from bouncekit.read.logs import blocks

Rows = list[tuple[str | None, str | None, str | None, int | None]]

LISTS: dict[str, tuple[str, Rows]] = {
    "replies": (
        "550 5.1.1 <ann@example.org>: User unknown\n\n452 4.2.2 mailbox full\n250 2.0.0 ok\n",
        [
            ("bounce", "ann@example.org", "550 5.1.1 <ann@example.org>: User unknown", 1),
            ("deferral", None, "452 4.2.2 mailbox full", 3),
            ("delivery", None, "250 2.0.0 ok", 4),
        ],
    ),
    "addresses before them": (
        "ann@example.org: 550 no such user\nBo@EXAMPLE.org,552 5.2.2 full\r\n",
        [
            ("bounce", "ann@example.org", "550 no such user", 1),
            ("bounce", "Bo@example.org", "552 5.2.2 full", 2),
        ],
    ),
    "replies of several lines": (
        "550-5.7.1 Your mail\n550 5.7.1 was refused.\n550 5.1.1 no user\n  of that name here\n",
        [
            ("bounce", None, "550-5.7.1 Your mail\n550 5.7.1 was refused.", 1),
            ("bounce", None, "550 5.1.1 no user\n  of that name here", 3),
        ],
    ),
}

QUEUE = """\
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
4F2A1B3C89     1234 Sun Feb  2 10:30:00  news@example.com
(host mx.example.org[192.0.2.9] said: 421 4.7.0 too many connections
    from your IP (in reply to RCPT TO command))
                                         ann@example.org
                                         bob@example.org
               (connect to mx.example.net[192.0.2.8]:25: Connection timed out)
                                         cy@example.net

5F2A1B3C90*     293 Sun Feb  2 10:31:00  news@example.com
                                         dee@example.org

-- 2 Kbytes in 2 Requests.
"""
OUTLOOK = """\
Your message did not reach some or all of the intended recipients.

Subject: June
Sent: 6/5/2010 8:12 PM

The following recipient(s) could not be reached:

'ann@example.org' on 6/5/2010 8:12 PM
550 Error: mailbox unavailable
"""
PHPMAILER = """\
2024-03-01 10:00:00\tCLIENT -> SERVER: RCPT TO:<ann@example.org>
2024-03-01 10:00:01\tSERVER -> CLIENT: 550 5.1.1 No such user here
2024-03-01 10:00:01\tSMTP ERROR: RCPT TO command failed: 550 5.1.1 No such user here
"""


def saved(folder: Path, text: str) -> Path:
    (folder / "saved.txt").write_bytes(text.encode())
    return folder / "saved.txt"


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_replies_is_read_line_by_line(name: str, tmp_path: Path) -> None:
    text, rows = LISTS[name]
    frame = bk.read(saved(tmp_path, text))
    assert frame.select("event", "recipient", "reply", "line").rows() == rows


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (OUTLOOK, "550 Error: mailbox unavailable"),
        (PHPMAILER, "550 5.1.1 No such user here"),
    ],
    ids=["Outlook", "PHPMailer"],
)
def test_the_text_of_a_bounce_is_read_without_its_mail(
    text: str, reply: str, tmp_path: Path
) -> None:
    frame = bk.read(saved(tmp_path, text))
    assert frame.select("event", "recipient", "reply").rows() == [
        ("bounce", "ann@example.org", reply)
    ]


def test_other_texts_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(BouncekitError, match="no column of addresses"):
        bk.read(saved(tmp_path, "Dear Ann,\n\nthe 550 of us are coming on Monday.\n"))


def test_in_a_folder_a_text_that_quotes_a_bounce_is_left_alone(tmp_path: Path) -> None:
    saved(tmp_path, OUTLOOK)
    (tmp_path / "export.csv").write_text("email,reason\nbo@example.org,550 no\n")
    assert bk.read(tmp_path)["recipient"].to_list() == ["bo@example.org"]


def test_who_waits_in_a_queue_has_the_reason_above(tmp_path: Path) -> None:
    rows = bk.read(saved(tmp_path, QUEUE)).select("event", "recipient", "reply", "sender", "line")
    many = "host mx.example.org[192.0.2.9] said: 421 4.7.0 too many connections from your IP (in "
    out = "connect to mx.example.net[192.0.2.8]:25: Connection timed out"
    assert rows.rows() == [
        ("deferral", "ann@example.org", many + "reply to RCPT TO command)", "news@example.com", 5),
        ("deferral", "bob@example.org", many + "reply to RCPT TO command)", "news@example.com", 6),
        ("deferral", "cy@example.net", out, "news@example.com", 8),
        ("deferral", "dee@example.org", "", "news@example.com", 11),
    ]


@pytest.mark.parametrize("size", [1, 40, 100, 200])
@pytest.mark.parametrize(
    "text", [QUEUE * 2, "550-a\n\n550 b\n" * 3, *(text * 3 for text, _ in LISTS.values())]
)
def test_where_a_text_is_cut_into_blocks_changes_nothing(
    text: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain.txt").write_text(text)
    whole = bk.scan(tmp_path / "plain.txt").collect()
    monkeypatch.setattr(blocks, "BLOCK_BYTES", size)
    assert_frame_equal(bk.scan(tmp_path / "plain.txt").collect(), whole)


LOGS = {
    "of a server that nobody knows": (
        "2026-03-04T09:12:00Z INFO delivered to=ann@example.org code=250 2.1.5 ok\n"
        "2026-03-04T09:12:01Z INFO refused to=bob@example.org said: 550 5.1.1 no such user\n"
        "2026-03-04T09:12:02Z INFO delivered to=cy@example.org code=250 2.1.5 ok\n"
    ),
    "of a Windows server": (
        "#Software: Microsoft Exchange Server\n#Fields: date-time,event,data,context\n"
        "2026-03-04T09:12:00Z,>,RCPT TO:<ann@example.org>,\n"
        "2026-03-04T09:12:01Z,<,550 5.1.1 no such user,\n"
        "2026-03-04T09:12:02Z,>,RCPT TO:<bob@example.org>,\n"
        "2026-03-04T09:12:03Z,<,250 2.1.5 ok,\n"
    ),
    "of journald, an entry in many lines": (
        "Wed 2026-03-04 09:12:00.1 CET [s=ab;i=1]\n    PRIORITY=6\n"
        "    SYSLOG_IDENTIFIER=mailer/smtp\n"
        "    MESSAGE=sent to <ann@example.org>, 550 5.1.1 for <bob@example.org>\n"
    ),
}


@pytest.mark.parametrize("log", LOGS)
def test_a_log_that_no_reader_knows_is_no_bounce(log: str, tmp_path: Path) -> None:
    (path := tmp_path / "saved.log").write_text(LOGS[log], encoding="utf-8")
    with pytest.raises(BouncekitError, match="looks like a log of a server that bouncekit does"):
        bk.read(path)
