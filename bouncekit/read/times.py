"""Read the times exports write: epochs, ISO 8601, RFC 2822 and dates people type."""

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import product

import polars as pl

from bouncekit.schema import Time

SAMPLE_CELLS = 200

# ISO 8601 to the second by its length in bytes: fractions and offsets cost chrono five times
# the time, and are read apart.
QUICK = {19: "%Y-%m-%dT%H:%M:%S", 20: "%Y-%m-%dT%H:%M:%SZ"}
USUAL = (*("%Y-%m-%dT%H:%M:%S%.fZ", "%a, %d %b %Y %H:%M:%S GMT", "%a, %d %b %Y %H:%M:%S UTC"),)
FULL = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f")
# ISO 8601 in its parts: with as many digits and with the offset spelled out in the format, it is
# read as quickly as one to the second.
SHAPE = r"^\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(?:\.(\d{3}|\d{6}|\d{9}))?(Z|[+-]\d\d:?\d\d)?$"
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")
STAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d"
YEAR = r"(?:^|\D)(?:19|20)\d\d"
SLASHED = r"^(\d{1,2})[/-](\d{1,2})[/-]\d\d(?:\d\d|\D|$)"
# Dates with two digits of the year. Between dots a time must follow: 5.1.10 is a status code.
SHORT = (
    r"^(\d\d?[/-](?:\d\d?|[A-Za-z]{3,})[/-])(\d\d)(,? |$)",
    r"^(\d\d?\.\d\d?\.)(\d\d)(,? +\d\d?:)",
)

# Dates as they are typed, for chrono's strptime (%B reads Oct and October alike).
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%d.%m.%Y", "%d. %m. %Y", "%Y%m%d"),
    *("%d %B %Y", "%d-%B-%Y", "%d/%B/%Y", "%B %d, %Y", "%B %d %Y"),
)
DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y")
MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y")
CLOCKS = (" %H:%M:%S%.f", " %H:%M", "", " %I:%M:%S %p", " %I:%M %p", "%H%M%S", " %H%M%S")
# Zone names of RFC 2822 section 4.3, and the two of central Europe.
ZONES = {
    **dict.fromkeys((" GMT", " UTC"), "Z"),
    " CET": "+01:00",
    " CEST": "+02:00",
    " EDT": "-04:00",
    **dict.fromkeys((" EST", " CDT"), "-05:00"),
    **dict.fromkeys((" CST", " MDT"), "-06:00"),
    **dict.fromkeys((" MST", " PDT"), "-07:00"),
    " PST": "-08:00",
}
# The months by their names in western Europe, whole and cut short.
MONTHS = {
    "Jan": "January Januar januari janvier janv enero ene gennaio gen janeiro",
    "Feb": "February Februar februari février févr fevrier febrero febbraio fevereiro fev",
    "Mar": "March März Mär maart mrt mars marzo março",
    "Apr": "April avril avr abril abr aprile",
    "May": "May Mai mei mayo maggio mag maio",
    "Jun": "June Juni juin junio giugno giu junho",
    "Jul": "July Juli juillet juil julio luglio lug julho",
    "Aug": "August augustus août aout agosto ago",
    "Sep": "September septembre sept septiembre settembre set setembro",
    "Oct": "October Oktober Okt octobre octubre ottobre ott outubro out",
    "Nov": "November novembre noviembre novembro",
    "Dec": "December Dezember Dez décembre déc diciembre dic dicembre dezembro",
}
MONTH_OF = {name: month for month, names in MONTHS.items() for name in names.split()}
CLOCK = r"^\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AP]M)?$"  # a time of day, without its date
# What stands between a date and its time of day.
AT = r"(?:T|,? +(?:(?:at|um|om|à|alle|a las|às|kl\.?) +)?)"


