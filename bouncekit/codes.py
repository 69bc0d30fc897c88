"""Look up what an SMTP reply code or an enhanced status code means."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from bouncekit import toml
from bouncekit.errors import BouncekitError

# The first digit of a reply code (RFC 5321 §4.2.1), which is also the class of an enhanced code
# (RFC 2034). SMTP ends at 5: codes above are a mail service's own word for "not even tried".
KINDS = {"2": "success", "3": "intermediate", "4": "temporary", "5": "permanent", "6": "permanent"}
# The second digit (RFC 5321 §4.2.1); the others say nothing.
GROUPS = {"0": "syntax", "1": "information", "2": "the connection", "5": "the mail system"}

Kind = pl.Enum(["success", "intermediate", "temporary", "permanent"])
Level = pl.Enum(["class", "subject", "detail"])
Who = pl.Enum(["nobody", "list owner", "mail administrator", "both"])

REPLY_CODES = {
    "code": pl.Int16(),
    "kind": Kind,
    "meaning": pl.String(),
    "who": Who,
    "what_to_do": pl.String(),
    "standard": pl.Boolean(),
    "source": pl.String(),
}
ENHANCED_CODES = {
    "code": pl.String(),
    "level": Level,
    "name": pl.String(),
    "meaning": pl.String(),
    "reply_codes": pl.List(pl.Int16()),
    "who": Who,
    "what_to_do": pl.String(),
    "source": pl.String(),
}

REPLY_CODE = re.compile(r"[2-5]\d\d", re.ASCII)
ENHANCED_CODE = re.compile(  # RFC 3463 §2, without leading zeros; X leaves a part open
    r"([245X])\.(0|[1-9]\d{0,2}|X)\.(0|[1-9]\d{0,2}|X)", re.ASCII
)


@dataclass(frozen=True)
class CodeMeaning:
    """What one code says, put together from `reply_codes()` or `enhanced_codes()`."""

    code: str
    level: str  # reply code, class, subject or detail
    kind: str | None  # one of KINDS; None where the class is X
    title: str  # a few words, from the general to the particular
    meaning: str
    who: str
    what_to_do: str
    reply_codes: tuple[int, ...]  # those the registry names beside this enhanced code
    enhanced_codes: tuple[str, ...]  # those the registry names beside this reply code
    known: bool  # False for a code that its digits alone explain
    source: str


@cache
def reply_codes() -> pl.DataFrame:
    """SMTP reply codes, one row each, lowest first; columns as in `REPLY_CODES`.

    `standard` is False for a code that is in use although no RFC defines it.

    >>> reply_codes().filter(code=550).select("kind", "who", "source").row(0)
    ('permanent', 'both', 'RFC 5321 §4.2.3')
    """
    rows = [
        {"code": int(code), "kind": KINDS[code[0]], "standard": True} | entry
        for code, entry in toml.ours("rules/reply_codes.toml").items()
    ]
    return pl.DataFrame(rows, schema=REPLY_CODES).sort("code")


@cache
def enhanced_codes() -> pl.DataFrame:
    """The IANA registry of SMTP enhanced status codes; columns as in `ENHANCED_CODES`.

    Classes ("5.X.X"), then subjects ("X.1.X"), then details ("X.1.1"), in the registry's order.

    >>> enhanced_codes().filter(code="X.1.1").select("level", "name", "source").row(0)
    ('detail', 'no such mailbox', 'RFC 3463 §3.2')
    """
    rows = [
        {"code": code, "level": _level(code), "reply_codes": []} | entry
        for code, entry in toml.ours("rules/enhanced_codes.toml").items()
    ]
    return pl.DataFrame(rows, schema=ENHANCED_CODES)


def describe(code: str) -> CodeMeaning:
    """Explain a reply code ("550") or an enhanced code ("5.1.1", "X.1.1", "4.7.X", "5.X.X").

    A well-formed code that nobody defines ("5.7.515") is explained as far as its digits go.
    Anything else raises BouncekitError.

    >>> describe("5.1.1").title
    'permanent failure · address · no such mailbox'
    >>> describe("5.7.515").known
    False
    """
    text = code.strip().upper()
    if REPLY_CODE.fullmatch(text) or text in reply_codes()["code"].cast(pl.String):
        return _reply_code(text)
    rows = enhanced_codes().rows_by_key("code", named=True, unique=True)
    if ENHANCED_CODE.fullmatch(text) and (parts := [p for p in _parts(text) if p in rows]):
        return _enhanced_code(text, [rows[part] for part in parts])
    raise BouncekitError(
        f"{code!r} is neither a reply code (three digits, such as 550) nor an enhanced status "
        "code (such as 5.1.1); a whole reply is explained by `bouncekit explain`"
    )


def _reply_code(code: str) -> CodeMeaning:
    kind = KINDS[code[0]]
    rows = reply_codes().rows_by_key("code", named=True, unique=True)
    row = rows.get(int(code)) or _digits(code)
    return CodeMeaning(
        code=code,
        level="reply code",
        kind=kind,
        title=f"{kind} failure" if kind in ("temporary", "permanent") else kind,
        meaning=row["meaning"],
        who=row["who"],
        what_to_do=row["what_to_do"],
        reply_codes=(),
        enhanced_codes=tuple(
            enhanced_codes().filter(pl.col("reply_codes").list.contains(int(code)))["code"]
        ),
        known=int(code) in rows,
        source=row["source"],
    )


def _digits(code: str) -> dict[str, str]:
    """A row for a reply code that nobody defines, as far as its digits go."""
    failed = code[0] in "45"
    group = GROUPS.get(code[1])
    about = f", the second that it is about {group}" if group else ""
    return {
        "meaning": f"No known code: the first digit says {KINDS[code[0]]}{about}.",
        "who": "both" if failed else "nobody",
        "what_to_do": "Keep the address, and decide by the text." if failed else "Nothing.",
        "source": "RFC 5321 §4.2.1",
    }


def _enhanced_code(code: str, found: list[dict[str, Any]]) -> CodeMeaning:
    """Class, subject and detail together; `found` are their rows, the general ones first."""
    class_, nearest = code[0], found[-1]
    known = len(found) == len(_parts(code))
    lead = "" if known else f"{code} is not registered: the number is the receiver's own. "
    return CodeMeaning(
        code=code,
        level=_level(code),
        kind=KINDS.get(class_),
        title=" · ".join(row["name"] for row in found),
        meaning=lead + " ".join(row["meaning"] for row in reversed(found)),
        who="nobody" if class_ == "2" else nearest["who"],
        what_to_do=_what_to_do(class_, found),
        reply_codes=tuple(c for c in nearest["reply_codes"] if class_ in ("X", str(c)[0])),
        enhanced_codes=(),
        known=known,
        source=nearest["source"] if known else "not in the IANA registry",
    )


def _what_to_do(class_: str, found: list[dict[str, Any]]) -> str:
    """The nearest row's advice, tempered by the class: a success asks for nothing.

    A temporary failure waits first, and never removes: advice to a list owner is left out.
    """
    general, nearest = found[0], found[-1]
    advice: str = nearest["what_to_do"]
    if class_ == "2" or (class_ == "4" and nearest["who"] in ("list owner", "nobody")):
        return str(general["what_to_do"])
    if class_ == "4" and nearest is not general:
        return f"{general['what_to_do']} If it lasts, {advice[0].lower()}{advice[1:]}"
    return advice


def _parts(code: str) -> list[str]:
    """The registry's keys for class, subject and detail, without those left open.

    >>> _parts("5.1.1"), _parts("4.7.X")
    (['5.X.X', 'X.1.X', 'X.1.1'], ['4.X.X', 'X.7.X'])
    """
    class_, subject, detail = code.split(".")
    parts = dict.fromkeys((f"{class_}.X.X", f"X.{subject}.X", f"X.{subject}.{detail}"))
    return [part for part in parts if part != "X.X.X"]


def _level(code: str) -> str:
    """Class, subject or detail, by the parts of an enhanced code that are left open."""
    _, subject, detail = code.split(".")
    return "detail" if detail != "X" else "subject" if subject != "X" else "class"
