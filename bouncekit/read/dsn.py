"""Read delivery status notifications (RFC 3464, RFC 6533)."""

import re
from collections.abc import Iterator
from datetime import datetime

from bouncekit.read import prose
from bouncekit.read.addresses import in_field, local_part
from bouncekit.read.maildates import parse_time
from bouncekit.read.report import Report, Row
from bouncekit.read.status import Fields, names_recipient, status_records

_EVENT_OF_ACTION = {
    "failed": "bounce",
    "failure": "bounce",
    "delayed": "deferral",
    "delivered": "delivery",
    "deliverable": "delivery",
    "relayed": "delivery",
    "expanded": "delivery",
}
_STATUS_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY_CODE = re.compile(r"(?<![\d.])[45]\d\d(?![\d.])")
_ACTION_ENDS = re.compile(r"[ ();,]")
_COMMENT = re.compile(r"\(([^()]+)\)\s*$")
_TYPE = re.compile(r"^\s*[\w-]*\s*;")
_WORD = re.compile(r"[^\W\d_]{3,}")


def reported(report: Report) -> Iterator[Row]:
    """Delivery status notifications (RFC 3464, RFC 6533), even with their fields in the text."""
    status = report.mail.status
    if not names_recipient(status):
        if not names_recipient(report.notice):
            return
        status = report.notice
    about_message, records = status_records(status)
    for record in records:
        if row := _status_row(record, about_message, report, is_alone=len(records) == 1):
            yield row


def _status_row(
    record: Fields, about_message: Fields, report: Report, *, is_alone: bool
) -> Row | None:
    final = in_field(record.get("final-recipient", ""))
    # Sendmail puts the address as mailed into Final-Recipient if it adds this field.
    actual = in_field(record.get("x-actual-recipient", ""))
    mailed = in_field(record.get("original-recipient", ""), final)
    says_why = _says_why(record.get("diagnostic-code", ""))
    told = _told(final, mailed, report, says_why=says_why, is_alone=is_alone)
    if not mailed:
        mailed = final if actual else _as_mailed(final, told, report) or final
    if not mailed:
        return None
    if told and told.is_certain and "@" not in actual:
        is_other = told.recipient.lower() not in (final.lower(), mailed.lower())
        is_alike = local_part(told.recipient) == local_part(final)
        actual = told.recipient if is_other and is_alike else ""
    action = _ACTION_ENDS.split(record.get("action", "").strip(" ("))[0].lower()
    status = _STATUS_CODE.search(record.get("status", ""))
    code = status[1] if status else None
    event = _EVENT_OF_ACTION.get(action) or _event_of_status(code, report)
    if event == "delivery" or says_why:
        reply = record.get("diagnostic-code", action)
    else:
        reply = _reply(record, told)
    return {
        "event": event,
        "time": _time(record, about_message),
        "recipient": mailed,
        "final_recipient": actual or (final if "@" in final else None),
        "reply": reply or report.excerpt,
        "enhanced_code": None if _is_outdone(code, reply, event) else code,
        "source_class": f"dsn:{action or 'unknown'}/{code or 'unknown'}",
        "remote_mta": _host(record.get("remote-mta", "")) or (told and told.remote_mta) or None,
    }


def _told(
    final: str, mailed: str, report: Report, *, says_why: bool, is_alone: bool
) -> prose.Finding | None:
    """Ask the notice about a recipient where the fields leave reason or address open."""
    if says_why and mailed and not report.tells_alias:
        return None
    notice = report.words
    named = next((a for a in (final, mailed) if a and a.lower() in notice), "")
    is_other_named = is_alone and not mailed and not named
    if says_why and not (is_other_named or report.tells_alias):
        return None
    if not named:
        found = prose.findings(report.notice, report.others)
        if len(found) == 1:
            return found[0]
    return next(iter(prose.findings(report.notice, known=[named or final or mailed])), None)


def _as_mailed(final: str, told: prose.Finding | None, report: Report) -> str:
    """Give the address as it was mailed where another one bounced, if the mail lets it be known."""
    if told and told.as_mailed:
        return told.as_mailed
    if "@" not in final and len(report.failed) == 1:
        return report.failed[0]
    if final in report.to:
        return ""
    if told and told.is_certain and told.recipient.lower() != final.lower():
        is_alike = local_part(told.recipient) == local_part(final)
        return told.recipient if is_alike or report.is_to(told.recipient) else ""
    if not report.only_to:  # a list: its return path may tell the reader
        carried = [address for address in report.carried if address.lower() != final.lower()]
        return carried[0] if len(carried) == len(report.carried) == 1 else ""
    if report.only_to.lower() in map(str.lower, report.carried):
        return report.only_to
    names = ("received", "delivered-to", "x-original-to")
    trace = " ".join(value for name in names for value in report.original.all(name))
    traced = re.search(rf"(?<![\w.+-]){re.escape(report.only_to)}(?![\w.-])", trace, re.I)
    return report.only_to if traced else ""


def _reply(record: Fields, told: prose.Finding | None) -> str:
    """Give the reason where Diagnostic-Code has none: the notice's, the status's comment."""
    comment = _COMMENT.search(record.get("status", ""))
    return (
        (told.reply if told and told.is_certain else "")
        or (comment[1] if comment else "")
        or _with_code(record.get("diagnostic-code", ""))
        or (told.reply if told else record.get("diagnostic-code", ""))
    )


def _with_code(diagnostic: str) -> str:
    """Give a text that has a reply code: less than a reason, but what the server said."""
    return diagnostic if _REPLY_CODE.search(diagnostic) else ""


def _says_why(diagnostic: str) -> bool:
    """True if the text holds a word beyond its type and its codes.

    Domino breaks its lines within words: the notice has them whole.
    """
    if not diagnostic or diagnostic.lower().startswith("x-notes"):
        return False
    kind = _TYPE.match(diagnostic)
    return bool(_WORD.search(diagnostic, kind.end() if kind else 0))


def _is_outdone(code: str | None, reply: str, event: str) -> bool:
    """True if the status is general (x.0.0) and the reply gives an exact code.

    A success (2.0.0) is outdone by any failure.
    """
    if not code or not code.endswith(".0.0"):
        return False
    if code.startswith("2") and event != "delivery":
        return True
    return any(not found.endswith(".0.0") for found in _STATUS_CODE.findall(reply))


def _event_of_status(code: str | None, report: Report) -> str:
    return "delivery" if code and code.startswith("2") else report.failure


def _time(record: Fields, about_message: Fields) -> datetime | None:
    dates = (record.get("last-attempt-date"), record.get("arrival-date"))
    for date in (*dates, about_message.get("arrival-date")):
        if date and (time := parse_time(date)):
            return time
    return None


def _host(value: str) -> str | None:
    return re.split(r"[(\[]", _TYPE.sub("", value))[0].strip().rstrip(".") or None
