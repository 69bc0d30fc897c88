"""Find the lines of a notice that give the reason: quoted SMTP replies, transcripts, paragraphs."""

import re
from functools import lru_cache

from bouncekit.read.addresses import ADDRESS, addresses
from bouncekit.read.mime import lower

# A quoted reply: a code at the start of a line or behind what introduces a quotation, a code with
# an enhanced code behind it anywhere, or an enhanced code at the start of a line.
QUOTED_REPLY = re.compile(
    r"""(?:^[\s>*<|#(\["'-]*(?:(?:Out|S|Received)\s*[:>]+\s*)?
      |[:;(\[>#'"：，；（]\s*
      |\b(?:said|reply|replied|error|error_code|code|returned|with|reason|response|message|was|is)
        \s+[:<(\['"#]*)
      (?P<code>[45]\d\d(?=[\s,;:<(\[_-]|\#|$)(?!\s*(?:seconds|minutes|hours|bytes|MB|KB)))
    |(?<![\w.])(?P<inner>[45]\d\d[\s-]+\#?[45]\.\d{1,3}\.\d{1,3})
    |^[\s>*<|#(\["'-]*(?P<enhanced>[45]\.\d{1,2}\.\d{1,3}(?=[\s:<]))""",
    re.X | re.I,
)
# What every quoted reply holds: most lines can be passed over without a closer look.
_CODE = re.compile(r"[45](?:\d\d|\.\d)")
# A reason above or around an address is not longer than this, in lines.
REASON_LINES = 12

LEAD_IN = re.compile(r"[:：]\s*$")
# Sendmail's own verdict on a recipient: `550 5.1.1 <ann@example.org>... User unknown`.
RESULT = re.compile(
    rf"^\s*[45]\d\d[ -](?:[45]\.\d+\.\d+ )?<?(?P<address>{ADDRESS})>?\.\.\.(?P<rest>.*)$"
)
# Lines of a session's transcript; PHPMailer writes the time before them and names both sides.
_CLOCK = r"\s*(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s+)?"
OUR_LINE = re.compile(
    rf"{_CLOCK}(?:>>>|-->|->|In:|C:|Sent\s*<<<|CLIENT -> SERVER:|DATA$)\s*(?P<said>.*)$", re.I
)
THEIR_LINE = re.compile(
    rf"{_CLOCK}(?:<<<|<--|<-|Out:|S:|Received\s*>>>|SERVER -> CLIENT:)\s*(?P<said>.*)$", re.I
)

# How such a line begins, in lower case: most texts have none and can be passed over.
_SPOKEN = re.compile(
    r"\n[^\S\n]*(?:\d{4}-\d\d-\d\d|>>>|<<<|--?>|<--?|in:|out:|c:|s:|sent\s*<|received\s*>"
    r"|client -> server|server -> client|data$)",
    re.M,
)

# Before RCPT TO the receiver speaks of the sender: these words of the reporter belong to the reply.
# Read in lower case: each branch begins with a letter, so that most of a text is passed over.
_STAGE = re.compile(
    r"a(?<=\ba)fter (?:pipelined )?(?:mail from|ehlo|helo|initial connection)\b"
    r"|s(?<=\bs)ender was rejected\b|g(?<=\bg)reeting failed\b"
)
_REFUSAL = re.compile(r"[45]\d\d(?P<more>-)?")
_RECIPIENT_COMMAND = re.compile(r"\brcpt\b", re.I)
_REPLY_LINE = re.compile(r"^\s*([45]\d\d)[ -]")
_NEW_ITEM = re.compile(r"^\s*(?:<<<|>>>|<--|-->|In:|Out:|\(|[245]\d\d[ -])")
_MARKS = "-=_*~#|"
_RULE = re.compile(r"^[\s|]*(?:[-=_*~#]{3,}.*|.*[-=_*~#]{5,}|[-=_*~#|]{2,})\s*$")
_GAVE_UP_ON = re.compile(r"^Giving up on [\w.:-]+\s*$", re.M)
_ADVICE = re.compile(
    r"(?:-\s*)?(?:please|for (?:further|more|assistance)|if you|contact|you can|learn more)\b", re.I
)
# What announces the reason. Read in lower case, each branch begins with a letter (see _STAGE).
_ANNOUNCES = re.compile(
    r"(?:b(?<=\bb)ecause|r(?<=\br)e(?:asons?|sponse)\b[^:\n]{0,40}|d(?<=\bd)elivery attempts?"
    r"|g(?<=\bg)rund|motivo|raison|r(?<=\br)eden|powód|причина|原因|理由)[ \t]*[:：]$",
    re.M,
)
_MAY_ANNOUNCE = re.compile(r"[:：]$", re.M)
_SUMMARY = re.compile(
    r"(?:To|From|Subject|Date|Sent|Message-ID|收件人|发件人|主题|主題|时间|宛先|差出人|件名|日時)\s*[:：]",
    re.I,
)
_ONLY_ADDRESS = re.compile(rf"^\W*(?:mailto:)?{ADDRESS}\W*$")
_ALIAS = re.compile(r"\(?(?:expanded|generated|forwarded) from\b.*", re.I)
_BRACKET = re.compile(r"[()]")
_CLOSING = {"(": ")", "[": "]", "'": "'", '"': '"'}


