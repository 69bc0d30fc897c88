"""Read bounce messages, complaints and automatic replies into rows of the bounces frame."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from bouncekit.read import prose, wording
from bouncekit.read.addresses import (
    ADDRESS,
    addresses,
    in_field,
    in_header,
    in_verp,
    local_part,
    normal,
)
from bouncekit.read.mailbox import LARGEST_MAIL
from bouncekit.read.mime import Headers, Mail, field_list, fields, read_mail
from bouncekit.read.status import Fields, names_recipient, status_records

Row = dict[str, Any]

# How much of a mail's text is kept as `reply` where nothing in it is a reason, in characters.
EXCERPT_LIMIT = 500
# How deep a bounce may be forwarded inside other mails.
FORWARDED_LIMIT = 3

_EVENT_OF_ACTION = {
    "failed": "bounce",
    "failure": "bounce",
    "delayed": "deferral",
    "delivered": "delivery",
    "deliverable": "delivery",
    "relayed": "delivery",
    "expanded": "delivery",
}
# RFC 5965 §7.3. auth-failure (RFC 6591) is a DMARC report on somebody's mail in the sender's name;
# not-spam is a reader who took the mail out of the spam folder.
_EVENT_OF_FEEDBACK = {"auth-failure": "auto_reply", "not-spam": "engagement"}
# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
_EVENT_OF_NOTIFICATION = {
    "bounce": ("bounce", "bouncedRecipients"),
    "complaint": ("complaint", "complainedRecipients"),
    "delivery": ("delivery", "recipients"),
    "deliverydelay": ("deferral", "delayedRecipients"),
}

# It reports each mail that one of its detectors trips over, with a traceback; without a handler
# that would reach the terminal.
logging.getLogger("flufl.bounce").addHandler(logging.NullHandler())

_NOTIFICATION = re.compile("notificationType|eventType")
_STATUS_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
# How nearly all mails write the time; the standard library reads all the ways there are, slowly.
_PLAIN_TIME = re.compile(
    r"(?:[A-Z][a-z]{2}, {1,2})?(\d{1,2}) ([A-Z][a-z]{2}) ((?:19|20)\d\d) (\d\d):(\d\d):(\d\d) "
    r"([+-])([01]\d)([0-5]\d)(?: \([A-Z]{2,5}\))?",
    re.ASCII,
)
_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = {_MONTH_NAMES[at : at + 3]: at // 4 + 1 for at in range(0, 48, 4)}
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_ACTION_ENDS = re.compile(r"[ ();,]")
_COMMENT = re.compile(r"\(([^()]+)\)\s*$")
_TYPE = re.compile(r"^\s*[\w-]*\s*;")
_WORD = re.compile(r"[^\W\d_]{3,}")
_IN_BRACKETS = re.compile(r"<([^<>]+)>")
_CARRIED_FOR = re.compile(rf"\bfor\s+<({ADDRESS})>", re.I)
_CAMPAIGN = re.compile(
    r"\n(x-(?:[a-z0-9]+-)?(?:campaign|mailing|job|newsletter|issue)(?:[-_]?(?:id|name))?)[ \t]*:"
)


@dataclass(frozen=True)
class Report:
    """A mail as the readers see it: notice and original apart, each read once and when asked."""

    mail: Mail

    @cached_property
    def notice(self) -> str:
        """What the notice says, without the original that is quoted below it."""
        return self._split[0]

    @cached_property
    def quoted(self) -> str:
        """The original that is quoted below the notice."""
        return self._split[1]

    @cached_property
    def _split(self) -> tuple[str, str]:
        return prose.split_original(self.mail.notice)

    @cached_property
    def original(self) -> Headers:
        """The headers of the returned original, be it attached or quoted."""
        return self.mail.original_headers or fields(_BLANK_LINE.split(self.quoted, maxsplit=1)[0])

    @cached_property
    def time(self) -> datetime | None:
        """When the mail was written."""
        return parse_time(self.mail.headers.first("date"))

    @cached_property
    def is_bounce(self) -> bool:
        """True if a mail system wrote the mail and it tells of a failure.

        People quote bounces too: what they write is none, whatever its words.
        """
        writer, subject = self.mail.headers.first("from"), self.mail.subject
        if self.failed or wording.DAEMON.search(writer):
            return True
        is_failure = bool(wording.FAILURE.search(subject))
        is_from_system = (
            self.mail.is_report
            or bool(wording.MAIL_SYSTEM.search(writer))
            or self.mail.headers.first("return-path") == "<>"
            or (is_failure and not wording.CONVERSATION.match(subject))
        )
        return is_from_system and (
            is_failure
            or bool(wording.FAILURE.search(self.notice))
            or prose.quotes_reply(self.notice)
        )

    @cached_property
    def failure(self) -> str:
        """The event of a recipient that did not get the mail: for good, or not yet."""
        subject = self.mail.subject.lower()
        if wording.DELAY_IN_SUBJECT.search(subject) or wording.DELAY.search(self.words):
            return "deferral"
        return "bounce"

    @cached_property
    def words(self) -> str:
        """The notice in lower case."""
        return self.notice.lower()

    @cached_property
    def tells_alias(self) -> bool:
        """True if the notice says which address an address was made of."""
        aliases = ("(expanded from", "(generated from")
        written = self.mail.notice.lower()  # with the original: to look there first is quicker
        return any(alias in written and alias in self.words for alias in aliases)

    @cached_property
    def failed(self) -> list[str]:
        """The addresses of X-Failed-Recipients (Exim, Gmail)."""
        return in_header(self.mail.headers, "x-failed-recipients")

    @cached_property
    def others(self) -> set[str]:
        """Addresses that are rather sender or reporter than recipient, in lower case."""
        own = ("from", "to", "cc", "reply-to", "return-path", "delivered-to", "x-original-to")
        fields = [value for name in own for value in self.mail.headers.all(name)]
        originals = ("from", "return-path", "reply-to")
        fields += [value for name in originals for value in self.original.all(name)]
        return {address.lower() for address in addresses("\n".join(fields))}

    @cached_property
    def excerpt(self) -> str:
        """The subject and the beginning of the text."""
        return f"{self.mail.subject}\n{self.mail.notice[:EXCERPT_LIMIT]}".strip() or "an empty mail"


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
    return _finished(list(_addressed(report)) or [unreadable], report)


def parse_time(text: str) -> datetime | None:
    """Read an RFC 5322 date as UTC; None where it is none.

    >>> parse_time("Thu, 29 Apr 2010 23:34:45 +0900 (JST)")
    datetime.datetime(2010, 4, 29, 14, 34, 45, tzinfo=datetime.timezone.utc)
    """
    if plain := _PLAIN_TIME.fullmatch(text):
        day, month, year, hour, minute, second, sign, hours, minutes = plain.groups()
        east = timedelta(hours=int(hours), minutes=int(minutes))
        numbers = (int(year), _MONTHS.get(month, 0), int(day), int(hour), int(minute), int(second))
        try:
            return datetime(*numbers, tzinfo=UTC) + (east if sign == "-" else -east)
        except (ValueError, OverflowError):
            return None
    try:
        time = parsedate_to_datetime(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


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
    return f"{stream} {sent:%Y-%m-%d}" if sent else stream


# The readers: each gives the rows it is sure of, or none.


def _notified(report: Report) -> Iterator[Row]:
    """Amazon SES notifications that SNS delivers by mail: JSON in the text."""
    text = report.mail.notice
    if "{" not in text:
        return
    text = text.replace("!\n ", "")  # how Sendmail breaks overlong lines
    start = text.find("{")
    if not _NOTIFICATION.search(text):
        return
    try:
        told, _ = json.JSONDecoder(strict=False).raw_decode(text, start)
        told = json.loads(told["Message"], strict=False) if "Message" in told else told
        yield from list(_notification_rows(told))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return


def _notification_rows(told: dict[str, Any]) -> Iterator[Row]:
    kind = str(told.get("notificationType") or told["eventType"])
    event, key = _EVENT_OF_NOTIFICATION[kind.lower()]
    body = told[kind[:1].lower() + kind[1:]]
    verdict = [str(body[name]) for name in ("bounceType", "bounceSubType") if name in body]
    for recipient in body[key]:
        about = recipient if isinstance(recipient, dict) else {"emailAddress": recipient}
        yield {
            "event": event,
            "time": datetime.fromisoformat(body["timestamp"]).astimezone(UTC),
            "recipient": str(about["emailAddress"]),
            "reply": str(about.get("diagnosticCode") or body.get("smtpResponse") or kind),
            "enhanced_code": about.get("status"),
            "source_class": "ses:" + ("/".join(verdict) or kind),
            "sender": told["mail"].get("source"),
            "message_id": told["mail"].get("messageId"),
        }


def _complained(report: Report) -> Iterator[Row]:
    """Feedback reports (RFC 5965), and complaints that only attach the mail complained about."""
    feedback = fields(report.mail.feedback)
    kind = feedback.first("feedback-type").lower()
    told_by_receiver = in_header(report.original, "x-hmxmroriginalrecipient")
    is_plain = told_by_receiver or (
        report.original and wording.COMPLAINT_IN_SUBJECT.match(report.mail.subject)
    )
    if not kind and not is_plain:
        return
    kind = kind or "abuse"
    recipients: list[str] | list[None] = (
        in_header(feedback, "original-rcpt-to")
        or in_header(feedback, "removal-recipient")
        or told_by_receiver
        or in_header(report.original, "to")
        or [None]
    )
    time = feedback.first("arrival-date") or feedback.first("received-date")
    # A report on a mail to several people does not say who of them complained.
    shared = f"/one-of-{len(recipients)}" if len(recipients) > 1 else ""
    for recipient in recipients:
        yield {
            "event": _EVENT_OF_FEEDBACK.get(kind, "complaint"),
            "time": parse_time(time),
            "recipient": recipient,
            "reply": (kind == "auth-failure" and report.mail.subject) or report.excerpt,
            "source_class": f"arf:{kind}{shared}",
            "sending_ip": _ip(feedback.first("source-ip")),
        }


def _receipt(report: Report) -> Iterator[Row]:
    """Disposition notifications (RFC 8098): the mail was shown, or dealt with unseen."""
    told = fields(report.mail.receipt)
    if not told:
        return
    disposition = told.first("disposition").lower()
    recipient = in_header(told, "original-recipient") or in_header(told, "final-recipient")
    yield {
        "event": "engagement" if "displayed" in disposition else "auto_reply",
        "recipient": recipient[0] if recipient else None,
        "reply": disposition or report.excerpt,
        "source_class": "mdn:" + disposition.rpartition(";")[2].strip(),
    }


def _reported(report: Report) -> Iterator[Row]:
    """Delivery status notifications (RFC 3464, RFC 6533), even with their fields in the text."""
    status = report.mail.status
    if not names_recipient(status):
        status = report.notice if names_recipient(report.notice) else ""
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
    told = _told(final, mailed, record, report, is_alone=is_alone)
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
    reply = _reply(record, told) if event != "delivery" else record.get("diagnostic-code", action)
    return {
        "event": event,
        "time": _time(record, about_message),
        "recipient": mailed,
        "final_recipient": actual or (final if "@" in final else None),
        "reply": reply or report.excerpt,
        "enhanced_code": None if _is_outdone(code, reply) else code,
        "source_class": f"dsn:{action or 'unknown'}/{code or 'unknown'}",
        "remote_mta": _host(record.get("remote-mta", "")) or (told.remote_mta if told else None),
    }


def _told(
    final: str, mailed: str, record: Fields, report: Report, *, is_alone: bool
) -> prose.Finding | None:
    """Ask the notice about a recipient where the fields leave reason or address open."""
    says_why = _says_why(record.get("diagnostic-code", ""))
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
    to = in_header(report.original, "to")
    if final in to:
        return ""
    if told and told.is_certain and told.recipient.lower() != final.lower():
        is_alike = local_part(told.recipient) == local_part(final)
        return told.recipient if is_alike or _is_to(told.recipient, report) else ""
    if len(to) != 1 or "cc" in report.original or _is_list(to[0], report.original):
        return ""
    names = ("received", "delivered-to", "x-original-to")
    trace = " ".join(value for name in names for value in report.original.all(name))
    return to[0] if re.search(rf"(?<![\w.+-]){re.escape(to[0])}(?![\w.-])", trace, re.I) else ""


def _reply(record: Fields, told: prose.Finding | None) -> str:
    """Give the reason: Diagnostic-Code, the notice about this recipient, the status's comment."""
    diagnostic = record.get("diagnostic-code", "")
    if _says_why(diagnostic):
        return diagnostic
    comment = _COMMENT.search(record.get("status", ""))
    return (
        (told.reply if told and told.is_certain else "")
        or (comment[1] if comment else "")
        or (told.reply if told else diagnostic)
    )


