"""Tell the columns of a PowerMTA accounting file without a header by what they hold.

Rotated files and `tail -f` lose the header, and the configuration may list any columns in any order
(PowerMTA User's Guide, "The Accounting File").
"""

import re
from collections.abc import Iterator, Sequence

Rows = Sequence[Sequence[str]]

TYPES = "d|b|t|tq|r|f|rb|rs|delivery|bounce|transient|received|feedback"
DEFAULT = (
    *("type", "timeLogged", "timeQueued", "orig", "rcpt", "orcpt", "dsnAction", "dsnStatus"),
    *("dsnDiag", "dsnMta", "bounceCat", "srcType", "srcMta", "dlvType", "dlvSourceIp"),
    *("dlvDestinationIp", "dlvEsmtpAvailable", "dlvSize", "vmta", "jobId", "envId", "queue"),
    "vmtaPool",
)
ADDRESS = r"<?[^@\s<>]+@[^@\s<>]+>?"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[+-]\d{4})?|\d{9,10}"
HOST = r"[\w.-]+ \([\d.:a-fA-F]+\)"
IP = r"\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:]+"
CATEGORIES = (
    "bad-mailbox|bad-domain|inactive-mailbox|quota-issues|invalid-sender|spam-related"
    "|policy-related|content-related|routing-errors|relaying-issues|no-answer-from-host"
    "|bad-connection|message-expired|protocol-errors|bad-configuration|virus-related|other"
)
# What the filled cells of a column all look like. Where several columns look alike, DIFFERING
# says which one is which, by how often its cells differ.
LOOKS = {
    "type": TYPES,
    "dsnAction": "failed|delayed|delivered|relayed|expanded",
    "dsnStatus": r"[245]\.\d{1,3}\.\d{1,3}(?: ?\(.*\))?",
    "dsnDiag": r"(?i:smtp|x-[\w-]+|dns);.*",
    "bounceCat": CATEGORIES,
    "orcpt": rf"(?i:rfc822|utf-8); ?{ADDRESS}",
}
DIFFERING = (
    (TIME, "timeLogged", "timeQueued"),
    (ADDRESS, "rcpt", "orig"),
    (HOST, "dsnMta", "srcMta"),
    (IP, "dlvDestinationIp", "dlvSourceIp"),
)
EVIDENCE = {"dsnStatus", "dsnDiag", "bounceCat"}


def headings(rows: Rows) -> list[str] | None:
    """The headings of an accounting file's first records; None where they are none of one.

    A heading is empty where nothing tells what its column is.
    """
    width = len(rows[0])
    for row in rows:
        if len(row) == width and {"type", "rcpt"} <= set(row):  # what a restart wrote midway
            return list(row)
    if _is_default(rows[0]):
        return [*DEFAULT, *[""] * max(width - len(DEFAULT), 0)][:width]
    columns = [[row[n].strip() for row in rows if n < len(row)] for n in range(width)]
    named = dict(_looks(columns)) | dict(_differing(columns, rows))
    told = set(named.values())
    is_one = {"type", "timeLogged", "rcpt"} <= told and bool(told & EVIDENCE)
    return [named.get(n, "") for n in range(width)] if is_one else None


def _is_default(row: Sequence[str]) -> bool:
    """True for a record of the columns that are written unless others are asked for."""
    looks = {0: TYPES, 1: TIME, 2: f"(?:{TIME})?", 3: f"(?:{ADDRESS})?", 4: ADDRESS}
    return len(row) > 10 and all(re.fullmatch(look, row[n]) for n, look in looks.items())


def _looks(columns: Rows) -> Iterator[tuple[int, str]]:
    for name, look in LOOKS.items():
        alike = _alike(columns, look)
        if len(alike) == 1:
            yield alike[0], name


def _differing(columns: Rows, rows: Rows) -> Iterator[tuple[int, str]]:
    """Recipients and what goes with them differ from row to row, our own side repeats itself."""
    for look, varied, same in DIFFERING:
        alike = _alike(columns, look)
        if varied == "timeLogged":  # as written: when it happened stands before when it was queued
            ranked = alike
        else:
            ranked = sorted(alike, key=lambda n: (-len(set(columns[n])), -_mentions(n, rows), -n))
        if len(alike) == 1 and varied in ("rcpt", "timeLogged"):
            yield alike[0], varied
        elif len(alike) > 1:
            yield ranked[0], varied
            yield ranked[-1], same


def _mentions(column: int, rows: Rows) -> int:
    """In how many rows another cell speaks of what a cell of the column holds, or of its domain."""
    return sum(
        any(
            row[column].rpartition("@")[2].strip("<> ") in cell
            for n, cell in enumerate(row)
            if n != column and row[column].strip() and "@" not in cell.partition(" ")[0]
        )
        for row in rows
        if column < len(row)
    )


def _alike(columns: Rows, look: str) -> list[int]:
    """Columns with something in them and nothing but what looks so."""
    return [
        n
        for n, cells in enumerate(columns)
        if any(cells) and all(re.fullmatch(look, cell, re.DOTALL) for cell in cells if cell)
    ]
