"""Read bounce messages, complaints and automatic replies into rows of the bounces frame."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from bouncekit.read.addresses import in_header, normal
from bouncekit.read.dsn import reported
from bouncekit.read.feedback import answered, complained, receipts, unsubscribed
from bouncekit.read.mailbox import LARGEST_MAIL
from bouncekit.read.maildates import parse_time
from bouncekit.read.mime import Headers, Mail, read_mail
from bouncekit.read.notification import notified
from bouncekit.read.report import Report, Row
from bouncekit.read.told import addressed, detected, hinted, narrated

# How deep a bounce may be forwarded inside other mails.
FORWARDED_LIMIT = 3
_IN_BRACKETS = re.compile(r"<([^<>]+)>")
_CAMPAIGN = re.compile(
    r"\n(x-(?:[a-z0-9]+-)?(?:campaign|mailing|job|newsletter|issue)(?:[-_]?(?:id|name))?):"
)
_READERS: tuple[Callable[[Report], Iterator[Row]], ...] = (
    complained,
    receipts,
    reported,
    notified,
    unsubscribed,
    answered,
    narrated,
    detected,
    hinted,
)


def parse_message(raw: bytes) -> list[Row]:
    r"""Read one raw mail into rows (keys are columns of BOUNCES), at least one; never raises.

    >>> rows = parse_message(b"From: MAILER-DAEMON@example.net\n\n<a@example.org>:\n550 full")
    >>> rows[0]["event"], rows[0]["recipient"], rows[0]["reply"]
    ('bounce', 'a@example.org', '550 full')
    """
    if len(raw) >= LARGEST_MAIL:
        return [{"event": "unreadable", "reply": f"a mail of {LARGEST_MAIL} bytes or more"}]
    try:
        return events(read_mail(raw))
    except Exception as error:  # one hostile mail must not end the reading of a million others
        return [{"event": "unreadable", "reply": f"{type(error).__name__}: {error}"}]


def events(mail: Mail, depth: int = 0) -> list[Row]:
    """Let each reader try the mail, from the most to the least explicit; the first answer counts.

    A mail that says nothing itself may carry one that does: a forwarded bounce.
    """
    report = Report(mail)
    for reader in _READERS:
        if rows := list(reader(report)):
            return _distinct(_finished(rows, report))
    if depth < FORWARDED_LIMIT and (inner := _inner_mail(report)):
        rows = events(inner, depth + 1)
        if rows[0]["event"] != "unreadable":
            return rows
    unreadable = {"event": "unreadable", "reply": report.excerpt}
    return _finished(list(addressed(report)) or [unreadable], report)


def _inner_mail(report: Report) -> Mail | None:
    """Give the mail inside this one, if there is one."""
    if report.mail.original:
        return read_mail(report.mail.original)
    return read_mail(report.quoted.encode()) if report.original.first("from") else None


def _finished(rows: list[Row], report: Report) -> list[Row]:
    """Complete rows with what is on every row of a mail, and write their addresses alike."""
    common = _common(report.original)
    return [_completed(common | row, report) for row in rows]


def _completed(row: Row, report: Report) -> Row:
    row["time"] = row.get("time") or report.time
    for name in ("recipient", "final_recipient", "sender"):
        row[name] = normal(row.get(name))
    if row["final_recipient"] == row["recipient"]:
        row["final_recipient"] = None
    return row


def _common(original: Headers) -> Row:
    """What the headers of the original put on every row."""
    sender = in_header(original, "from") or in_header(original, "return-path")
    return {
        "sender": sender[0] if sender else None,
        "message_id": original.first("message-id").strip("<> ") or None,
        "mailing": _mailing(original),
    }


def _mailing(original: Headers) -> str | None:
    """Name the mailing: a campaign header, else the list or feedback id with the day of sending.

    List-Id (RFC 2919) and Feedback-ID name a list or a stream: only the day tells its mailings
    apart.
    """
    campaign = original.first(named[1]) if (named := _CAMPAIGN.search(original.lower)) else ""
    stream = original.first("list-id") or original.first("feedback-id")
    if campaign or not stream:
        return campaign or None
    if in_brackets := _IN_BRACKETS.search(stream):
        stream = in_brackets[1]
    sent = parse_time(original.first("date"))
    return f"{stream} {sent.date()}" if sent else stream


def _distinct(rows: list[Row]) -> list[Row]:
    """Drop a recipient's second row in the same report: reporters repeat themselves."""
    if len(rows) == 1:
        return rows
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        seen.setdefault((row["event"], row["recipient"], row["final_recipient"]), row)
    return list(seen.values())
