"""Return paths that nobody can forge: who knows one has seen the mail that was sent by it.

A variable envelope return path (VERP) names the recipient, so that a bounce tells whose it is
whatever the receiver writes into it. A signed one also tells that the bounce answers a mail that
was sent: as with BATV (draft-levine-smtp-batv), a day and a keyed hash stand in it.

    news+19844dzlkguvjok-ann=example.org@lists.example.net
         │    │          └ recipient: local part, `=`, domain
         │    └ 10 letters of base32: the first 50 bits of HMAC-SHA256 (RFC 2104) with your key over
         │      day, recipient and the plain return path, each on a line, in lower case
         └ days from 1970-01-01 to the day of sending, 5 digits
"""

import hmac
import re
from base64 import b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from bouncekit.errors import BouncekitError

# A receiver may try for five days (RFC 5321 §4.5.4.1), and tell of it late.
DAYS = 14
# RFC 5321 §4.5.3.1.1: a longer local part is refused by some.
LONGEST = 64
# As much of a mail is looked through: the headers, and those of the mail that came back.
LOOKED_THROUGH = 256_000

_EPOCH = date(1970, 1, 1)
_TAG = r"(?P<day>\d{5})(?P<tag>[a-z2-7]{10})"
_LOCAL = r"(?P<local>[^\s@<>()\[\]:;,\"]{1,64})"
_SIGNED = re.compile(
    rf"(?P<box>[\w.=-]{{1,40}})[+-]{_TAG}-{_LOCAL}=(?P<domain>[^\s@=<>]{{1,255}})"
    r"@(?P<host>[\w.-]{1,255})",
    re.I,
)
_PLAIN = re.compile(r"[^\s@<>()\[\]:;,\"]+@[^\s@<>]+")


@dataclass(frozen=True)
class ReturnPath:
    """What a signed return path says: to whom a mail was sent, and when."""

    recipient: str
    sent_on: date


def sign(
    recipient: str, return_path: str, key: str | bytes, *, sent_on: date, delimiter: str = "+"
) -> str:
    """Give the return path (MAIL FROM) for one recipient's mail, signed with a secret key.

    `return_path` is the plain address that takes the bounces; what follows the `delimiter` must be
    delivered there too (Postfix: `recipient_delimiter`). The same arguments give the same address.
    Raises BouncekitError for an empty key, an address that cannot stand in another (one in quotes),
    and a local part of more than 64 octets (RFC 5321 §4.5.3.1.1).

    >>> sign("ann@example.org", "news@lists.example.net", "secret", sent_on=date(2024, 5, 1))
    'news+19844dzlkguvjok-ann=example.org@lists.example.net'
    """
    for address in (recipient, return_path):
        if not _PLAIN.fullmatch(address):
            raise BouncekitError(
                f"{address}: cannot stand in a return path; send its mail with a plain one."
            )
    box, _, host = return_path.rpartition("@")
    local, _, domain = recipient.rpartition("@")
    day = f"{(sent_on - _EPOCH).days:05}"
    signed = f"{box}{delimiter}{day}{_tag(day, recipient, return_path, key)}-{local}={domain}"
    if len(signed.encode()) > LONGEST:
        raise BouncekitError(
            f"{recipient}: its return path would be longer than {LONGEST} octets before the @; use "
            "a shorter one, or a plain one for this recipient."
        )
    return f"{signed}@{host}"


def verify(address: str, key: str | bytes, *, as_of: date, days: int = DAYS) -> ReturnPath | None:
    """Give what a signed return path says, or None if it is not ours or too old.

    `as_of` is the day of the bounce: a path is good from the day of sending on for `days` days. One
    signed on the next day still is, for clocks and time zones differ. The case of letters does not
    matter. Raises BouncekitError for an empty key.
    """
    found = _SIGNED.fullmatch(address.strip("<> "))
    path = found and _checked(found, key)
    if path is None or not -1 <= (as_of - path.sent_on).days <= days:
        return None
    return path


def return_paths(raw: bytes, key: str | bytes) -> Iterator[ReturnPath]:
    """Give the signed return paths that a raw mail holds, whatever their age."""
    text = raw[:LOOKED_THROUGH].decode("utf-8", "replace")
    for found in _SIGNED.finditer(text):
        if path := _checked(found, key):
            yield path


def checked(rows: list[dict[str, Any]], raw: bytes, key: str | bytes) -> list[dict[str, Any]]:
    """Give the rows of a mail with `unmatched`: true for a failure that no signed path vouches for.

    The path of a mail to somebody vouches for his own bounce only: where the mail names another
    recipient, that one is whom it was forwarded to. Only what goes to a return path is judged:
    bounces and deferrals (RFC 5321 §4.4), not complaints or answers.
    """
    paths = list(return_paths(raw, key))
    return [_vouched(row, paths) for row in rows]


def _vouched(row: dict[str, Any], paths: list[ReturnPath]) -> dict[str, Any]:
    if row["event"] not in ("bounce", "deferral"):
        return row | {"unmatched": False}
    time = row.get("time")
    in_time = [p for p in paths if time and -1 <= (time.date() - p.sent_on).days <= DAYS]
    if not in_time:
        return row | {"unmatched": True}
    own = {path.recipient.lower(): path.recipient for path in in_time}
    if (row.get("recipient") or "").lower() in own:
        return row | {"unmatched": False}
    if len(own) > 1:  # a mail to one recipient has one return path
        return row | {"unmatched": True}
    (mailed,) = own.values()
    final = row.get("final_recipient") or row.get("recipient")
    is_other = final and final.lower() != mailed.lower()
    return row | {
        "recipient": mailed,
        "final_recipient": final if is_other else None,
        "unmatched": False,
    }


def _checked(found: re.Match[str], key: str | bytes) -> ReturnPath | None:
    recipient = f"{found['local']}@{found['domain'].lower()}"
    plain = f"{found['box']}@{found['host']}"
    if not hmac.compare_digest(found["tag"].lower(), _tag(found["day"], recipient, plain, key)):
        return None
    return ReturnPath(recipient, _EPOCH + timedelta(days=int(found["day"])))


def _tag(day: str, recipient: str, return_path: str, key: str | bytes) -> str:
    secret = key.encode() if isinstance(key, str) else key
    if not secret:
        raise BouncekitError("The key for return paths is empty; give a secret.")
    signed = "\n".join((day, recipient, return_path)).lower().encode()
    return b32encode(hmac.digest(secret, signed, "sha256"))[:10].decode().lower()
