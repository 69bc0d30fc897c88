"""A mail as the readers of reports see it."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bouncekit.read import prose, wording
from bouncekit.read.addresses import addresses, in_header, in_verp
from bouncekit.read.maildates import parse_time
from bouncekit.read.mime import Headers, Mail, fields, values_of
from bouncekit.read.once import once

Row = dict[str, Any]

# How much of a mail's text is kept as `reply` where nothing in it is a reason, in characters.
EXCERPT_LIMIT = 500
_OWN = values_of("from", "to", "cc", "reply-to", "return-path", "delivered-to", "x-original-to")
_SENDERS = values_of("from", "return-path", "reply-to")
# How Postfix and Exim begin to tell which address an address was made of.
_ALIAS = re.compile(r"\((?:expanded|(?:ultimately )?generated) from")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class Report:
    """A mail as the readers see it: notice and original apart, each read once and when asked."""

    mail: Mail

    @once
    def notice(self) -> str:
        """What the notice says, without the original that is quoted below it."""
        return self._split[0]

    @once
    def quoted(self) -> str:
        """The original that is quoted below the notice."""
        return self._split[1]

    @once
    def _split(self) -> tuple[str, str]:
        return prose.split_original(self.mail.notice)

    @once
    def original(self) -> Headers:
        """The headers of the returned original, be it attached or quoted."""
        attached = self.mail.original and self.mail.original_headers
        return attached or fields(_BLANK_LINE.split(self.quoted, maxsplit=1)[0])

    @once
    def time(self) -> datetime | None:
        """When the mail was written."""
        return parse_time(self.mail.headers.first("date"))

    @once
    def is_bounce(self) -> bool:
        """True if a mail system wrote the mail and it tells of a failure.

        People quote bounces too: what they write is none, whatever its words.
        """
        writer, subject = self.mail.headers.first("from").lower(), self.mail.subject.lower()
        if self.failed or wording.DAEMON.search(writer):
            return True
        is_failure = bool(wording.FAILURE.search(subject))
        is_from_system = (
            self.mail.is_report
            or bool(wording.MAIL_SYSTEM.search(writer))
            or self.mail.headers.first("return-path") == "<>"
            or (
                is_failure
                and not wording.CONVERSATION.match(subject)
                and "list-unsubscribe" not in self.mail.headers
            )
        )
        return is_from_system and (
            is_failure
            or bool(wording.FAILURE.search(self.words))
            or prose.quotes_reply(self.notice)
        )

    @once
    def failure(self) -> str:
        """The event of a recipient that did not get the mail: for good, or not yet."""
        subject = self.mail.subject.lower()
        if wording.DELAY_IN_SUBJECT.search(subject) or wording.DELAY.search(self.words):
            return "deferral"
        return "bounce"

    @once
    def words(self) -> str:
        """The notice in lower case."""
        return self.notice.lower()

    @once
    def tells_alias(self) -> bool:
        """True if the notice says which address an address was made of."""
        # With the original: to look there first is quicker.
        written = self.mail.notice.lower()
        return bool(_ALIAS.search(written) and _ALIAS.search(self.words))

    @once
    def failed(self) -> list[str]:
        """The addresses of X-Failed-Recipients (Exim, Gmail)."""
        return in_header(self.mail.headers, "x-failed-recipients")

    @once
    def others(self) -> set[str]:
        """Addresses that are rather sender or reporter than recipient, in lower case."""
        values = _OWN.findall(self.mail.headers.lower) + _SENDERS.findall(self.original.lower)
        return {address.lower() for value in values for address in addresses(value)}

    @once
    def to(self) -> list[str]:
        """The addresses to which the original was written."""
        return in_header(self.original, "to")

    @once
    def only_to(self) -> str:
        """The one address to which the original was written, unless it is a list's own."""
        if len(self.to) != 1 or "cc" in self.original:
            return ""
        names = ("list-post", "x-beenthere", "list-id", "sender")
        lists = " ".join(self.original.first(name) for name in names).lower()
        address = self.to[0].lower()
        return "" if address in lists or address.replace("@", ".") in lists else self.to[0]

    @once
    def carried(self) -> list[str]:
        """The recipients that the return paths carry to which the bounce came."""
        paths = in_header(self.mail.headers, "to") + in_header(self.mail.headers, "delivered-to")
        return list(dict.fromkeys(address for path in paths if (address := in_verp(path))))

    def is_to(self, address: str) -> bool:
        """True if the original was written to an address."""
        return address.lower() in {a.lower() for a in self.to}

    @once
    def excerpt(self) -> str:
        """The subject and the beginning of the text."""
        return f"{self.mail.subject}\n{self.mail.notice[:EXCERPT_LIMIT]}".strip() or "an empty mail"