def _says_why(diagnostic: str) -> bool:
    """True if the text holds a word beyond its type and its codes.

    Domino breaks its lines within words: the notice has them whole.
    """
    return not diagnostic.lower().startswith("x-notes") and bool(
        _WORD.search(_TYPE.sub("", diagnostic))
    )


def _is_outdone(code: str | None, reply: str) -> bool:
    """True if the status is general (x.0.0) and the reply gives an exact code."""
    if not code or not code.endswith(".0.0"):
        return False
    return any(not found.endswith(".0.0") for found in _STATUS_CODE.findall(reply))


def _event_of_status(code: str | None, report: Report) -> str:
    return "delivery" if code and code.startswith("2") else report.failure


def _time(record: Fields, about_message: Fields) -> datetime | None:
    dates = (record.get("last-attempt-date"), record.get("arrival-date"))
    return next(
        (t for d in (*dates, about_message.get("arrival-date")) if d and (t := parse_time(d))), None
    )


def _unsubscribed(report: Report) -> Iterator[Row]:
    """Mails to a List-Unsubscribe address that a reader's mail program wrote (RFC 2369)."""
    is_request = report.mail.subject.strip().lower() in ("unsubscribe", "remove")
    if "x-apple-unsubscribe" in report.mail.headers or (is_request and not report.is_bounce):
        yield _from_writer("unsubscribe", report)


