"""Read bounces that follow no standard: what their sentences, or only their headers, tell."""

import logging
import re
from collections.abc import Iterator

from bouncekit.read import prose
from bouncekit.read.addresses import ADDRESS, in_header
from bouncekit.read.mime import Headers, field_list
from bouncekit.read.report import Report, Row

# It reports each mail that one of its detectors trips over, with a traceback; without a handler
# that would reach the terminal.
logging.getLogger("flufl.bounce").addHandler(logging.NullHandler())

_CARRIED_FOR = re.compile(rf"\bfor\s+<({ADDRESS})>", re.I)


def narrated(report: Report) -> Iterator[Row]:
    """Bounces whose notice tells, by its layout, who did not get the mail."""
    yield from (row for row, is_certain in _told_rows(report) if is_certain)


def hinted(report: Report) -> Iterator[Row]:
    """Bounces whose notice only mentions an address, in a sentence that may mean another."""
    yield from (row for row, is_certain in _told_rows(report) if not is_certain)


def _told_rows(report: Report) -> Iterator[tuple[Row, bool]]:
    """Give what the notice tells of each recipient, and whether it surely is one."""
    if not report.is_bounce:
        return
    known = report.failed
    if known and not any(address.lower() in report.words for address in known):
        named = prose.findings(report.notice, report.others)
        if len(known) == len(named) == 1 and report.is_to(named[0].recipient):
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


def detected(report: Report) -> Iterator[Row]:
    """Bounces that Mailman's collection of detectors knows.

    It sees no quoted original, whose sender it would take for the recipient.
    """
    if not report.is_bounce or not report.notice:
        return
    from email import message_from_string

    from flufl.bounce import all_failures

    pairs = field_list(report.mail.headers.block)
    lines = [f"{name}: {value}" for name, value in pairs if name != "content-transfer-encoding"]
    text = "\n".join([*lines, "", report.notice])
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


def addressed(report: Report) -> Iterator[Row]:
    """A bounce that names nobody: its own VERP address or the original's headers tell who."""
    if not report.is_bounce:
        return
    to = report.carried or [report.only_to] * bool(report.only_to)
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
