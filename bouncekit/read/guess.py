"""Tell what the columns of a table hold that nobody described."""

from collections.abc import Callable, Collection, Iterable, Mapping

import polars as pl

from bouncekit.read import cells
from bouncekit.read.times import instant, typed_forms

Fields = Mapping[str, tuple[str, ...]]  # column of the bounces frame -> headings

CODE = r"\b[245]\d\d\b|\b[245]\.\d{1,3}\.\d"  # most replies hold a reply or an enhanced code
# Columns of which only the first nominated heading counts: in a table nobody described a
# second one (`category` beside `campaign`) is as likely something else.
SINGLE = ("time", "mailing", "message_id", "sender", "final_recipient", "sending_ip", "remote_mta")


def guess(
    fields: Fields,
    sample: pl.DataFrame,
    words: Mapping[str, str],
    doubtful: Collection[str] = (),
) -> dict[str, tuple[str, ...]]:
    """`fields` narrowed and filled by what the cells of the first records hold.

    A heading only nominates a column for the recipient: it stays if any of its cells is an
    address. A `doubtful` one for the event stays if any of its cells is one of `words`. Without
    a nominee, the one column full of addresses, times or replies is taken.
    """
    guessed = {column: _seen_first(headings, sample) for column, headings in fields.items()}
    named = {heading for headings in guessed.values() for heading in headings}

    def addresses(*headings: str) -> dict[str, float]:
        return _share(sample, headings, lambda cell: cells.address(cell).is_not_null())

    def lists(*headings: str) -> dict[str, float]:
        return _share(sample, headings, is_list)

    def events(*headings: str) -> dict[str, float]:
        return _share(sample, headings, lambda cell: cells.event(cell, words).is_not_null())

    def codes(*headings: str) -> dict[str, float]:
        return _share(sample, headings, lambda cell: cell.str.contains(CODE))

    # A share of all columns is taken only where no heading nominates one: it costs the most.
    nominees = guessed.get("recipient", ())
    shares, listed = addresses(*nominees), lists(*nominees)
    recipients = tuple(h for h in nominees if shares.get(h) or listed.get(h))
    recipients = recipients or _sole(addresses(*sample.columns), named) or nominees
    guessed["recipient"] = recipient = recipients[:1]
    for column in ("sender", "final_recipient"):
        guessed[column] = tuple(h for h in guessed.get(column, ()) if h not in recipient)
    named.update(recipient)

    shares = events(*guessed.get("event", ()))
    guessed["event"] = tuple(h for h in shares if shares[h] or h not in doubtful)
    if not guessed["event"]:  # a reason may be no more than a word for the event
        shares = events(*guessed.get("reply", ()))
        told = tuple(heading for heading in shares if shares[heading] > 0.5)
        guessed["reply"] = tuple(h for h in guessed.get("reply", ()) if h not in told)
        guessed["event"] = told or _sole(events(*sample.columns), named)
    # Of `reason: hard-bounce` and `detail: 550 5.1.1 ...` the second is the reply.
    replies = guessed.get("reply", ())
    if len(replies) > 1:
        shares = codes(*replies)
        replies = tuple(sorted(replies, key=lambda h: -round(shares.get(h, 0), 1)))
    guessed["reply"] = replies or _sole(codes(*sample.columns), named)

    evidence = ("event", "reply", "reply_code", "enhanced_code")
    if any(guessed.get(column) for column in evidence):  # else its times may be of anything
        taken = named.union(guessed["reply"])
        guessed["time"] = guessed.get("time", ()) or _sole(_times(sample), taken)

    if len(guessed.get("time", ())) > 1:  # `Time` beside `Date` is but a time of day
        shares = _times(sample.select(h for h in guessed["time"] if h in sample))
        guessed["time"] = tuple(sorted(guessed["time"], key=lambda h: not shares.get(h)))

    for column in SINGLE:
        guessed[column] = _single(guessed.get(column, ()), sample)
    return {column: headings for column, headings in guessed.items() if headings}


def is_list(cell: pl.Expr) -> pl.Expr:
    """True for a JSON list of addresses, or of objects that hold them."""
    return cell.str.contains(r'^\s*\[\s*(?:"|\{[^\]]*:\s*")[^"\s]+@[^"\s]+"')


def separator(cell: pl.Series) -> str:
    """What stands between several addresses in one cell, if some have several and none else it."""
    for mark in ";,":
        marked = cell.filter(cell.str.contains(mark, literal=True))
        address = rf"[^\s@{mark}]+@[^\s@{mark}]+"
        if (
            len(marked)
            and marked.str.contains(rf"^\s*{address}(?:\s*{mark}\s*{address})+\s*$").all()
        ):
            return mark
    return ""


def _seen_first(headings: tuple[str, ...], sample: pl.DataFrame) -> tuple[str, ...]:
    """Headings of the sample before those that may follow later in the file."""
    return tuple(sorted(headings, key=lambda heading: heading not in sample.columns))


def _single(headings: tuple[str, ...], sample: pl.DataFrame) -> tuple[str, ...]:
    """The first heading; all of them where the sample has none, as it can't tell then."""
    return headings[:1] if headings and headings[0] in sample.columns else headings


def _sole(shares: Mapping[str, float], taken: set[str]) -> tuple[str, ...]:
    """The one heading not taken yet whose cells mostly are what is looked for, if it is one.

    Not one of nested objects: what lies in them (`mail.source`) is as often the sender's.
    """
    fitting = [h for h, share in shares.items() if share > 0.5 and h not in taken and "." not in h]
    return tuple(fitting) if len(fitting) == 1 else ()


def _times(sample: pl.DataFrame) -> dict[str, float]:
    """For each heading, the share of its filled cells that are times."""

    def holds(cell: pl.Expr) -> pl.Expr:
        seen = sample[cell.meta.output_name()]
        forms = (*typed_forms(seen, day_first=True), *typed_forms(seen, day_first=False))
        return instant(cell, forms).is_not_null()

    return _share(sample, sample.columns, holds)


def _share(
    sample: pl.DataFrame, headings: Iterable[str], holds: Callable[[pl.Expr], pl.Expr]
) -> dict[str, float]:
    """For each heading of the sample, the share of its filled cells where a condition holds."""
    shares = [
        (holds(pl.col(h)).sum() / pl.col(h).count().clip(lower_bound=1)).alias(h)
        for h in headings
        if h in sample
    ]
    return sample.select(shares).row(0, named=True) if shares else {}