def paragraphs(lines: list[str]) -> list[str]:
    """Join lines to paragraphs: blank lines and ruled lines separate them, and are left out.

    >>> paragraphs(["Sorry", "", "---- Transcript follows ----", "550 5.1.1", "  unknown"])
    ['Sorry', '550 5.1.1\\nunknown']
    """
    found: list[list[str]] = [[]]
    for line in lines:
        text = line.strip()
        if text and not _is_rule(text):
            found[-1].append(text)
        elif found[-1]:
            found.append([])
    return ["\n".join(p) for p in found if p]


def quoted_reply(among: list[str]) -> str:
    """Give the first SMTP reply that the paragraphs quote, from its code to the paragraph's end.

    >>> quoted_reply(["host mx.example.org said:", "after RCPT TO: 550 No such user"])
    '550 No such user'
    >>> quoted_reply(["SMTP error after MAIL FROM:<news@example.com>:\\n550 No such domain"])
    'after MAIL FROM: 550 No such domain'
    """
    for paragraph in among:
        if not _may_quote(paragraph):
            continue
        lines = paragraph.split("\n")
        for number, line in enumerate(lines):
            if (code := code_in(line)) and not OUR_LINE.match(line):
                reply = _from_code("\n".join(lines[number:]), code)
                before = "\n".join([*lines[:number], line[: code.start()]])
                stage = _STAGE.search(lower(before))
                return f"{before[slice(*stage.span())]}: {reply}" if stage else reply
    return ""


@lru_cache(maxsize=128)  # a line is asked up to three times, and many mails hold the same
def code_in(line: str) -> re.Match[str] | None:
    """Find where a line quotes an SMTP reply of failure (`QUOTED_REPLY`)."""
    return QUOTED_REPLY.search(line) if _may_quote(line) else None


def _may_quote(text: str) -> bool:
    return ("4" in text or "5" in text) and bool(_CODE.search(text))


def holds_session(lines: list[str]) -> bool:
    """False where surely no line is one of a session's transcript."""
    return bool(_SPOKEN.search("\n".join(["", *lines]).lower()))


def session_replies(lines: list[str]) -> dict[str, str]:
    """Read a session's transcript: for each recipient (lower case) the reply that refused it.

    The remote's own words go before the reporter's: `<<< 550 ...` before `554 <a@b>... Deferred`.

    >>> session_replies([">>> RCPT TO:<ann@example.org>", "<<< 550 5.1.1 unknown"])
    {'ann@example.org': '550 5.1.1 unknown'}
    """
    replies: dict[str, str] = {}
    heard: list[str] = []
    asked = ""
    for number, line in enumerate(lines):
        if "while talking to" in line.lower():
            heard, asked = [], ""
        elif ours := OUR_LINE.match(line):
            if _RECIPIENT_COMMAND.search(ours["said"]):
                asked = "".join(addresses(ours["said"])[:1]).lower()
        elif theirs := THEIR_LINE.match(line):
            heard = _heard(heard, theirs["said"])
            if asked and heard and not _goes_on(heard):
                replies.setdefault(asked, "\n".join(heard))
        elif "@" in line and (code := code_in(line)):
            reply = "\n".join(heard) or _whole_reply(lines, number, code)
            for address in addresses(line):
                replies.setdefault(address.lower(), reply)
            heard = [] if RESULT.match(line) else heard
    return replies


def results(lines: list[str]) -> dict[str, str]:
    """Read the lines that name a recipient and a reply: all that stands outside of a session.

    >>> results(["550 5.1.1 <ann@example.org>... User unknown"])
    {'ann@example.org': '550 5.1.1 <ann@example.org>... User unknown'}
    """
    replies: dict[str, str] = {}
    for number, line in enumerate(lines):
        if "@" in line and (code := code_in(line)):
            reply = _whole_reply(lines, number, code)
            for address in addresses(line):
                replies.setdefault(address.lower(), reply)
    return replies


def accepted_in_session(lines: list[str]) -> set[str]:
    """Give the recipients (lower case) that a transcript shows accepted while it refused others."""
    answers: dict[str, str] = {}
    asked = ""
    for line in lines:
        if ours := OUR_LINE.match(line):
            if _RECIPIENT_COMMAND.search(ours["said"]):
                asked = "".join(addresses(ours["said"])[:1]).lower()
        elif asked and (theirs := THEIR_LINE.match(line)):
            answers[asked], asked = theirs["said"][:1], ""
    if not {"4", "5"} & set(answers.values()):
        return set()
    return {address for address, answer in answers.items() if answer == "2"}


def announced_reason(among: list[str]) -> str:
    """Give what the paragraphs announce as the reason.

    >>> announced_reason(["Message delayed", "Last attempt failed because:\\nno answer"])
    'no answer'
    """
    for number, paragraph in enumerate(among):
        if not _MAY_ANNOUNCE.search(paragraph):
            continue
        if found := _ANNOUNCES.search(lower(paragraph)):
            following = paragraph[found.end() :].strip() or "".join(among[number + 1 : number + 2])
            if following:
                return following
    return ""


