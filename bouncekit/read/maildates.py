"""The dates of mails."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

# How nearly all mails write the time; the standard library reads all the ways there are, slowly.
_PLAIN_TIME = re.compile(
    r"(?:[A-Z][a-z]{2}, {1,2})?(\d{1,2}) ([A-Z][a-z]{2}) ((?:19|20)\d\d) (\d\d:\d\d:\d\d) "
    r"([+-][01]\d)([0-5]\d)(?: \([A-Z]{2,5}\))?",
    re.ASCII,
)
_COLON_IN_ZONE = re.compile(r"([+-]\d\d):(\d\d)\s*$")
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
    text = _COLON_IN_ZONE.sub(r"\1\2", text)
    try:
        time = parsedate_to_datetime(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
