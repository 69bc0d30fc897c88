"""The dates of mails."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

# How nearly all mails write the time; the standard library reads all the ways there are, slowly.
_PLAIN_TIME = re.compile(
    r"(?:[A-Z][a-z]{2}, {1,2})?(\d{1,2}) ([A-Z][a-z]{2}) ((?:19|20)\d\d) (\d\d:\d\d:[0-5]\d) "
    r"([+-][01]\d)([0-5]\d)(?: \([A-Z]{2,5}\))?",
    re.ASCII,
)
_COLON_IN_ZONE = re.compile(r"([+-]\d\d):(\d\d)\s*$")
_LEAP_SECOND = re.compile(r"(\d\d:\d\d):60\b")
_FROM_UTC = re.compile(r"\b(?:GMT|UTC)([+-])(\d{1,2})(?::?(\d\d))?\b")
# Beside those of America, which RFC 5322 §4.3 names; of several meanings none is taken.
_NAMED = {
    name: offset
    for offset, names in {
        "-0300": "BRT",
        "+0100": "WEST CET MET BST",
        "+0200": "CEST MEST EET",
        "+0300": "EEST MSK TRT",
        "+0800": "AWST HKT SGT",
        "+0900": "JST KST",
        "+1000": "AEST",
        "+1100": "AEDT",
        "+1200": "NZST",
        "+1300": "NZDT",
    }.items()
    for name in names.split()
}
_NAMED_ZONE = re.compile(rf"(?<=\d )\(?({'|'.join(_NAMED)})\)?(?=\s*$| \d{{4}}\s*$)")
_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = {_MONTH_NAMES[at : at + 3]: at // 4 + 1 for at in range(0, 48, 4)}


@lru_cache(maxsize=256)  # the bounces of a mailing quote one time, and many come in a second
def parse_time(text: str) -> datetime | None:
    """Read an RFC 5322 date as UTC; None where it is none.

    >>> parse_time("Thu, 29 Apr 2010 23:34:45 +0900 (JST)")
    datetime.datetime(2010, 4, 29, 14, 34, 45, tzinfo=datetime.timezone.utc)
    """
    if plain := _PLAIN_TIME.fullmatch(text):
        day, month, year, clock, hours, minutes = plain.groups()
        iso = f"{year}-{_MONTHS.get(month, 0):02}-{day:0>2}T{clock}{hours}:{minutes}"
        try:
            return datetime.fromisoformat(iso).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    try:
        time = _odd_time(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _odd_time(text: str) -> datetime:
    """Read a date as hardly any mail writes it; without a zone, or with one nobody knows, naive."""
    text = _LEAP_SECOND.sub(r"\1:59", text)
    if text[:4].isdigit() and text[4:5] == "-":
        return datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-"))
    text = _COLON_IN_ZONE.sub(r"\1\2", text)
    text = _FROM_UTC.sub(lambda zone: f"{zone[1]}{zone[2]:0>2}{zone[3] or '00'}", text)
    return parsedate_to_datetime(_NAMED_ZONE.sub(lambda zone: _NAMED[zone[1]], text))
