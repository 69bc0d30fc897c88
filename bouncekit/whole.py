"""What only the whole list tells, the same for each of its addresses: counted once, then known."""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from bouncekit.errors import BouncekitError
from bouncekit.history import list_names, sendings, usual_gap
from bouncekit.incidents import windows_in
from bouncekit.tallies import Gather, Tally

SENDINGS = Tally(sendings, keys=("mailing", "day"), firsts=("first",), columns=("mailing",))


@dataclass(frozen=True)
class Whole:
    """What decisions on a part of a list need of all of it.

    `lists` are the names (mailing) under which a list's mailings go out, `gap` is their usual
    distance, `outages` are the windows of `outage_windows`; None to decide without the guard.
    """

    as_of: date | str | None
    lists: pl.DataFrame
    gap: timedelta
    outages: pl.DataFrame | None


def whole_of(gather: Gather, as_of: date | str | None, guard: bool | pl.DataFrame) -> Whole:
    """Give what the parts that `gather` counts in tell together, up to `as_of`.

    `guard` is True to find the outages there, the windows of some found before, or False for none.
    Raises BouncekitError for any other.
    """
    _check(guard)
    (sent,) = gather([SENDINGS])
    gap = usual_gap(sent.lazy()).collect().item()
    assert isinstance(gap, timedelta)
    if guard is True:
        guard = windows_in(gather)
    outages = guard if isinstance(guard, pl.DataFrame) else None
    return Whole(as_of, list_names(sent.lazy()).collect(), gap, outages)


def _check(guard: object) -> None:
    columns = guard.columns if isinstance(guard, pl.DataFrame) else None
    if not isinstance(guard, bool) and not {"provider", "start", "end"} <= set(columns or ()):
        raise BouncekitError(
            "The guard is True, False, or the frame of outage_windows() with its columns provider, "
            f"start and end; given is {columns or guard!r}."
        )
