"""The files that rotation cuts a log into, as the one log that they are.

What is put off today is given up in five days (RFC 5321 §4.5.4.1), in another file: read alone,
the last of them tells of nobody.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date
from itertools import pairwise
from pathlib import Path

from bouncekit.read.logs import stamps

_PACKED = re.compile(r"\.(?:gz|zst|bz2|xz)$", re.I)
# A number counts up as a file grows older (logrotate, newsyslog), a day tells of itself
# (logrotate's dateext, Exim's log_file_path with %D).
_ROTATED = re.compile(r"[._-](?:(?P<day>\d{4}-?\d\d-?\d\d)|(?P<number>\d{1,3})$)")


def series(paths: Sequence[Path]) -> list[list[Path]]:
    """Give the files that may be one log by their names, the oldest first; others alone.

    Where one is missing between two, what follows may be about other messages with the same ids.

    >>> names = ["mail.log", "mail.log.2.gz", "mail.log.1", "mail.log.4.gz"]
    >>> [[path.name for path in paths] for paths in series([Path(name) for name in names])]
    [['mail.log.4.gz'], ['mail.log.2.gz', 'mail.log.1', 'mail.log']]
    """
    families: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        plain = _PACKED.sub("", path.name)
        families.setdefault((path.parent, _ROTATED.sub("", plain, count=1)), []).append(path)
    return [part for family in families.values() for part in _by_age(family)]


def _by_age(family: list[Path]) -> Iterator[list[Path]]:
    """Give the files of one name, the oldest first, as far as they follow one another."""
    told = [(path, _ROTATED.search(_PACKED.sub("", path.name))) for path in family]
    written = [path for path, found in told if not found]  # now
    days = sorted((_day(found["day"]), path) for path, found in told if found and found["day"])
    numbers = sorted(
        (-int(found["number"]), path) for path, found in told if found and found["number"]
    )
    if (days and numbers) or len(written) > 1 or any(day == 0 for day, _ in days):
        yield from ([path] for path in family)
        return
    # The one that is written now comes before 1, or before 0 where there is one.
    now = 1 if any(number == 0 for number, _ in numbers) else 0
    ages = days or [*numbers, *((now, path) for path in written)]
    steps = [two - one for (one, _), (two, _) in pairwise(ages)]
    usual = 1 if numbers else min(filter(None, steps), default=1)
    part = [path for _, path in ages[:1]]
    for step, (_, path) in zip(steps, ages[1:], strict=True):
        if step >= 2 * usual:  # one is missing
            yield part
            part = []
        part.append(path)
    yield [*part, *(written if days else [])]


def _day(text: str) -> int:
    """Give the number of a day, or 0 for a text that is none."""
    with suppress(ValueError):
        return date.fromisoformat(text).toordinal()
    return 0


def go_on(heads: Sequence[str]) -> bool:
    """True where each file begins later than the one before, within a year, and on the same hosts.

    `heads` are their first lines, without wrappings.
    """
    hosts = [stamps.hosts(head) for head in heads]
    if any(one and two and not one & two for one, two in pairwise(hosts)):
        return False
    begins = [begin for head in heads if (begin := stamps.in_order(head))]
    if len(begins) < len(heads) or len({len(begin) for begin in begins}) > 1:
        return False
    falls = [(one, two) for one, two in pairwise(begins) if one >= two]
    # Months without a year begin anew once, in winter.
    is_yearless = len(begins[0]) == stamps.YEARLESS
    in_winter = all(is_yearless and one >= "10" and two < "04" for one, two in falls)
    return not falls or (len(falls) == 1 and in_winter and begins[-1] < begins[0])
