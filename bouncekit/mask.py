"""Addresses made safe to show; with a key, pseudonyms that still join."""

import hmac
from functools import lru_cache
from typing import Final, TypeVar

import polars as pl
from polars.datatypes import DataTypeClass

from bouncekit.errors import BouncekitError

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

# The free texts in which a receiver may name the local part alone: "no mailbox named ann.lee".
TEXTS: Final = ("reply", "because")
ADDRESSES: Final = ("recipient", "final_recipient")

# An address anywhere in a text: a quoted or plain local part, @ or its form in links (%40), then an
# address literal or a domain. Wider than RFC 5321 §4.1.2 on purpose: what looks like an address is
# hidden. The groups keep what may be seen: 1 what stands before a quoted local part, 2 and 3 its
# first character, 4 the @, 5 the first character of the domain, 6 the top-level domain.
_REST = r"""[^\s<>()\[\]:;,"]*"""
_QUOTED = r"""(^|[\s<>()\[\]:;,])"[^"\w]*(\w?)[^"\r\n]*["]"""
_PLAIN = rf"""([^\s<>()\[\]:;,"@\\*'`]){_REST}|\*{_REST}"""
_BARE = r"""([^\s<>()\[\]:;,"@\\*'`][^\s<>()\[\]:;,"@*]{1,63})@"""
_DOMAIN = r"\[[^\]\s]*\][\w*.-]*|([\w-]?)(?:[\w*.-]*(\.[\w-]+)|[\w*-]*)"
ADDRESS: Final = f"(?:{_QUOTED}|{_PLAIN})(@|%40)(?:{_DOMAIN})"
_SHOWN = "${1}${2}${3}***${4}${5}***${6}"

_USER = "u_[0-9a-f]{16}"
_HOST = r"h_[0-9a-f]{12}\.masked"
_ORIGINAL = "bouncekit address as it was: "  # temporary columns
_HIDDEN_AT = "\ue000"  # private use: stands for the @ of a pseudonym while addresses are masked


def masked(expr: pl.Expr) -> pl.Expr:
    """A String expression with one character left of each local part and of each domain.

    Pseudonyms made by `mask(frame, key)` stay as they are, and so do masked addresses.

    >>> pl.select(masked(pl.lit("550 5.1.1 <ann.lee@mail.example.org>: user unknown"))).item()
    '550 5.1.1 <a***@m***.org>: user unknown'
    """
    return _shown(_hidden(expr).str.replace_all(ADDRESS, _SHOWN))


def mask(frame: Frame, key: str | bytes | None = None) -> Frame:
    """The same frame with every address made safe to show.

    Goes through all text columns (String, Categorical, and lists, arrays or structs of them),
    whatever their names. In `reply` and `because` the local part of the row's own recipient is
    hidden also where it stands alone. The column `domain` is treated like the domain of an
    address; `provider` names no person and stays.

    Without a key `ann@example.org` becomes `a***@e***.org`: for reading, since two addresses may
    look alike afterwards. With a key it becomes a pseudonym, `u_<16 hex>@h_<12 hex>.masked`
    (HMAC-SHA256, RFC 2104, of the lower-cased address and of its domain), the same for the same
    address in any frame masked with the same key: for counting and joining. Rows, their order and
    the schema stay. Raises BouncekitError for an empty key.

    >>> mask(pl.DataFrame({"recipient": ["ann@example.org"], "events": [3]})).row(0)
    ('a***@e***.org', 3)
    """
    if key is not None and not key:
        raise BouncekitError("mask: the key is empty; give a secret, or none for a***@e***.org")
    secret = key.encode() if isinstance(key, str) else key
    schema = frame.collect_schema()
    texts = [name for name, dtype in schema.items() if _holds_text(dtype)]
    safe = frame.with_columns(
        *(pl.col(name).alias(_ORIGINAL + name) for name in ADDRESSES if name in texts),
        *(_safe(name, schema[name], secret) for name in texts),
    )
    for name in ADDRESSES:
        if schema.get(name) == pl.String:
            safe = safe.with_columns(
                _without_local_part(text, name) for text in TEXTS if schema.get(text) == pl.String
            )
    return safe.select(schema.names())


def _safe(name: str, dtype: pl.DataType, key: bytes | None) -> pl.Expr:
    """One column made safe, by its name and dtype."""
    if name == "domain" and dtype == pl.String:
        return _safe_domain(pl.col(name), key)
    return _of_dtype(pl.col(name), dtype, key)


