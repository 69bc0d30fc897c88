"""Addresses in a text: hidden behind their first letters, or replaced by pseudonyms."""

import hmac
from functools import lru_cache
from typing import Final

import polars as pl

from bouncekit.batches import by_batch

# An address anywhere in a text: a quoted or plain local part, @ or its form in links (%40), then an
# address literal or a domain. Wider than RFC 5321 §4.1.2 on purpose: what looks like an address is
# hidden. The groups keep what may be seen: 1 what stands before a quoted local part, 2 and 3 its
# first character, 4 the @, 5 the first character of the domain, 6 the top-level domain.
_REST = r"""[^\s<>()\[\]:;,"]*"""
_QUOTED = r"""(^|[\s<>()\[\]:;,])"[^"\w]*(\w?)[^"\r\n]*["]"""
_PLAIN = rf"""([^\s<>()\[\]:;,"@\\*'`]){_REST}|\*{_REST}"""
_DOMAIN = r"\[[^\]\s]*\][\w*.-]*|([\w-]?)(?:[\w*.-]*(\.[\w-]+)|[\w*-]*)"
ADDRESS: Final = f"(?:{_QUOTED}|{_PLAIN})(@|%40)(?:{_DOMAIN})"
_SHOWN = "${1}${2}${3}***${4}${5}***${6}"

# What stands for the @ where one would be read or cut off: in quoted-printable, in links encoded
# twice, in HTML, JSON and log lines (RFC 3461 §4 writes +40), in full width, and as people hide it.
_AT = (
    r"(?:=(?:3D)?40|%2540|&#0*64;|&#x0*40;|&commat;|\\u0040|\\x40|\+40|＠|﹫"
    r"|_at_| ?[\[({<] ?at ?[\])}>] ?)"
)
_NAME = r"(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}-]+"
_WRITTEN_OTHERWISE = rf"(?i)([\p{{L}}\p{{N}}._%+*'=-]){_AT}({_NAME})"
# A variable envelope return path that lost its end: bounce-7-ann=example.org.
_RETURN_PATH = rf"""([+-][^\s<>()\[\]:;,"@=]{{1,64}})=({_NAME})($|[^@\w.-])"""

_USER = "u_[0-9a-f]{16}"
HOST: Final = r"h_[0-9a-f]{12}\.masked"
_HIDDEN_AT = "\ue000"  # private use: stands for the @ of a pseudonym while addresses are masked


def masked(expr: pl.Expr) -> pl.Expr:
    """A String expression with one character left of each local part and of each domain.

    Pseudonyms made by `mask(frame, key)` stay as they are, and so do masked addresses.

    >>> pl.select(masked(pl.lit("550 5.1.1 <ann.lee@mail.example.org>: user unknown"))).item()
    '550 5.1.1 <a***@m***.org>: user unknown'
    """
    return _shown(_hidden(expr).str.replace_all(ADDRESS, _SHOWN))


def pseudonymous(expr: pl.Expr, key: bytes) -> pl.Expr:
    """The text with its addresses as keyed pseudonyms."""
    return _shown(by_batch(_hidden(expr), lambda texts: _replaced(texts, key), pl.String()))


def _hidden(expr: pl.Expr) -> pl.Expr:
    """The text with its pseudonyms made to look like no address, and its addresses like one."""
    plain = expr.str.replace_all(_WRITTEN_OTHERWISE, "${1}@${2}")
    plain = plain.str.replace_all(_RETURN_PATH, "${1}@${2}${3}")
    return plain.str.replace_all(f"({_USER})@({HOST})", f"${{1}}{_HIDDEN_AT}${{2}}")


def _shown(expr: pl.Expr) -> pl.Expr:
    """The text with its pseudonyms as they were."""
    return expr.str.replace_all(f"({_USER}){_HIDDEN_AT}({HOST})", "${1}@${2}")


def hosts(domains: pl.Series, key: bytes) -> pl.Series:
    """The domains as their pseudonyms; each distinct one is hashed once."""
    names = {domain: host(domain, key) for domain in domains.unique().drop_nulls()}
    return domains.replace_strict(names, default=None, return_dtype=pl.String)


def _replaced(texts: pl.Series, key: bytes) -> pl.Series:
    """The texts with each address in them as its pseudonym; each distinct one is hashed once."""
    lines = pl.DataFrame({"text": texts.unique().drop_nulls()}).with_columns(
        found=pl.col("text").str.extract_all(ADDRESS),
        between=pl.col("text").str.split(ADDRESS, literal=False),
    )
    found = lines.select(pl.col("found").explode().drop_nulls().unique())
    # What masking leaves as it is has been masked before: hashing it would join strangers.
    new = found.filter(pl.col("found") != masked(pl.col("found")))["found"]
    names = {address: _pseudonym(address, key) for address in new}
    safe = (
        # A text has one piece more than it has addresses.
        lines.select("text", "between", found=pl.col("found").list.concat(pl.lit([""])))
        .explode("between", "found")
        .group_by("text", maintain_order=True)
        .agg(safe=(pl.col("between") + pl.col("found").replace(names)).str.join())
    )
    return texts.replace_strict(safe["text"], safe["safe"], return_dtype=pl.String)


def _pseudonym(address: str, key: bytes) -> str:
    """The pseudonym of an address as found in a text."""
    before, quote, _ = address.partition('"')
    quoted = bool(quote) and len(before) <= 1  # a quoted local part is found with what precedes it
    bare = address[len(before) if quoted else 0 :].replace("%40", "@").lower()
    local, _, domain = bare.rpartition("@")
    name = f"u_{_digest(f'{local}@{ascii_domain(domain)}', key)[:16]}@{host(domain, key)}"
    return before + name if quoted else name


@lru_cache(maxsize=100_000)  # many addresses share a domain
def host(domain: str, key: bytes) -> str:
    """The pseudonym of a domain."""
    return f"h_{_digest(ascii_domain(domain), key)[:12]}.masked"


def ascii_domain(domain: str) -> str:
    """The ASCII form of a domain (RFC 5890), so that one domain has one pseudonym."""
    name = domain.lower().rstrip(".")
    try:
        return name.encode("idna").decode()
    except UnicodeError:  # no host name, or one that IDNA 2003 refuses
        return name


def _digest(text: str, key: bytes) -> str:
    """HMAC-SHA256 of the text, in hex."""
    return hmac.digest(key, text.encode(), "sha256").hex()