def _answered(report: Report) -> Iterator[Row]:
    """Automatic replies (RFC 3834) and those that only their subject gives away."""
    headers, subject = report.mail.headers, report.mail.subject
    if report.failed or wording.MAIL_SYSTEM.search(headers.first("from")):
        return
    says_so = (
        headers.first("auto-submitted").lower().startswith(("auto-replied", "auto-notified"))
        or "x-autoreply" in headers
        or "x-autorespond" in headers
        or headers.first("precedence").lower() in ("auto_reply", "auto-reply")
        or headers.first("x-autogenerated").lower() == "reply"
    )
    is_failure = wording.FAILURE.search(subject)
    if wording.AWAY_IN_SUBJECT.match(subject) or (says_so and not is_failure):
        yield _from_writer("auto_reply", report)


def _narrated(report: Report) -> Iterator[Row]:
    """Bounces whose notice tells, by its layout, who did not get the mail."""
    yield from (row for row, is_certain in _told_rows(report) if is_certain)


def _detected(report: Report) -> Iterator[Row]:
    """Bounces that Mailman's collection of detectors knows."""
    if not report.is_bounce or not report.notice:
        return
    from email import message_from_string

    from flufl.bounce import all_failures

    pairs = field_list(report.mail.headers.block)
    lines = [f"{name}: {value}" for name, value in pairs if name != "content-transfer-encoding"]
    text = "\n".join([*lines, "", report.mail.notice])
    try:
        temporary, permanent = all_failures(message_from_string(text))
    except Exception:  # its detectors trip over truncated mails
        return
    for address in sorted(temporary | permanent):
        recipient = address.decode("utf-8", "replace")
        yield {
            "event": "bounce" if address in permanent else "deferral",
            "recipient": recipient,
            "reply": prose.findings(report.notice, known=[recipient])[0].reply or report.excerpt,
        }


