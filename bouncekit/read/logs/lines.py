"""What the logs of all servers have in common."""

import polars as pl


def with_domain_lowered(address: pl.Expr) -> pl.Expr:
    """Give an address with its domain in lower case (RFC 5321 §2.4); a bare name as it is."""
    local, domain = address.str.extract("^(.*)@"), address.str.extract("@([^@]*)$")
    return pl.coalesce(pl.concat_str(local, pl.lit("@"), domain.str.to_lowercase()), address)
