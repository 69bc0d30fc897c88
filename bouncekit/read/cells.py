"""Read the cells of an export: addresses, codes and the words for what happened."""

from collections.abc import Mapping

import polars as pl

from bouncekit.batches import each_once, looked_up, rest, where
from bouncekit.schema import EVENTS

# What a word may stand for: an event, or "none" of delivery.
Told = pl.Enum([*EVENTS, "none"])

# An address as nearly all are written: nothing around it, its domain in lower case. A
# backslash belongs to quoted local parts only: bare, it is left of an undecodable byte.
CLEAN = r'^[^\s<>@,;:"()\\]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+$'
# Any other: in capitals, in `Name <...>`, after `mailto:`, with a quoted local part.
WRAPPED = (
    r'^(?:[^<>]*<)?\s*(?i:mailto:)?((?:[^\s<>@,;:"()\\]+|"[^"\r\n]+")'
    r'@[^\s<>@,;:"()\\.][^\s<>@,;:"()\\]*)\s*>?$'
)
# x.y.z of RFC 3463, not part of an IP address or a version.
ENHANCED = r"(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?:[^\d.]|\.?$|\.\s)"

# The bytes of ASCII that are seen; others may be part of a space beyond ASCII.
FIRST_SEEN, LAST_SEEN = "!", "~"

# Reply codes (RFC 5321 section 4.2.1 defines second digits up to 5; receivers write up to 57x).
# What lies beyond is a service's own, such as Mailgun's 498 for a domain without MX.
SMTP = r"^[2-5][0-7]\d$"


def text(cell: pl.Expr) -> pl.Expr:
    """The cell without the space around it; null where nothing is left."""
    return where([_unless_empty(cell)], _may_be_padded, _stripped, pl.String())


def _unless_empty(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell != "").then(cell)


def _stripped(cell: pl.Expr) -> pl.Expr:
    return _unless_empty(cell.str.strip_chars())


def _may_be_padded(cell: pl.Expr) -> pl.Expr:
    """True where a cell begins or ends with a byte that may be of a space.

    To strip all cells copies them, and takes twice the time.
    """
    last = cell.cast(pl.Binary).bin.get(-1, null_on_oob=True)
    return _may_be_indented(cell) | ~last.is_between(ord(FIRST_SEEN), ord(LAST_SEEN))


def _may_be_indented(cell: pl.Expr) -> pl.Expr:
    return (cell < FIRST_SEEN) | (cell > LAST_SEEN)


def address(cell: pl.Expr) -> pl.Expr:
    """The one address in a cell, its domain in lower case; null where there is none.

    >>> pl.select(address(pl.lit("Ann <mailto:Ann@Example.ORG.>"))).item()
    'Ann@example.org'
    """
    return where([cell], lambda cell: ~cell.str.contains(CLEAN), _unwrapped, pl.String())


def _unwrapped(cell: pl.Expr) -> pl.Expr:
    stripped = cell.str.strip_chars().str.replace(r"^'(.*)'$", "$1")
    is_clean = stripped.str.contains(CLEAN)
    other = pl.when(~is_clean).then(stripped).str.extract(WRAPPED)
    local = other.str.extract(r"^(.*)@")
    domain = other.str.extract(r"@([^@]*)$").str.to_lowercase().str.strip_chars_end(".")
    return pl.when(is_clean).then(stripped).otherwise(pl.concat_str(local, domain, separator="@"))


def first(cell: pl.Expr) -> pl.Expr:
    """The text of a cell, or of the first item where it is a JSON list (tags are).

    >>> pl.select(first(pl.lit('["spring", "news"]'))).item()
    'spring'
    """
    return where([text(cell)], lambda text: text.str.starts_with("["), _first_item, pl.String())


def _first_item(cell: pl.Expr) -> pl.Expr:
    item = pl.when(cell.str.starts_with('["')).then(cell).str.json_path_match("$[0]")
    return text(pl.coalesce(item, pl.when(cell != "[]").then(cell)))


