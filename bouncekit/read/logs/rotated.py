"""The files that rotation cuts a log into, as the one log that they are.

What is put off today is given up in five days (RFC 5321 §4.5.4.1), in another file: read alone,
the last of them tells of nobody.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bouncekit.read.logs import stamps

_PACKED = re.compile(r"\.(?:gz|zst|bz2|xz)$", re.I)
# A number counts up as a file grows older (logrotate, newsyslog), a day tells of itself
# (logrotate's dateext, Exim's log_file_path with %D).
_ROTATED = re.compile(r"[._-](?:(?P<day>\d{4}-?\d\d-?\d\d)|(?P<number>\d{1,3})$)")


def series(paths: Sequence[Path]) -> list[list[Path]]:
    """Give the files that may be one log by their names, the oldest first; others alone.

    >>> [names] = series([Path("mail.log"), Path("mail.log.2.gz"), Path("mail.log.1")])
    >>> [path.name for path in names]
    ['mail.log.2.gz', 'mail.log.1', 'mail.log']
    """
    families: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        plain = _PACKED.sub("", path.name)
        families.setdefault((path.parent, _ROTATED.sub("", plain, count=1)), []).append(path)
    return [sorted(family, key=_age) for family in families.values()]


def _age(path: Path) -> tuple[str, int]:
    """Give what sorts the files of a log: the one that is written now is the newest."""
    found = _ROTATED.search(_PACKED.sub("", path.name))
    if found is None:
        return "9999", 0
    if found["day"]:
        return found["day"].replace("-", ""), 0
    return "9999", -1 - int(found["number"])


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