def _hinted(report: Report) -> Iterator[Row]:
    """Bounces whose notice only mentions an address, in a sentence that may mean another."""
    yield from (row for row, is_certain in _told_rows(report) if not is_certain)


_READERS: tuple[Callable[[Report], Iterator[Row]], ...] = (
    _complained,
    _receipt,
    _reported,
    _notified,
    _unsubscribed,
    _answered,
    _narrated,
    _detected,
    _hinted,
)


def _told_rows(report: Report) -> Iterator[tuple[Row, bool]]:
    """Give what the notice tells of each recipient, and whether it surely is one."""
    if not report.is_bounce:
        return
    known = report.failed
    if known and not any(address.lower() in report.words for address in known):
        named = prose.findings(report.notice, report.others)
        if len(known) == len(named) == 1 and _is_to(named[0].recipient, report):
            yield _told_row(named[0], report, final=known[0]), True
            return
    for found in prose.findings(report.notice, report.others, known):
        yield _told_row(found, report), found.is_certain or bool(known)


def _told_row(found: prose.Finding, report: Report, final: str = "") -> Row:
    return {
        "event": report.failure,
        "recipient": found.as_mailed or found.recipient,
        "final_recipient": final or found.recipient,
        "reply": found.reply or report.excerpt,
        "remote_mta": found.remote_mta or None,
    }


