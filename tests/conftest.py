"""Settings of all tests; a report for the tests of hostile text and of people to be hidden."""

import json
from pathlib import Path

import pytest
from hypothesis import settings
from payloads import FORMS, PAYLOADS

from bouncekit.read import load
from bouncekit.report import write_report

# How long a case takes says nothing about it: machines are busy.
settings.register_profile("bouncekit", deadline=None)
settings.load_profile("bouncekit")

# Replies with the local part alone: of no cause, of a code only, and of a code that is wrong.
NAMED = (
    "{l}",
    "597 no {l} here",
    "550 5.1.1 {l}",
    "550 {l} is blocked using zen.spamhaus.org",
    "550 5.1.1 {l} is blocked using zen.spamhaus.org",
)
CAUSES = ("550 5.1.1 User unknown", "552 5.2.2 mailbox full", "597 odd words", "")


def person(number: int) -> tuple[str, str]:
    """Give the local part and the domain of somebody.

    No word of ours holds such letters, so that they can be looked for in any file; without a digit
    or dot in them, only a mask knows them for a name.
    """
    one, other = divmod(number, 26)
    return f"quillfeather{chr(97 + one)}{chr(97 + other)}", f"h{number}.zyxhost.example.org"


def events() -> list[dict[str, str]]:
    """Give bounces whose replies name their recipients in every form, or hold every payload."""
    rows = []
    for number, text in enumerate([*FORMS.values(), *NAMED, *PAYLOADS.values()]):
        local, domain = person(number)
        for month in ("03", "04", "05"):
            cause = "" if text in NAMED else CAUSES[(number + (month == "05")) % len(CAUSES)]
            if text in PAYLOADS.values():
                reply = f"{cause} {text}"
            else:
                form = {"a": f"{local}@{domain}", "u": f"{local}@{domain}".upper()}
                reply = f"{cause} {text.format(**form, l=local, d=domain)}"
            rows.append(
                {
                    "timestamp": f"2024-{month}-01T09:{number % 60:02}:00Z",
                    "event": "bounce",
                    "email": f"{local}@{domain}",
                    "reason": reply,
                    "campaign": f"{text[:40]} {month}" if text in PAYLOADS.values() else month,
                    "smtp-id": f"<{month}.{local}={domain}@mx.example.net>",
                }
            )
        blocked = f"554 5.7.1 [192.0.2.7] blocked using zen.spamhaus.org; ask {local} {text[:60]}"
        if number % 2:
            rows.append(rows[-1] | {"reason": blocked, "timestamp": "2024-06-01T09:00:00Z"})
        delivered = {"event": "delivered", "reason": "250 ok", "timestamp": "2024-02-01T09:00:00Z"}
        rows.append(rows[-1] | delivered)
    return rows


@pytest.fixture(scope="session")
def strange_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a report, masked as it is by default."""
    folder = tmp_path_factory.mktemp("strange")
    local, domain = person(0)
    (exports := folder / "exports").mkdir()
    named = exports / f"bounce-{local}={domain}.json"
    named.write_text(json.dumps(events()), encoding="utf-8")
    (exports / f"notes for {local}@{domain} \u202e<img src=x>.txt").write_text("a note\n")
    return write_report(load(exports), folder / "report").parent
