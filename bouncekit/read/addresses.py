"""Find mail addresses in text and header fields, and write them one way."""

import re

from bouncekit.read.mime import Headers

# What stands between addresses and other text, in Chinese and Japanese too.
_BETWEEN = r"""\s<>()\[\]"',;:|（）〈〉《》「」『』【】“”‘’、，：；。"""
_LOCAL = rf"""(?:"[^"\s@]{{1,64}}"|(?<![^{_BETWEEN}])[^{_BETWEEN}@]{{1,128}})"""
# The last label is all ASCII letters or none: text in other scripts may follow without a blank.
_DOMAIN = (
    r"(?:(?:[\w-]{1,63}\.)+(?:[A-Za-z0-9-]{2,63}|[^\W0-9A-Za-z_]{2,63})"
    r"|\[[0-9A-Fa-f.:IPv]{2,48}\])"
)
ADDRESS = rf"{_LOCAL}@{_DOMAIN}"

_ANY_ADDRESS = re.compile(ADDRESS)
_TYPE = re.compile(r"^\s*[\w/-]*\s*;")
# How nearly all fields write it.
_PLAIN_FIELD = re.compile(
    r"[ \t]*[\w/-]*[ \t]*;[ \t]*([\w-][\w.-]{0,63}@(?:[\w-]{1,63}\.)+[A-Za-z0-9-]{2,63})[ \t]*",
    re.ASCII,
)
# How nearly all headers write the one address that they hold.
_PLAIN_HEADER = re.compile(
    r"(?:[^@<>]*<|[ \t]*)([\w+=-][\w.+=-]{0,62}@(?:[\w-]{1,63}\.)+[A-Za-z0-9-]{2,63})>?[ \t]*",
    re.ASCII,
)
_ESCAPED_LETTER = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_ESCAPED_OCTET = re.compile(r"\+([0-9A-F]{2})")
# Return paths with a recipient in them. Services mark where he begins, whatever is in his name.
_DOMAIN_OF_PATH = r"=(?P<domain>(?:[\w-]+\.)+(?:[^\W\d_]{2,}|xn--[\w-]+))@"
_OF_A_SERVICE = "|".join(
    (
        r"[^@=+]*?[+-]\d{5}[a-z2-7]{10}-",  # signed: bouncekit.verp
        r"bounces?\+\d+-[0-9a-f]{4}-",  # SendGrid
        r"bounce\+[0-9a-f]+\.[0-9a-f]+-",  # Mailgun
        r"bounce-mc\.us\d+_[\d.]+-",  # Mailchimp
        r"sentto(?:-\d+)+-",  # Yahoo Groups
    )
)
_SERVICE = re.compile(rf"^(?:{_OF_A_SERVICE})", re.I)
_SERVICE_VERP = re.compile(
    rf"^(?:{_OF_A_SERVICE})(?P<local>[^@=]+){_DOMAIN_OF_PATH}",
    re.I,
)
# Those of list managers, and a box with a `+`. Of any other it cannot be told where the recipient
# begins (`march-bo`, `mary-jane`), nor where what comes before a hyphen looks made (`4711-bo`,
# `xy.zz-bo`).
_IS_WHOLE = r"(?![^@=+-]*[\d.][^@=+-]*-)"
_OF_A_LIST = r"(?:[^@=]*?[+-])?(?:bounces?|returns?|owner|errors?|verp)"
_BEFORE_RECIPIENT = "|".join(
    (
        r"[^@=]*?-return-(?:\d+-)?",  # ezmlm
        rf"{_OF_A_LIST}\+(?:\d+[+-])*{_IS_WHOLE}(?=(?P<tagged>[^@=]+\+))?",  # Mailman
        rf"{_OF_A_LIST}-(?:\d+[+-])*(?![^@=]*-)",
        rf"[^@=+]+\+{_IS_WHOLE}",
        r"(?!bounces?_|[^@=]*-)",  # a host of its own
    )
)
_VERP = re.compile(
    rf"^(?!prvs|btv1|srs)(?:{_BEFORE_RECIPIENT})"
    rf"(?P<local>(?(tagged)[^@=]+|[^@=+]+)){_DOMAIN_OF_PATH}",
    re.I,
)
_SYMPA = re.compile(r"^[^@=]*?\+(?P<local>[^@=]+)==a==(?P<domain>[^@=]+)==", re.I)


def addresses(text: str) -> list[str]:
    """Give the addresses in a text, each once, in order.

    >>> addresses("Ann <ann@example.org>, 'bo@example.org' and ann@example.org.")
    ['ann@example.org', 'bo@example.org']
    >>> addresses("收件人（ann@example.org）：邮箱不存在")
    ['ann@example.org']
    """
    if "@" not in text:
        return []
    if plain := _PLAIN_HEADER.fullmatch(text):
        return [plain[1]]
    # No address holds a blank: to look for them in few words is much quicker.
    words = " ".join([word for word in text.split() if "@" in word])
    return list(dict.fromkeys(map(bare, _ANY_ADDRESS.findall(words))))


def in_header(headers: Headers, name: str) -> list[str]:
    """Give the addresses in all the headers of a name, each once."""
    values = headers.all(name)
    if len(values) < 2:
        return addresses(values[0]) if values else []
    return list(dict.fromkeys(a for value in values for a in addresses(value)))


def bare(address: str) -> str:
    """Drop the marks around an address; a quoted local part keeps its quotes."""
    return address if address.startswith('"') else address.strip("'.")


def local_part(address: str) -> str:
    """Give what stands before the @, in lower case."""
    return address.rpartition("@")[0].lower()


def normal(address: str | None) -> str | None:
    """Write the domain in lower case; the local part is the receiver's to interpret."""
    local, at, domain = (address or "").rpartition("@")
    return f"{local}{at}{domain.lower()}" if address else None


def in_field(value: str, final: str = "") -> str:
    r"""Give the address in a recipient field: its type left out, its escapes undone.

    RFC 6533 §3 writes letters beyond ASCII as \x{00E9}; RFC 3461 §4 writes octets as +2B, which
    is believed only if it leads to `final`, the address known from another field.

    >>> in_field("utf-8; caf\\x{00E9}@example.org")
    'café@example.org'
    >>> in_field("rfc822;a+2Bb@example.org", final="a+b@example.org")
    'a+b@example.org'
    """
    if not value:
        return ""
    if plain := _PLAIN_FIELD.fullmatch(value):
        return plain[1]
    text = _ESCAPED_LETTER.sub(_letter, _TYPE.sub("", value).strip())
    unescaped = _ESCAPED_OCTET.sub(lambda m: chr(int(m[1], 16)), text)
    if unescaped.lower() == final.lower() or "@" not in text:
        text = unescaped
    found = addresses(text)
    return found[0] if found else text.strip("<> ")


def in_verp(address: str) -> str:
    """Give the recipient that a variable envelope return path carries, else an empty text.

    >>> in_verp("news-bounces+ann=example.org@lists.example.net")
    'ann@example.org'
    >>> in_verp("bounces+1234567-0a1b-ann=example.org@em.example.net")  # SendGrid
    'ann@example.org'
    """
    is_of_service = _SERVICE.match(address) is not None
    path = _SERVICE_VERP if is_of_service else _VERP
    found = _SYMPA.match(address) or path.match(address)
    return f"{found['local']}@{found['domain']}" if found else ""


def _letter(escape: re.Match[str]) -> str:
    code = int(escape[1], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "�"
