"""A removal list that names nobody: kept when the addresses have to go."""

import hmac
from os import PathLike
from pathlib import Path

import polars as pl

from bouncekit.drafts import whole_file
from bouncekit.errors import BouncekitError
from bouncekit.hidden import ascii_domain

COLUMNS = {"recipient_hash": pl.String, "category": pl.String, "last_bounce": pl.String}

# So that a pseudonym of `mask` made with the same key is no part of it.
_PURPOSE = b"bouncekit removal list\n"


def add_hashes(decisions: pl.DataFrame, path: str | PathLike[str], key: str | bytes) -> int:
    """Add the addresses to remove to a list of hashes, and give how many were not in there.

    The list is a CSV file: recipient_hash (64 hex digits: HMAC-SHA256, RFC 2104, with your key over
    a word for the purpose and the address in lower case), category, last_bounce (the day). What is
    in there stays: nobody can tell any more whose it is, so nobody can say that it is out of date.
    Raises BouncekitError for an empty key, and a file that cannot be read or written.
    """
    target = Path(path)
    before = _hashes(target) if target.exists() else pl.DataFrame(schema=COLUMNS)
    now = decisions.filter(pl.col("verdict") == "remove").select(
        recipient_hash=hashed(decisions.filter(pl.col("verdict") == "remove")["recipient"], key),
        category=pl.col("category").cast(pl.String),
        last_bounce=pl.col("last_bounce").dt.strftime("%Y-%m-%d"),
    )
    both = pl.concat([before, now]).unique("recipient_hash", keep="first").sort("recipient_hash")
    with whole_file(target) as draft:
        both.write_csv(draft)
    return both.height - before.height


def is_listed(recipients: pl.Series, path: str | PathLike[str], key: str | bytes) -> pl.Series:
    """Give for each address whether its hash is in the list: before it is mailed or imported.

    Null for a null. Raises BouncekitError for an empty key or a file that is no list of hashes.
    """
    known = _hashes(Path(path))["recipient_hash"]
    return hashed(recipients, key).is_in(known.implode()).alias("is_listed")


def hashed(recipients: pl.Series, key: str | bytes) -> pl.Series:
    """Give the hashes of addresses; equal ones are hashed once."""
    secret = key.encode() if isinstance(key, str) else key
    if not secret:
        raise BouncekitError("The key for hashes is empty; give a secret.")
    hashes = {address: _hash(address, secret) for address in recipients.unique().drop_nulls()}
    return recipients.replace_strict(hashes, default=None, return_dtype=pl.String)


def _hash(address: str, key: bytes) -> str:
    local, _, domain = address.strip().lower().rpartition("@")
    return hmac.digest(key, _PURPOSE + f"{local}@{ascii_domain(domain)}".encode(), "sha256").hex()


def _hashes(path: Path) -> pl.DataFrame:
    try:
        found = pl.read_csv(path, schema_overrides=COLUMNS, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError) as problem:
        reason = (str(problem).splitlines() or ["no reason given"])[0]
        raise BouncekitError(f"{path}: not readable as a list of hashes ({reason}).") from None
    if found.columns != [*COLUMNS]:
        raise BouncekitError(
            f"{path}: is no list of hashes; its columns are not {', '.join(COLUMNS)}."
        )
    return found
