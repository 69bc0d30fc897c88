"""Addresses made safe to show; with a key, pseudonyms that still join."""

from typing import Final, TypeVar

import polars as pl
from polars.datatypes import DataTypeClass

from bouncekit.batches import by_batch
from bouncekit.conform import check_frame
from bouncekit.errors import BouncekitError
from bouncekit.hidden import HOST, hosts, masked, pseudonymous

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

# The free texts in which a receiver may name the local part alone: "no mailbox named ann.lee".
TEXTS: Final = ("reply", "because")
ADDRESSES: Final = ("recipient", "final_recipient")

_DOMAINS = ("domain", "suggestion")
_NAMES = (*ADDRESSES, *_DOMAINS, "provider", "blocklist")  # hold an address or a name, no text
_BARE = r"""([^\s<>()\[\]:;,"@\\*'`][^\s<>()\[\]:;,"@*]{1,63})@"""
_ORIGINAL = "bouncekit address as it was: "  # temporary columns
# What stays of an address masked before (its top-level domain, its %40, the end of a pseudonym) is
# no local part, whatever it is called: a letter that nobody writes makes it another word meanwhile.
_LEFT = r"(\*\*\*|h_[0-9a-f]{12})(\.|%)([\w-])"
_GUARD = "ꙮ"
_LINE = "\ue001"  # private use: stands for `_`, which is a letter to a regex


def mask(frame: Frame, key: str | bytes | None = None) -> Frame:
    """The same frame with every address made safe to show.

    Goes through all text columns (String, Categorical, Enum, and lists, arrays or structs of them),
    whatever their names: also for addresses in return paths (`ann=example.org`), links (`%40`),
    quoted-printable, HTML and file names. In `reply` and `because` the local part of the row's own
    recipient is hidden also where it stands alone (and without its `+tag`), in other texts where
    the domain stands there too. The column `domain` is treated like the domain of an address;
    `provider` names no person and stays. What this cannot see is in SECURITY.md.

    Without a key `ann@example.org` becomes `a***@e***.org`: for reading, since two addresses may
    look alike afterwards. With a key it becomes a pseudonym, `u_<16 hex>@h_<12 hex>.masked`
    (HMAC-SHA256, RFC 2104, of the lower-cased address and of its domain), the same for the same
    address in any frame masked with the same key: for counting and joining. Rows, their order and
    the schema stay, but for an Enum whose words hold addresses: its words are masked, too. Raises
    BouncekitError for an empty key, for one that is neither text nor bytes, and for what is no
    frame.

    >>> mask(pl.DataFrame({"recipient": ["ann@example.org"], "events": [3]})).row(0)
    ('a***@e***.org', 3)
    """
    if not isinstance(key, str | bytes | None):
        kind = type(key).__name__
        raise BouncekitError(f"mask: the key is of type {kind}; give text or bytes, or none.")
    if key is not None and not key:
        raise BouncekitError("mask: the key is empty; give a secret, or none for a***@e***.org")
    secret = key.encode() if isinstance(key, str) else key
    check_frame(frame)
    schema = frame.collect_schema()
    texts = [name for name, dtype in schema.items() if _holds_text(dtype)]
    single = [name for name in ADDRESSES if name in texts and not schema[name].is_nested()]
    safe = frame.with_columns(
        *(pl.col(name).cast(pl.String).alias(_ORIGINAL + name) for name in single),
        *(_safe(name, schema[name], secret) for name in texts),
    )
    plain = [name for name in texts if schema[name] == pl.String and name not in _NAMES]
    for name in single:
        safe = safe.with_columns(_without_local_part(text, name) for text in plain)
    return safe.select(schema.names())


def _safe(name: str, dtype: pl.DataType, key: bytes | None) -> pl.Expr:
    """One column made safe, by its name and dtype."""
    if name in _DOMAINS and dtype == pl.String:
        return _safe_domain(pl.col(name), key)
    return _of_dtype(pl.col(name), dtype, key)


def _without_local_part(text: str, address: str) -> pl.Expr:
    """The text column with the local part of the row's address hidden where it stands alone.

    A column other than TEXTS holds names and ids, in which a word like `info` means nobody: there
    it is hidden only if the domain stands there too, as in `ann_example.org.eml`.
    """
    original, seen = pl.col(_ORIGINAL + address), pl.col(text).str.to_lowercase()
    shown = pl.col(address).cast(pl.String)
    # What was safe before has no local part to hide. RFC 5321 §4.5.3.1.1: 64 octets at most.
    local = pl.when(original != shown).then(original).str.extract(_BARE)
    # Receivers name `ann+shop` by the mailbox, ann (RFC 5233).
    mailbox = local.str.extract(r"^([^+]{3,})\+")
    # A regex per row is dear: built only for the rows that name the local part at all.
    shortest = pl.coalesce(mailbox, local).str.to_lowercase()
    named = seen.str.contains(shortest, literal=True)
    if text not in TEXTS:
        domain = original.str.extract(r"@([^\s>@]+)$").str.to_lowercase()
        named &= seen.str.contains(domain, literal=True)
    whole, part = (
        pl.when(named).then(name).str.replace_all("_", _LINE, literal=True).str.escape_regex()
        for name in (local, mailbox)
    )
    names = pl.coalesce(whole + "|" + part, whole)
    word = r"(?i)\b{start-half}(?:" + names + r")\b{end-half}"
    hidden = shown.str.extract(r"([^\s<@]*)@")
    guarded = pl.col(text).str.replace_all(_LEFT, "${1}${2}" + _GUARD + "${3}")
    guarded = guarded.str.replace_all("_", _LINE, literal=True)
    found = guarded.str.split(word, literal=False).list.join(hidden)
    found = found.str.replace_all(_LINE, "_", literal=True)
    return pl.coalesce(found.str.replace_all(_GUARD, "", literal=True), text)


def _holds_text(dtype: pl.DataType) -> bool:
    """True for String, Categorical and Enum, and for lists, arrays and structs that hold them."""
    if isinstance(dtype, (pl.List, pl.Array)):
        return _holds_text(_instance(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return any(_holds_text(_instance(field.dtype)) for field in dtype.fields)
    return dtype in (pl.String, pl.Categorical, pl.Enum)


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
    if isinstance(dtype, pl.Enum):
        words = pl.select(_of_dtype(pl.lit(dtype.categories), pl.String(), key)).to_series()
        if words.equals(dtype.categories):
            return expr
        dtype = pl.Enum(words.unique(maintain_order=True))
    if dtype in (pl.Categorical, pl.Enum):
        return _of_dtype(expr.cast(pl.String), pl.String(), key).cast(dtype)
    return masked(expr) if key is None else pseudonymous(expr, key)


def _safe_domain(domain: pl.Expr, key: bytes | None) -> pl.Expr:
    """`mail.example.org` as `m***.org` or as its pseudonym; what is safe already stays."""
    shown = domain.str.replace(r"(?s)^(.).*?(\.[\w-]+)?\.?$", "${1}***${2}")
    new = shown
    if key is not None:
        new = by_batch(domain, lambda domains: hosts(domains, key), pl.String())
    safe_already = domain.str.contains(f"^{HOST}$") | (domain == shown)
    return pl.when(safe_already).then(domain).otherwise(new)