def _without_local_part(text: str, address: str) -> pl.Expr:
    """The text column with the local part of the row's address hidden where it stands alone."""
    original, seen = pl.col(_ORIGINAL + address), pl.col(text).str.to_lowercase()
    # What was safe before has no local part to hide. RFC 5321 §4.5.3.1.1: 64 octets at most.
    local = pl.when(original != pl.col(address)).then(original).str.extract(_BARE)
    # A regex per row is dear: built only for the rows that name the local part at all,
    # and not as what stays of a masked address, its top-level domain or its %40.
    named, *shown = (
        seen.str.contains(before + local.str.to_lowercase(), literal=True)
        for before in (pl.lit(""), pl.lit("."), pl.lit("%"))
    )
    bare = pl.when(named & ~pl.any_horizontal(shown)).then(local)
    word = r"(?i)\b{start-half}" + bare.str.escape_regex() + r"\b{end-half}"
    hidden = pl.col(address).str.extract(r"([^\s<@]*)@")
    return pl.coalesce(pl.col(text).str.split(word, literal=False).list.join(hidden), text)


def _holds_text(dtype: pl.DataType) -> bool:
    """True for String and Categorical, and for lists, arrays and structs that hold them."""
    if isinstance(dtype, (pl.List, pl.Array)):
        return _holds_text(_instance(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return any(_holds_text(_instance(field.dtype)) for field in dtype.fields)
    return dtype in (pl.String, pl.Categorical)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """The dtype as an instance: a nested dtype may carry the class."""
    return dtype() if isinstance(dtype, type) else dtype


def _of_dtype(expr: pl.Expr, dtype: pl.DataType, key: bytes | None) -> pl.Expr:
    """The expression with its texts masked, however deep they lie, and its dtype kept."""
    if isinstance(dtype, (pl.List, pl.Array)):
        items = _of_dtype(pl.element(), _instance(dtype.inner), key)
        return expr.list.eval(items) if isinstance(dtype, pl.List) else expr.arr.eval(items)
    if isinstance(dtype, pl.Struct):
        return expr.struct.with_fields(
            _of_dtype(pl.field(field.name), _instance(field.dtype), key)
            for field in dtype.fields
            if _holds_text(_instance(field.dtype))
        )
    if dtype == pl.Categorical:
        return _of_dtype(expr.cast(pl.String), pl.String(), key).cast(dtype)
    return masked(expr) if key is None else _pseudonymous(expr, key)


def _hidden(expr: pl.Expr) -> pl.Expr:
    """The text with its pseudonyms made to look like no address."""
    return expr.str.replace_all(f"({_USER})@({_HOST})", f"${{1}}{_HIDDEN_AT}${{2}}")


def _shown(expr: pl.Expr) -> pl.Expr:
    """The text with its pseudonyms as they were."""
    return expr.str.replace_all(f"({_USER}){_HIDDEN_AT}({_HOST})", "${1}@${2}")


def _safe_domain(domain: pl.Expr, key: bytes | None) -> pl.Expr:
    """`mail.example.org` as `m***.org` or as its pseudonym; what is safe already stays."""
    shown = domain.str.replace(r"(?s)^(.).*?(\.[\w-]+)?\.?$", "${1}***${2}")
    new = shown
    if key is not None:
        new = domain.map_batches(
            lambda domains: _hosts(domains, key), return_dtype=pl.String, is_elementwise=True
        )
    safe_already = domain.str.contains(f"^{_HOST}$") | (domain == shown)
    return pl.when(safe_already).then(domain).otherwise(new)


def _hosts(domains: pl.Series, key: bytes) -> pl.Series:
    """The domains as their pseudonyms; each distinct one is hashed once."""
    names = {domain: _host(domain, key) for domain in domains.unique().drop_nulls()}
    return domains.replace_strict(names, default=None, return_dtype=pl.String)


def _pseudonymous(expr: pl.Expr, key: bytes) -> pl.Expr:
    """The text with its addresses as keyed pseudonyms."""
    return _shown(
        _hidden(expr).map_batches(
            lambda texts: _replaced(texts, key), return_dtype=pl.String, is_elementwise=True
        )
    )


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
    name = f"u_{_digest(bare, key)[:16]}@{_host(bare.rpartition('@')[2], key)}"
    return before + name if quoted else name


@lru_cache(maxsize=100_000)  # many addresses share a domain
def _host(domain: str, key: bytes) -> str:
    """The pseudonym of a domain."""
    return f"h_{_digest(domain.lower(), key)[:12]}.masked"


def _digest(text: str, key: bytes) -> str:
    """HMAC-SHA256 of the text, in hex."""
    return hmac.digest(key, text.encode(), "sha256").hex()
