"""Read who bounced and why from the sentences of a notice that follows no standard."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bouncekit.read.addresses import ADDRESS, bare
from bouncekit.read.mime import lower
from bouncekit.read.once import once
from bouncekit.read.reasons import (
    LEAD_IN,
    RESULT,
    accepted_in_session,
    announced_reason,
    code_in,
    holds_session,
    paragraphs,
    quoted_reply,
    reason_above,
    reason_around,
    results,
    session_replies,
    worded_reason,
)

# The longest reply that is handed on, in characters.
REPLY_LIMIT = 2_000
# How surely an address in a notice is a recipient's: by the layout of its line, by the word before
# it, or by its mere presence.
STRONG, LIKELY, WEAK = 3, 2, 1

# Read in lower case, as others here: it is the quickest way to pass over what does not match.
_ORIGINAL_BEGINS = re.compile(
    r"""\n(?:(?P<announced>[ \t>*#=|_.-]*+(?=[abefhimnortu])(?:  # how one of them begins
      (?:this|below|included|enclosed|here|attached|following)\b.{0,40}
        \b(?:copy|message|mail|headers?)\b.{0,60}(?:\bcopy\b|\bheaders?\b|original|first\ \d).{0,40}
    | below\ this\ line.{0,60}
    | (?:the\ )?(?:original|old|returned|unsent|undelivered|bounced|rejected)\ (?:e-?)?
        (?:message|mail)(?:\ (?:header|info|text|body)s?)?
        (?:\ (?:is|as)?\ ?(?:included|follow(?:s|ing)?|below|attached).{0,20})?
    | (?:the\ )?(?:message\ )?headers?\ (?:of\ the\ original.{0,40}|follow.{0,20})
    | message\ (?:text|header|body)s?\ follows?
    | non-delivered\ message
    )[ \t:.*#=|_-]*$)
    |[>|]?[ \t]?(?:received|return-path|x-received|dkim-signature|arc-seal):)""",
    re.M | re.X,
)
_HEADER_LINE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}:|[ \t]+\S|From \S+ ")

_AT_LINE_START = re.compile(
    rf"""^[\s>*•·#|-]*["'<(\[]*(?i:mailto:)?(?P<address>{ADDRESS})[>"')\]]*(?P<rest>.*)$"""
)
_BEHIND_NAME = re.compile(
    rf"""^[^<>:]{{1,200}}<(?i:mailto:|smtp:)?(?P<address>{ADDRESS})>
    (?P<rest>[:;.\s]*|:\s.*|\s*\(.*)$""",
    re.X,
)
_BEHIND_LABEL = re.compile(
    rf"""(?i:(?:\brecipient(?:s|\(s\))?|\baddressed\ to|\bfailed\ address
      |\bundeliverable\ (?:to|address)
      |\bdelivered\ to|\bdeliver(?:y|ing)?\ (?:(?:your|the|this)\ )?(?:e-?mail|message|mail)?\ ?to
      |destinataires?|destinatario|destinatário|empfänger|ontvanger|odbiorc\w+|получател\w+
      |宛先|收件人|收件人地址)
      (?:\ (?:e-?mail\ )?address(?:es)?)?\s*[:：=]?\s*|\bRCPT\ TO\s*:\s*)
    ["'<(\[]*(?i:mailto:|smtp:)?(?P<address>{ADDRESS})[>"')\]]*(?P<rest>.*)$""",
    re.X,
)
# How a label begins, in lower case: most lines can be passed over without a closer look.
_LABEL = re.compile(
    "recipient|addressed to|failed address|undeliver|deliver|rcpt"
    "|destinat|empfänger|ontvanger|odbiorc|получател|宛先|收件人"
)
_ANY_ADDRESS = re.compile(ADDRESS)
_WORDS_BEFORE = 80  # characters before an address that tell what it is, read in lower case
_TO = (
    "to|for|user|mailbox|account|address|userid|attempts|size|full|an|a|à|para|pour|per|voor|do"
    "|для|на"
)
_ELSEWHERE = (
    "from|sender|reply-to|cc|bcc|contact|postmaster|administrator|support|help|envelope-from"
    "|message-id|von|de|от"
)
_LED_TO = re.compile(rf"""(?:^\s*to:|\b(?:{_TO})\b)[\s:<"'(]*$""")
_LED_ELSEWHERE = re.compile(
    rf"""(?:\b(?:{_ELSEWHERE}|sent\s+by|(?:please\s+\w+(?:\s+\w+)?|write)\s+to)|mailto|@)
    [\s:=<"'(\[]*$""",
    re.X,
)
# How a match of them ends, but for marks: most can be passed over without a closer look.
_ENDS_TO = tuple(_TO.split("|"))
_ENDS_ELSEWHERE = (*_ELSEWHERE.split("|"), "by", "to", "@")
_MARKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + ":=<\"'(["
_ROLE = re.compile(r"^(?:mailer-daemon|postmaster|post_master|mail-?daemon|mdaemon)@", re.I)
_AS_MAILED = re.compile(
    rf"""\(\s*(?:ultimately\s+)?(?:expanded|generated|forwarded)\s+from:?
    \s*<?(?P<address>{ADDRESS})>?\s*\)""",
    re.I | re.X,
)
# `at host` names the reporter: "This is the mail system at host mx.example.net."
_REMOTE_HOST = re.compile(
    r"""(?:h(?<=\bh)(?<!\bat\ h)ost:?|talking\ to|server|remote-mta:?\s*(?:dns;)?)\s+
    [<']?((?:[\w-]{1,63}\.)+[a-z]{2,24})\b""",
    re.X,
)
# `on Thu, 29 Apr 2010 23:34:45 -0000` or `Action: Failed` beside an address is no reason.
_NO_REASON = re.compile(r"\s*on\s+[^:]*\d{1,2}:\d\d.{0,30}$|\W*Action:\s*\w+$|\W*$", re.I)
_WRAPPED = re.compile(r"\[([^\[\]]+)\]|\((?:reason:\s*)?([^()]+)\)")
_SENTENCE = re.compile(r",?\s+[a-zà-ÿ]+,?\s+\w")


@dataclass(frozen=True, slots=True)
class Finding:
    """A recipient that a notice names, and why the mail did not get there.

    `as_mailed` is the address before forwarding, if the notice tells. `is_certain` is False for an
    address that a sentence only mentions, and for one that the notice does not mention at all.
    """

    recipient: str
    reply: str
    as_mailed: str = ""
    remote_mta: str = ""
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class _Mention:
    line: int
    address: str
    rest: str
    strength: int

    @property
    def key(self) -> str:
        return self.address.lower()


def split_original(text: str) -> tuple[str, str]:
    r"""Split a text into the notice and the original that is quoted below it.

    The original begins at a line that announces it, or where trace headers begin.

    >>> split_original("<a@example.org>: full\n\n--- Below this line is a copy.\n\nSubject: x")
    ('<a@example.org>: full', 'Subject: x')
    """
    for found in _ORIGINAL_BEGINS.finditer(lower(f"\n{text}")):
        start, end = found.start(), found.end() - 1
        if found["announced"] is None:
            while start and _HEADER_LINE.match(text, above := text.rfind("\n", 0, start - 1) + 1):
                start = above
            return text[:start].strip(), text[start:].strip()
        if notice := text[:start].strip():
            return notice, text[end:].strip()
    return text.strip(), ""


def quotes_reply(notice: str) -> bool:
    """True if a line quotes an SMTP reply of failure."""
    return any(code_in(line) for line in notice.split("\n"))


def findings(notice: str, others: Collection[str] = (), known: Sequence[str] = ()) -> list[Finding]:
    r"""Find the recipients that a notice (without the original) names, each with its reason.

    `others` are addresses that are rather not the recipient (sender, reporter), in lower case.
    `known` are recipients known from elsewhere: then the notice is asked only for their reasons.

    >>> [(f.recipient, f.reply) for f in findings("<a@example.org>:\n550 5.1.1 User unknown")]
    [('a@example.org', '550 5.1.1 User unknown')]
    """
    read = _read(notice)
    if known:
        spelled = {address.lower(): address for address in known}
    else:
        chosen = _strongest(read, set(others))
        spelled = {mention.key: mention.address for mention in chosen}
    return [_finding(address, read, is_alone=len(spelled) == 1) for address in spelled.values()]


@dataclass(frozen=True)
class _Block:
    """What the paragraphs below a recipient's line say about that recipient, read when asked."""

    found: list[str]

    @once
    def text(self) -> str:
        return "\n".join(self.found)

    @once
    def quoted(self) -> str:
        return quoted_reply(self.found)

    @once
    def worded(self) -> str:
        return worded_reason(self.found)

    @once
    def as_mailed(self) -> str:
        return alias["address"] if (alias := _AS_MAILED.search(self.text)) else ""

    @once
    def remote_mta(self) -> str:
        return _remote_mta(self.text)


@dataclass(frozen=True)
class _Notice:
    """What all of a notice says, read once and when asked: a recipient's own lines may do."""

    lines: list[str]
    mentions: list[_Mention]

    @once
    def by_recipient(self) -> dict[str, list[_Mention]]:
        found: dict[str, list[_Mention]] = {}
        for mention in self.mentions:
            found.setdefault(mention.key, []).append(mention)
        return found

    @once
    def below(self) -> dict[int, _Block]:
        return _below([m for m in self.mentions if m.strength == STRONG], self.lines)

    @once
    def is_session(self) -> bool:
        return holds_session(self.lines)

    @once
    def session(self) -> dict[str, str]:
        return session_replies(self.lines) if self.is_session else results(self.lines)

    @once
    def accepted(self) -> set[str]:
        return accepted_in_session(self.lines) if self.is_session else set()

    @once
    def quoted(self) -> str:
        return quoted_reply(self.paragraphs)

    @once
    def announced(self) -> str:
        return announced_reason(self.paragraphs)

    @once
    def remote_mta(self) -> str:
        return _remote_mta(self.whole)

    @once
    def whole(self) -> str:
        return "\n".join(self.paragraphs)

    @once
    def paragraphs(self) -> list[str]:
        return paragraphs(self.lines)


@lru_cache(maxsize=8)  # a report with many recipients asks again for each
def _read(notice: str) -> _Notice:
    lines = [line.rstrip() for line in notice.split("\n")]
    mentions = [m for n, line in enumerate(lines) if "@" in line for m in _mentions(n, lines)]
    return _Notice(lines, _without_echoes(mentions, lines))


def _mentions(number: int, lines: list[str]) -> list[_Mention]:
    """Give the addresses in a line and how surely each is a recipient's."""
    line = lines[number]
    match = _recipient_in(line)
    if match and not _leads_elsewhere(line[: match.start("address")]):
        is_within_sentence = (
            match["rest"].strip().startswith("(") and match.re is not _AT_LINE_START
        )
        rest = line.strip() if is_within_sentence else match["rest"]
        # A sentence that runs over from the line above only happens to begin with an address here.
        runs_over = number and lines[number - 1] and not LEAD_IN.search(lines[number - 1])
        strength = LIKELY if runs_over and _SENTENCE.match(rest) else STRONG
        return [_Mention(number, bare(match["address"]), rest, strength)]
    return [
        _Mention(number, bare(m[0]), "", LIKELY if _leads_to(_before(m)) else WEAK)
        for m in _ANY_ADDRESS.finditer(line)
        if not _leads_elsewhere(_before(m))
    ]


def _recipient_in(line: str) -> re.Match[str] | None:
    """Find the recipient in a line that is laid out to tell of one."""
    return (
        ("<" in line and _BEHIND_NAME.match(line))
        or _AT_LINE_START.match(line)
        or ("..." in line and RESULT.match(line))
        or _behind_label(line)
    )


def _behind_label(line: str) -> re.Match[str] | None:
    small = line.lower()
    if not (label := _LABEL.search(small)):
        return None
    # Lower case may be longer: what stands before the label does not matter.
    return _BEHIND_LABEL.search(line, label.start() - (len(small) - len(line)))


def _leads_to(before: str) -> bool:
    small = before.lower()
    return small.rstrip(_MARKS).endswith(_ENDS_TO) and bool(_LED_TO.search(small))


def _leads_elsewhere(before: str) -> bool:
    small = before.lower()
    return small.rstrip(_MARKS).endswith(_ENDS_ELSEWHERE) and bool(_LED_ELSEWHERE.search(small))


def _before(address: re.Match[str]) -> str:
    return address.string[max(0, address.start() - _WORDS_BEFORE) : address.start()]


def _without_echoes(mentions: list[_Mention], lines: list[str]) -> list[_Mention]:
    """Drop a mention in a reply: the address that its paragraph began with, or a folded line's."""
    kept: list[_Mention] = []
    begun: dict[str, int] = {}
    last = 0
    for mention in mentions:
        above = begun.get(mention.key)
        if above is None and begun and mention.strength == STRONG:
            is_deeper = _indent(lines[mention.line]) > _indent(lines[last])
            above = last if is_deeper else None
        if above is not None and all(lines[above : mention.line + 1]):
            continue
        if mention.strength == STRONG:
            begun[mention.key] = last = mention.line
        kept.append(mention)
    return kept


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _strongest(read: _Notice, others: set[str]) -> list[_Mention]:
    """Keep the mentions of the surest kind; the sender's address only if nothing else is left."""
    fit = [m for m in read.mentions if not _ROLE.match(m.address) and m.key not in read.accepted]
    for candidates in ([m for m in fit if m.key not in others], fit, read.mentions):
        if candidates:
            top = max(m.strength for m in candidates)
            return [m for m in candidates if m.strength == top]
    return []


def _finding(recipient: str, read: _Notice, *, is_alone: bool) -> Finding:
    mentions = read.by_recipient.get(recipient.lower(), [])
    below = [read.below[m.line] for m in mentions if m.line in read.below] or [
        block for block in read.below.values() if block.as_mailed.lower() == recipient.lower()
    ]
    reply = (
        read.session.get(recipient.lower())
        or _first(block.quoted for block in below)
        or _reason(recipient, read, below, is_alone=is_alone)
        or _first(_beside(m, read.lines) for m in mentions)
        or read.whole
    )
    remote_mta = _first(block.remote_mta for block in below)
    return Finding(
        recipient=recipient,
        reply=_unwrapped(reply)[:REPLY_LIMIT],
        as_mailed=_first(block.as_mailed for block in below),
        remote_mta=remote_mta or (read.remote_mta if is_alone else ""),
        is_certain=any(m.strength == STRONG for m in mentions),
    )


def _reason(recipient: str, read: _Notice, below: list[_Block], *, is_alone: bool) -> str:
    """Give the reason where no reply is quoted below the recipient's own line."""
    worded = _first(block.worded for block in below)
    if not is_alone:
        return worded
    is_fit = read.quoted and not (worded and _is_anothers(recipient, read))
    return (read.quoted if is_fit else "") or read.announced or worded


def _is_anothers(recipient: str, read: _Notice) -> bool:
    """True if the reply that the notice quotes stands in the lines of another recipient.

    What a recipient's own lines say goes before it.
    """
    return any(
        read.below[m.line].quoted == read.quoted
        for m in read.mentions
        if m.line in read.below and m.key != recipient.lower()
    )


def _below(mentions: list[_Mention], lines: list[str]) -> dict[int, _Block]:
    """Give, for each recipient's line, what stands from there down to the next recipient's.

    Where recipients stand in a list, all share what follows the list.
    """
    below: dict[int, _Block] = {}
    shared = _Block([])
    end = len(lines)
    for mention in reversed(mentions):
        rest = "" if _NO_REASON.match(mention.rest) else mention.rest.lstrip(" \t:>)]\"'.-–,;")
        found = paragraphs([rest, *lines[mention.line + 1 : end]])
        below[mention.line] = _Block(found) if found else shared
        # What stands beside an address is not about the address above it.
        shared = _Block([]) if rest else below[mention.line]
        end = mention.line
    return below


def _remote_mta(text: str) -> str:
    found = _REMOTE_HOST.search(lower(text))
    return text[found.start(1) : found.end(1)] if found else ""


def _first(texts: Iterable[str]) -> str:
    return next((text for text in texts if text), "")


def _beside(mention: _Mention, lines: list[str]) -> str:
    """Give the reason in the paragraph that mentions an address, or in the one above its line."""
    if mention.strength != STRONG:
        return reason_around(lines, mention.line)
    return reason_above(lines, mention.line)


def _unwrapped(reply: str) -> str:
    """Take off the brackets round a reply: `[User unknown]`."""
    wrapped = _WRAPPED.fullmatch(reply)
    return (wrapped[1] or wrapped[2]) if wrapped else reply