def instant(cell: pl.Expr, forms: Sequence[str] = (), *, zone: str = "UTC") -> pl.Expr:
    """Datetime (us, UTC) of a text cell; null where it holds no time.

    Epochs and ISO 8601 are always read, other times by `forms` (see `typed_forms`). `zone` is
    that of cells that name none.

    >>> pl.select(instant(pl.lit("2024-01-31 12:05:00"), zone="Europe/Berlin")).item().isoformat()
    '2024-01-31T11:05:00+00:00'
    """
    text = cell.str.strip_chars()
    length = text.str.len_bytes()
    iso = text.str.replace(" ", "T", literal=True)
    times = [_epoch(text)]
    times += [_parsed(pl.when(length == n).then(iso), form, zone) for n, form in QUICK.items()]
    is_full = (length > 20) & text.str.contains(STAMP)
    times += [_parsed(pl.when(is_full).then(iso), form, zone) for form in FULL]
    if forms:
        dated = _in_full(text)
        typed = _plain(pl.when(_is_typed(dated)).then(dated))
        times += [_parsed(typed, form, zone) for form in forms]
    return pl.coalesce(times)


def told(cell: pl.Expr, form: str, *, zone: str = "UTC") -> pl.Expr:
    """Datetime (us, UTC) of a text cell in the one strptime format the user gave."""
    return _parsed(cell.str.strip_chars(), form, zone)


def usual_time(cell: pl.Expr, sample: pl.Series, *, zone: str = "UTC") -> pl.Expr:
    """The time of cells in the shape most of a sample has, else null; null if none is usual.

    What this reads first, `instant` reads alike, but at many times the cost.

    >>> cells = pl.Series("cell", ["2024-01-31T12:05:00Z", "yesterday", "2024-01-31T12:06:00Z"])
    >>> pl.select(usual_time(pl.lit("2024-01-31T12:05:00Z"), cells)).item().isoformat()
    '2024-01-31T12:05:00+00:00'
    """
    forms = (*_stamp_forms(sample), *USUAL)
    readers = [lambda text, form=form: _parsed(text, form, zone) for form in forms]
    for reader in (*readers, _epoch):
        if (
            2 * sample.to_frame("cell").select(reader(pl.col("cell")).count()).item()
            > sample.count()
        ):
            return reader(cell)
    return pl.lit(None, Time)


def _stamp_forms(sample: pl.Series) -> list[str]:
    """The formats of the ISO 8601 times of a sample, its digits and offsets spelled out."""
    between, fraction, offset = (sample.str.extract(SHAPE, group) for group in (1, 2, 3))
    forms = pl.select(
        pl.format(
            "%Y-%m-%d{}%H:%M:%S{}{}",
            between,
            pl.format(".%{}f", fraction.str.len_bytes()).fill_null(""),
            offset.fill_null(""),
        )
    )
    return forms.to_series().drop_nulls().unique(maintain_order=True).to_list()


def typed_forms(cells: pl.Series, *, day_first: bool | None = None) -> tuple[str, ...]:
    """The strptime formats of typed dates and RFC 2822 times found in a sample of cells.

    `day_first` says how to read 03/04/2024; None knows no format for it.

    >>> typed_forms(pl.Series(["Fri, 21 Oct 2011 11:02:55 GMT", "2024-01-31T12:05:00Z"]))
    ('%d %B %Y %H:%M:%S%.f%#z',)
    """
    text = cells.str.strip_chars().drop_nulls().unique(maintain_order=True).head(SAMPLE_CELLS)
    typed = text.to_frame("cell").select(_in_full(pl.col("cell"))).filter(_is_typed(pl.col("cell")))
    left = typed.select(_plain(pl.col("cell"))).to_series()
    slashed = {True: DAY_FIRST, False: MONTH_FIRST, None: ()}[day_first]
    forms = []
    for date, clock, offset in product((*DATES, *slashed), CLOCKS, ("%#z", "")):
        if left.is_empty():
            break
        form = date + clock + offset
        is_read = left.str.strptime(pl.Datetime("us"), form, strict=False).is_not_null()
        if is_read.any():
            forms.append(form)
            left = left.filter(~is_read)
    return tuple(forms)


def has_local(cells: pl.Series) -> bool:
    """True where a sample of cells holds times of day that name no zone."""
    text = cells.str.strip_chars()
    is_local = text.str.contains(r"\d:\d\d") & ~text.str.contains(
        r"(?:Z|[A-Z]{3,5}|[+-]\d\d(?::?\d\d)?)(?: \(.*\))?$"
    )
    return bool(is_local.any())