def _from_writer(event: str, report: Report) -> Row:
    headers = report.mail.headers
    writer = in_header(headers, "from") or in_header(headers, "reply-to")
    return {
        "event": event,
        "recipient": writer[0] if writer else None,
        "reply": report.excerpt,
    }


def _inner_mail(report: Report) -> Mail | None:
    """Give the mail inside this one, if there is one."""
    if report.mail.original:
        return read_mail(report.mail.original)
    return read_mail(report.quoted.encode()) if report.original.first("from") else None


def _addressed(report: Report) -> Iterator[Row]:
    """A bounce that names nobody: its own VERP address or the original's headers tell who."""
    if not report.is_bounce:
        return
    to = [a for address in in_header(report.mail.headers, "to") if (a := in_verp(address))]
    if not to:
        to = in_header(report.original, "to")
        if len(to) != 1 or "cc" in report.original or _is_list(to[0], report.original):
            to = []
    carried = in_header(report.original, "x-envelope-to") or _carried_to(report.original)
    if recipients := to or carried:
        told = prose.findings(report.notice, known=recipients[:1])[0]
        yield {
            "event": report.failure,
            "recipient": recipients[0],
            "final_recipient": carried[0] if carried else None,
            "reply": told.reply or report.excerpt,
        }


def _carried_to(original: Headers) -> list[str]:
    """Give the envelope recipient that the last server to note one wrote into its trace."""
    traces = (_CARRIED_FOR.search(value) for value in original.all("received"))
    return [match[1] for match in traces if match][:1]


def _is_to(address: str, report: Report) -> bool:
    return address.lower() in {a.lower() for a in in_header(report.original, "to")}


def _is_list(address: str, original: Headers) -> bool:
    """True if the address is a discussion list's own, not a subscriber's."""
    names = ("list-post", "x-beenthere", "list-id", "sender")
    named = " ".join(original.first(name) for name in names).lower()
    return address.lower() in named or address.lower().replace("@", ".") in named


def _ip(value: str) -> str | None:
    try:
        return str(ip_address(value.strip("[] ")))
    except ValueError:
        return None


def _host(value: str) -> str | None:
    return _TYPE.sub("", value).split("(")[0].strip() or None


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


def _distinct(rows: list[Row]) -> list[Row]:
    """Drop a recipient's second row in the same report: reporters repeat themselves."""
    if len(rows) == 1:
        return rows
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        seen.setdefault((row["event"], row["recipient"], row["final_recipient"]), row)
    return list(seen.values())