def ip(cell: pl.Expr) -> pl.Expr:
    """The text of a cell without the port behind an address.

    >>> pl.select(ip(pl.lit("192.0.2.1:25"))).item()
    '192.0.2.1'
    """
    return where(
        [text(cell)],
        lambda text: text.str.contains(":", literal=True) | text.str.starts_with("["),
        _without_port,
        pl.String(),
    )


def _without_port(cell: pl.Expr) -> pl.Expr:
    is_list = cell.str.starts_with("[")
    one = pl.when(is_list).then(_first_item(cell)).otherwise(cell)
    return one.str.replace(r"^\[?([\d.]+|[\da-fA-F:]+\])\]?:\d+$", "$1").str.strip_chars("[]")


def mailbox(cell: pl.Expr) -> pl.Expr:
    """The address in a cell, else its text: a sender is often no more than a name."""
    return rest(address(cell), [cell], text, pl.String())


def reply_code(cell: pl.Expr) -> pl.Expr:
    """The SMTP reply code a cell begins with, Int16; null for others."""
    number = _number(cell)
    return pl.when(number.str.contains(SMTP)).then(number).cast(pl.Int16)


def pseudo_code(cell: pl.Expr) -> pl.Expr:
    """A three-digit code that is none of SMTP, as text: services number their own reasons."""
    number = _number(cell)
    return pl.when(~number.str.contains(SMTP)).then(number)


def enhanced_code(cell: pl.Expr) -> pl.Expr:
    """The x.y.z in a cell, without the phrase some services write behind it; else null."""
    return each_once(cell, lambda cell: cell.str.extract(ENHANCED), pl.String())


def _number(cell: pl.Expr) -> pl.Expr:
    return cell.str.extract(r"^\s*(\d{3})(?:\.0+)?(?:[^\d.]|$)")


def word(cell: pl.Expr) -> pl.Expr:
    """A word for an event without case, space and signs: `Hard Bounce` is `hardbounce`.

    What it is about (`email`), the family of the event (`activity.`) and what is said besides
    (`Hard Bounce - Mailbox Full`) are left out.

    >>> pl.select(word(pl.lit("email.hard_bounced"))).item()
    'hardbounced'
    """
    last = cell.str.to_lowercase().str.replace(r"^(?:[\w-]+[.:])+(\w)", "$1")
    lower = last.str.replace(r"^(?:on[._ -])?(?:(?:email|message|msg|mail)[._ -]?)?", "")
    bare = lower.str.replace(r"^([^\W\d_][^-–(:]*?)(?:\s+[-–]\s|\s*\(|:\s).*$", "$1")
    return text(bare.str.replace_all(r"[\W_]+", ""))


def written(cell: pl.Expr) -> pl.Expr:
    """A cell as it is; null where it is blank."""
    return where([_unless_empty(cell)], _may_be_indented, _unless_blank, pl.String())


def listed(cell: pl.Expr) -> pl.Expr:
    """A cell as it is, or the first item where it is a JSON list of texts; null where blank."""
    return where([written(cell)], lambda text: text.str.starts_with('["'), _first_item, pl.String())


def _unless_blank(cell: pl.Expr) -> pl.Expr:
    return pl.when(cell.str.strip_chars() != "").then(cell)


def place(cell: pl.Expr, words: Mapping[str, str]) -> pl.Expr:
    """The place of a cell among words, as an Enum of these: what `at` looks up."""
    return cell.cast(pl.Enum(list(words)), strict=False)


def at(place: pl.Expr, values: pl.Series) -> pl.Expr:
    """The value at each place."""
    return looked_up(place.to_physical(), values)


def event(cell: pl.Expr, words: Mapping[str, str]) -> pl.Expr:
    """The event a word stands for by `words` (word -> event, of Told); null for other words."""
    return event_at(place(cell, words), cell, words)


def event_at(placed: pl.Expr, cell: pl.Expr, words: Mapping[str, str]) -> pl.Expr:
    """The same, where the place of the cell is known."""
    events = pl.Series(list(words.values()), dtype=Told)
    return rest(
        at(placed, events), [cell], lambda other: at(place(word(other), words), events), Told
    )
