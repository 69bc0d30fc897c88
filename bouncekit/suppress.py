"""The removal list, as the mail services take it."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.files import whole_file, with_formulas, without_formulas

_RECIPIENT = pl.col("recipient")
_CODE = pl.coalesce(pl.col("reply_code").cast(pl.String), pl.lit("550"))
# Mailgun wants RFC 2822 dates; without one it takes the time of the upload.
_RFC_2822 = pl.col("last_bounce").dt.strftime("%a, %d %b %Y %H:%M:%S GMT").fill_null("")

# The columns of each service's import file, and how each is made from decisions. Sources: the
# services' help pages on importing suppressions.
SERVICES: Mapping[str, Mapping[str, pl.Expr]] = {
    "csv": {
        "recipient": _RECIPIENT,
        "category": pl.col("category").cast(pl.String),
        "because": pl.col("because"),
        "last_bounce": pl.col("last_bounce").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "policy": pl.col("policy"),
    },
    "sendgrid": {"email": _RECIPIENT},
    "mailgun": {
        "address": _RECIPIENT,
        "code": _CODE,
        "error": pl.col("because"),
        "created_at": _RFC_2822,
    },
    "ses": {"recipient": _RECIPIENT, "reason": pl.lit("BOUNCE")},
    "sparkpost": {
        "recipient": _RECIPIENT,
        "type": pl.lit("non_transactional"),
        "description": pl.col("because"),
    },
    "mailchimp": {"Email Address": _RECIPIENT},
    "brevo": {"EMAIL": _RECIPIENT},
    "hubspot": {"Email": _RECIPIENT},
    "klaviyo": {"Email": _RECIPIENT},
    "listmonk": {"email": _RECIPIENT, "name": pl.lit(""), "attributes": pl.lit("{}")},
}
_WITHOUT_HEADER = ("ses",)
_NOBODY = pl.Series("recipient", [], pl.String)


def write_suppressions(
    decisions: pl.DataFrame,
    path: str | PathLike[str],
    service: str = "csv",
    previous: str | PathLike[str] | None = None,
) -> pl.DataFrame:
    """Write the addresses to remove as a CSV file (UTF-8, no BOM) that a mail service imports.

    `service` is one of `SERVICES`. Gives the frame of what changed since the list `previous` (a
    file written before): recipient (String), change (Enum: added, kept, withdrawn); without
    `previous` all are added. Cells that a spreadsheet would run get an apostrophe in front. The
    file is written whole or not at all. Raises BouncekitError for an unknown service, a frame that
    holds no decisions, or a file that cannot be read or written.
    """
    if service not in SERVICES:
        raise BouncekitError(
            f"There is no format for '{service}'; use one of {', '.join(SERVICES)}."
        )
    columns = SERVICES[service]
    needed = [
        "verdict",
        *(name for column in columns.values() for name in column.meta.root_names()),
    ]
    if missing := [name for name in needed if name not in decisions.columns]:
        raise BouncekitError(
            f"The frame has no column '{missing[0]}'; write_suppressions takes what decide() gives."
        )
    removals = decisions.filter(pl.col("verdict") == "remove").sort("recipient")
    change = _change(removals["recipient"], previous)
    table = without_formulas(removals.select(**columns))
    with whole_file(path) as draft:
        table.write_csv(draft, include_header=service not in _WITHOUT_HEADER)
    return change


def _change(recipients: pl.Series, previous: str | PathLike[str] | None) -> pl.DataFrame:
    before = _NOBODY if previous is None else _recipients(previous)
    kinds = pl.Enum(["added", "kept", "withdrawn"])
    everybody = pl.concat([recipients, before]).unique().sort()
    return everybody.to_frame().select(
        "recipient",
        change=pl.when(pl.col("recipient").is_in(before.implode()).not_())
        .then(pl.lit("added"))
        .when(pl.col("recipient").is_in(recipients.implode()))
        .then(pl.lit("kept"))
        .otherwise(pl.lit("withdrawn"))
        .cast(kinds),
    )


def _recipients(path: str | PathLike[str]) -> pl.Series:
    """Read the addresses of a list written before: its first column, whatever the service."""
    try:
        table = pl.read_csv(Path(path), has_header=False, infer_schema=False, raise_if_empty=False)
    except (OSError, pl.exceptions.PolarsError) as problem:
        reason = str(problem).splitlines()[0]
        raise BouncekitError(
            f"{path}: not readable as an earlier removal list ({reason}); check the path."
        ) from None
    if table.is_empty():  # nobody was to be removed, in a format without headings
        return _NOBODY
    first = with_formulas(table.to_series(0)).alias("recipient")
    return first.filter(first.str.contains("@", literal=True))