def proofs(cell: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Whether the slashed dates of a column prove that the day comes first, or that the month does.

    In 24/03/15 the first number may be the year: there it takes one that can be none.
    """
    text = cell.str.strip_chars()
    first, second = (text.str.extract(SLASHED, group).cast(pl.Int32) for group in (1, 2))
    is_whole = first.is_not_null() & (_in_full(text) == text)
    return (first > 12).any() & (is_whole | (first <= 12)).any(), (second > 12).any()


def _in_full(text: pl.Expr) -> pl.Expr:
    """A date with all digits of its year."""
    for short in SHORT:
        text = text.str.replace(short, "${1}20$2$3")
    return text


def _is_typed(text: pl.Expr) -> pl.Expr:
    is_iso = text.str.contains(STAMP + r"(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?$")
    return text.str.contains(YEAR) & ~is_iso


def _plain(text: pl.Expr) -> pl.Expr:
    """A typed time without weekday, comment and ordinals; its zone as an offset, if it has one."""
    names = sorted(MONTH_OF, key=len, reverse=True)
    return (
        text.str.replace(r"^(?i:mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]* *", "")
        .str.replace(r"^\p{L}[\p{L}-]*[.,]* +(\d\d?\.? (?:de )?\p{L})", "$1")  # any other weekday
        .str.replace(r" *(?:\([^()]*\)|\[[^\[\]]*\])$", "")
        .str.replace_many(
            names, [MONTH_OF[name] for name in names], ascii_case_insensitive=True, leftmost=True
        )
        .str.replace_all(" de ", " ", literal=True)
        .str.replace(r"(\d)\. (\p{L})", "$1 $2")
        .str.replace(r"(\p{L})\. (\d)", "$1 $2")
        .str.replace(r"^([A-Za-z]+) +(\d+ )([\d:.]+)( [A-Z]+)? (\d{4})$", "$1 $2$5 $3$4")  # ctime
        .str.replace(r"(\d)(?:st|nd|rd|th)\b", "$1")
        .str.replace(r"(\d), +(\d{4})", "$1 $2")
        .str.replace(r"(\d\d?)h(\d\d)\b", "$1:$2")
        .str.replace(r" (\d\d)\.(\d\d)\.(\d\d)(?:\.\d+)? ([AP]M)$", " $1:$2:$3 $4")  # Oracle
        .str.replace(r"(/\d{4}):(\d\d:)", "$1 $2")  # Apache
        .str.replace(rf"(\d|日){AT}(\d\d?:\d\d)", "$1 $2")
        .str.replace(r"(\d)T(\d{4})", "$1 $2")
        .str.replace(r" GMT([+-]\d\d)", "$1")
        .str.replace_many(list(ZONES), list(ZONES.values()))
        .str.replace(r"(\d) +([+-]\d\d:?\d\d)$", "$1$2")
    )


def _epoch(text: pl.Expr) -> pl.Expr:
    """A number of (milli-, micro-, nano-)seconds since 1970: its size tells from 1973 to 2286.

    8 and 14 digits are dates without separators and lie between.
    """
    number = text.cast(pl.Float64, strict=False)
    micros = (
        pl.when(number.is_between(1e8, 1e10))
        .then(number * 1e6)
        .when(number.is_between(1e11, 1e13))
        .then(number * 1e3)
        .when(number.is_between(1e14, 1e16))
        .then(number)
        .when(number.is_between(1e17, 1e19))
        .then(number / 1e3)
    )
    return micros.round().cast(pl.Int64).cast(pl.Datetime("us")).cast(Time)


def _parsed(text: pl.Expr, form: str, zone: str) -> pl.Expr:
    time = text.str.strptime(pl.Datetime("us"), form, strict=False)
    if any(mark in form for mark in ("%z", "%:z", "%#z")):
        return time.dt.convert_time_zone("UTC")
    if offset := OFFSET.search(form):
        sign, hours, minutes = offset.groups()
        ahead = int(f"{sign}1") * timedelta(hours=int(hours), minutes=int(minutes))
        return time.dt.replace_time_zone("UTC") - ahead
    if zone == "UTC" or form.endswith(("Z", "GMT", "UTC")):
        return time.dt.replace_time_zone("UTC")
    # An hour the clocks skip never was (null); of one they repeat the first is taken.
    local = time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")
