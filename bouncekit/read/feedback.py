"""Read the mails that are no bounces: complaints, receipts, unsubscribes and automatic replies."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import unquote

from bouncekit.read import prose, wording
from bouncekit.read.addresses import addresses, in_header, in_verp
from bouncekit.read.maildates import parse_time
from bouncekit.read.mime import Headers, fields
from bouncekit.read.report import Report, Row

# RFC 5965 §7.3. auth-failure (RFC 6591) is a DMARC report on somebody's mail in the sender's name;
# not-spam is a reader who took the mail out of the spam folder.
_EVENT_OF_FEEDBACK = {"auth-failure": "auto_reply", "not-spam": "engagement"}

# What receivers write instead of an address that they hide.
_HIDDEN = re.compile(r"(?i)redacted|undisclosed|\W*x{3,}\W*@|\*+@")
_FOR = re.compile(r"(?i)\bfor <([^>]+)>")
_LINK = re.compile(r"[?&=/]([^\s?&=/<>]+(?:%40|@)[^\s?&=/<>]+)")


def complained(report: Report) -> Iterator[Row]:
    """Feedback reports (RFC 5965), and complaints that only attach the mail complained about."""
    feedback = fields(report.mail.feedback) if report.mail.feedback else Headers()
    kind = feedback.first("feedback-type").lower()
    told_by_receiver = in_header(report.original, "x-hmxmroriginalrecipient")
    is_plain = told_by_receiver or (
        wording.COMPLAINT_IN_SUBJECT.match(report.mail.subject) and report.original
    )
    if not kind and not is_plain:
        return
    kind = kind or "abuse"
    recipients = _who(report, feedback, told_by_receiver) or [None]
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


def _who(report: Report, feedback: Headers, told_by_receiver: list[str]) -> list[str] | list[None]:
    """Give who complained: many receivers hide it, and only what the sender wrote tells it then."""
    original, to = report.original, report.to
    names_a_list = len(to) == 1 and not report.only_to and "cc" not in original
    return (
        _named(in_header(feedback, "original-rcpt-to"))
        or _named(in_header(feedback, "removal-recipient"))
        or told_by_receiver
        or ([] if names_a_list else _named(to))
        or _in_paths(in_header(feedback, "original-mail-from"))
        or _in_paths(in_header(original, "return-path"))
        or _named(in_header(original, "delivered-to"))
        or addresses(" ".join(_FOR.findall("\n".join(original.all("received")))))
        or _in_paths(in_header(original, "list-unsubscribe"))
        or addresses(unquote(" ".join(_LINK.findall(original.first("list-unsubscribe")))))
        or in_header(feedback, "original-rcpt-to")  # hidden, but what the report says
        or ([] if names_a_list else to)
    )


def _named(given: list[str]) -> list[str]:
    """Give the addresses that are no stand-ins for hidden ones."""
    return [address for address in given if not _HIDDEN.match(address)]


def _in_paths(paths: list[str]) -> list[str]:
    return [address for path in paths if (address := in_verp(path))]


def receipts(report: Report) -> Iterator[Row]:
    """Disposition notifications (RFC 8098): the mail was shown, refused, or dealt with unseen.

    Sieve refuses by a notification that the mail was deleted (RFC 5429 §2.2.1), and so did Dovecot
    where a mailbox was full.
    """
    if not report.mail.receipt or not (told := fields(report.mail.receipt)):
        return
    disposition = told.first("disposition").lower()
    named = in_header(told, "original-recipient") or in_header(told, "final-recipient")
    recipient = named[0] if named else report.only_to
    event, reply = "engagement" if "displayed" in disposition else "auto_reply", disposition
    if "deleted" in disposition and "rejected" in report.words:
        event, reply = "bounce", prose.findings(report.notice, known=[recipient])[0].reply
    yield {
        "event": event,
        "recipient": recipient,
        "reply": reply or report.excerpt,
        "source_class": "mdn:" + disposition.rpartition(";")[2].strip(),
    }


def unsubscribed(report: Report) -> Iterator[Row]:
    """Mails to a List-Unsubscribe address that a reader's mail program wrote (RFC 2369)."""
    is_request = report.mail.subject.strip().lower() in ("unsubscribe", "remove")
    if "x-apple-unsubscribe" in report.mail.headers or (is_request and not report.is_bounce):
        yield _from_writer("unsubscribe", report)


def answered(report: Report) -> Iterator[Row]:
    """Automatic replies (RFC 3834) and those that only their subject gives away."""
    headers, subject = report.mail.headers, report.mail.subject
    if report.failed or wording.MAIL_SYSTEM.search(headers.first("from").lower()):
        return
    says_so = (
        headers.first("auto-submitted").lower().startswith(("auto-replied", "auto-notified"))
        or "x-autoreply" in headers
        or "x-autorespond" in headers
        or headers.first("precedence").lower() in ("auto_reply", "auto-reply")
        or headers.first("x-autogenerated").lower() == "reply"
    )
    is_failure = wording.FAILURE.search(subject.lower())
    if wording.AWAY_IN_SUBJECT.match(subject) or (says_so and not is_failure):
        yield _from_writer("auto_reply", report)


def _from_writer(event: str, report: Report) -> Row:
    headers = report.mail.headers
    writer = in_header(headers, "from") or in_header(headers, "reply-to")
    return {
        "event": event,
        "recipient": writer[0] if writer else None,
        "reply": report.excerpt,
    }


def _ip(value: str) -> str | None:
    try:
        return str(ip_address(value.strip("[] ")))
    except ValueError:
        return None
