"""Take off what other programs put round the lines of a log that they handed on.

Each wrapping is told by the first lines of a file, so that the lines of other logs cost nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from bouncekit.read.logs.export import FIELD_END
from bouncekit.read.logs.stamps import DATED, SYSLOG

Unwrap = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True)
class Wrapping:
    """A regular expression that tells wrapped lines, and what takes the wrapping off them."""

    told_by: str
    off: Unwrap


def _of_json(text: pl.Expr) -> pl.Expr:
    """`{"log":"Mar  4 09:12:00 mx ...\\n","stream":"stdout","time":"2026-03-04T09:12:00.1Z"}`.

    So Docker writes; Elasticsearch and what fills it have other names for the same.
    """

    def value(*paths: str) -> pl.Expr:
        return pl.coalesce(map(text.str.json_path_match, paths))

    time = value("$.time", "$['@timestamp']", "$._source['@timestamp']")
    program = value("$.process.name", "$._source.process.name")
    pid = value("$.process.pid", "$._source.process.pid")
    said = value("$.log", "$.message", "$._source.message").str.strip_chars_end("\n")
    of_program = pl.format("{}[{}]: {}", program, pid, said)
    return pl.concat_str(time, pl.coalesce(of_program, said), separator=" ")


def _of_journal_json(text: pl.Expr) -> pl.Expr:
    """`journalctl -o json`: an object for each entry."""
    return _of_journal(lambda field: text.str.json_path_match(f"$.{field}"))


def _of_journal_export(text: pl.Expr) -> pl.Expr:
    """`journalctl -o export`, each entry as a line of `entries`."""
    return _of_journal(
        lambda field: text.str.extract(rf"(?:^|{FIELD_END}){field}=([^{FIELD_END}]*)")
    )


def _of_journal(value: Callable[[str], pl.Expr]) -> pl.Expr:
    """Give an entry as a line of syslog, from the fields of systemd.journal-fields(7)."""
    microseconds = value("__REALTIME_TIMESTAMP")
    seconds = pl.concat_str(
        microseconds.str.head(10), microseconds.str.slice(10).str.head(6), separator="."
    )
    pid = pl.coalesce(value("SYSLOG_PID"), value("_PID"), pl.lit("0"))
    return pl.concat_str(
        seconds,
        pl.lit(" "),
        value("SYSLOG_IDENTIFIER"),
        pl.lit("["),
        pid,
        pl.lit("]: "),
        value("MESSAGE"),
        ignore_nulls=True,
    )


def _of_rfc_5424(text: pl.Expr) -> pl.Expr:
    """`<22>1 2026-03-04T09:12:00Z mx postfix/smtp 12 - - 4F3B2C1D0A: ...` (RFC 5424 §6)."""
    return text.str.replace(_RFC_5424, "$stamp $host $program[$pid]: $said")


def _of_spreadsheet(text: pl.Expr) -> pl.Expr:
    """`... said: 550 no, "" mailbox"" ...),,,`: cells cut at commas, quoted, and filled up."""
    filled = text.str.strip_chars_end(",;")
    plain = filled.str.replace_all(r'(^|[,;])"((?:[^"]|"")*)"', "$1$2")
    return (
        pl.when(filled.str.contains('"', literal=True))
        .then(plain.str.replace_all('""', '"', literal=True))
        .otherwise(filled)
    )


def _of_csv(text: pl.Expr) -> pl.Expr:
    """`"2026-03-04T09:12:00Z","mx","Mar  4 09:12:00 ..."`: Graylog, Splunk and CloudWatch."""
    quoted = text.str.extract(r'"((?:[^"]|"")*\]: (?:[^"]|"")*)"')
    said = pl.coalesce(quoted, text.str.replace(_CSV, ""))
    plain = said.str.replace_all('""', '"', literal=True)
    return pl.concat_str(text.str.extract(_CSV), plain, separator=" ")


_RFC_5424 = (
    r"^<\d+>1 (?P<stamp>\S+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ "
    r'(?:-|(?:\[[^\]" ]+(?: [^\]" =]+="(?:[^"\\]|\\.)*")*\])+)(?: \x{feff}?(?P<said>.*))?$'
)
_COMPOSE = r"^[\w.-]+ +\| "  # docker compose: `mail-1  | Mar  4 09:12:00 ...`
_KUBERNETES = r"^(\d{4}-\d\d-\d\dT\S+) std(?:out|err) [FP] "

_GREP = rf"^[^\s:\"]+:(?:\d+:)?({DATED}|{SYSLOG})"  # `mail.log.1:12:Mar  4 09:12:00 ...`
_COLOUR = r"\x1b\[[\d;]*m"
_CSV = rf'^"?({DATED})"?[,;\t]'

# From the outermost to the innermost
WRAPPINGS = (
    Wrapping(_COLOUR, lambda text: text.str.replace_all(_COLOUR, "")),
    Wrapping(_GREP, lambda text: text.str.replace(_GREP, "$1")),
    Wrapping(_CSV, _of_csv),
    Wrapping(r"[,;]$", _of_spreadsheet),
    Wrapping(_COMPOSE, lambda text: text.str.replace(_COMPOSE, "")),
    Wrapping(_KUBERNETES, lambda text: text.str.replace(_KUBERNETES, "$1 ")),
    Wrapping(r'^\{.*"(?:log|message)" ?: ?"', _of_json),
    Wrapping(r'^\{.*"__REALTIME_TIMESTAMP" ?: ?"\d{16}"', _of_journal_json),
    Wrapping(rf"(?:^|{FIELD_END})__REALTIME_TIMESTAMP=\d{{16}}", _of_journal_export),
    Wrapping(_RFC_5424, _of_rfc_5424),
)


def unwrap(lines: pl.Series) -> Unwrap | None:
    """Give what takes off all wrappings that most lines of a log have, or None if they have none.

    A line that does not have them stays as it is.
    """
    offs: list[Unwrap] = []
    for wrapping in WRAPPINGS:
        filled = lines.filter(lines.str.strip_chars() != "")
        if 2 * filled.str.contains(wrapping.told_by).sum() > filled.len():
            offs.append(wrapping.off)
            lines = unwrapped(filled, wrapping.off)
    if not offs:
        return None

    def off(text: pl.Expr) -> pl.Expr:
        for each in offs:
            text = pl.coalesce(each(text), text)
        return text

    return off


def unwrapped(lines: pl.Series, off: Unwrap) -> pl.Series:
    """Give lines without their wrappings."""
    return lines.to_frame("text").select(off(pl.col("text"))).to_series()
