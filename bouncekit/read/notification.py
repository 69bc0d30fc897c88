"""Read the notifications of Amazon SES that come by mail."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from bouncekit.read.report import Report, Row

# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
_EVENT_OF_NOTIFICATION = {
    "bounce": ("bounce", "bouncedRecipients"),
    "complaint": ("complaint", "complainedRecipients"),
    "delivery": ("delivery", "recipients"),
    "deliverydelay": ("deferral", "delayedRecipients"),
}
_NOTIFICATION = re.compile("notificationType|eventType")


def notified(report: Report) -> Iterator[Row]:
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