def worded_reason(below: list[str]) -> str:
    """Give the paragraph that is announced as the reason, else the first that may be one.

    That is no mere announcement and no advice.

    >>> worded_reason(["Sorry:", "Please call us.", "User ann not listed in Domino Directory"])
    'User ann not listed in Domino Directory'
    """
    reasons = (_without_lead_in(paragraph) for paragraph in below)
    return announced_reason(below) or next((r for r in reasons if r and not _ADVICE.match(r)), "")


def reason_around(lines: list[str], number: int) -> str:
    """Give the paragraph of a line that mentions an address in a sentence."""
    if is_summary(lines[number]):
        return ""
    end = number + 1
    while end < min(len(lines), number + REASON_LINES) and not _ends_paragraph(lines[end]):
        end += 1
    is_announced = LEAD_IN.search(lines[number]) and number + 1 < end
    start = number + 1 if is_announced else _start_of_paragraph(lines, number)
    return "\n".join(line.strip() for line in lines[start:end])


def reason_above(lines: list[str], number: int) -> str:
    """Give the paragraph above a line with an address, unless it only announces the address."""
    end = number
    while end and not lines[end - 1].strip():
        end -= 1
    if not end or is_summary(lines[number]) or _ends_paragraph(lines[end - 1]):
        return ""
    start = _start_of_paragraph(lines, end)
    above = [line.strip() for line in lines[start:end] if not _ONLY_ADDRESS.match(line)]
    if not above or LEAD_IN.search(above[-1]) or is_summary(above[0]):
        return ""
    return "\n".join(above)


def _start_of_paragraph(lines: list[str], number: int) -> int:
    lowest = max(0, number - REASON_LINES)
    while number > lowest and not _ends_paragraph(lines[number - 1]):
        number -= 1
    return number


def _ends_paragraph(line: str) -> bool:
    text = line.strip()
    return not text or _is_rule(text)


def _is_rule(text: str) -> bool:
    return (text[0] in _MARKS or text[-1] in _MARKS) and bool(_RULE.match(text))


def is_summary(line: str) -> bool:
    """True for a line of the summary that some notices give of the mail: `Subject: ...`."""
    return bool(_SUMMARY.match(line.strip()))


def _heard(heard: list[str], said: str) -> list[str]:
    if not _REFUSAL.match(said):
        return heard
    return [*heard, said] if _goes_on(heard) else [said]


def _goes_on(heard: list[str]) -> bool:
    refusal = _REFUSAL.match(heard[-1]) if heard else None
    return bool(refusal and refusal["more"])


def _whole_reply(lines: list[str], number: int, code: re.Match[str]) -> str:
    """Give the reply in a line with the lines it goes on in: `550-` lines or indented ones."""
    begun = _REPLY_LINE.match(lines[number])
    start, end = number, number + 1
    if begun:
        mark = begun[1] + "-"
        while start and lines[start - 1].lstrip().startswith(mark):
            start -= 1
        while end < len(lines) and lines[end - 1].lstrip().startswith(mark):
            end += 1
        if end - start > 1:
            return "\n".join(line.strip() for line in lines[start:end])
    while end < len(lines) and lines[end].startswith("  ") and not _NEW_ITEM.match(lines[end]):
        if _indent(lines[end]) < _indent(lines[number]):
            break  # the next recipient's, as Exim writes them
        end += 1
    below = (line.strip() for line in lines[number + 1 : end])
    return _from_code("\n".join([lines[number], *below]), code)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _from_code(text: str, code: re.Match[str]) -> str:
    """Cut a text from the code to where the mark that opened the quotation closes."""
    start = code.start(code.lastgroup or 0)
    lines = text[start:].split("\n")
    if len(lines) > 1 and holds_session(lines):
        lines = [line for line in lines if not OUR_LINE.match(line)]
        lines = [said["said"] if (said := THEIR_LINE.match(line)) else line for line in lines]
    reply = "\n".join(lines)
    if "Giving up on" in reply:
        reply = _GAVE_UP_ON.sub("", reply)
    reply = reply.strip()
    before = text[text.rfind("\n", 0, start) + 1 : start]
    if closing := _CLOSING.get(before[-1:], ""):
        return reply[: reply.rindex(closing)] if closing in reply else reply
    return _enclosed(reply) if before.count("(") > before.count(")") else reply


def _enclosed(reply: str) -> str:
    """Cut a reply where the bracket that was open before it closes: `(reason: 552 Over quota)`."""
    depth = 1
    for bracket in _BRACKET.finditer(reply):
        depth += 1 if bracket[0] == "(" else -1
        if not depth:
            return reply[: bracket.start()]
    return reply


def _without_lead_in(paragraph: str) -> str:
    lines = paragraph.split("\n")
    while lines and (LEAD_IN.search(lines[0]) or _ALIAS.match(lines[0])):
        lines = lines[1:]
    return "\n".join(lines)
