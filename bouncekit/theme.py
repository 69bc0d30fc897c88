"""How charts and tables look: `use_theme()` is called by notebooks, never on import."""

import hashlib
import json
import sys
import unicodedata
import zlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, cast

import polars as pl

from bouncekit.files import in_html
from bouncekit.mask import mask
from bouncekit.schema import ACTIONS, FAULTS, VERDICTS
from bouncekit.vega import alt, spec_to_mimebundle

# Colour means the action, in every chart. The nine differ by a CIELAB distance of 25 or more also
# for readers without red, green or blue cones, and stand off a white page (contrast 2.2 : 1).
PALETTE: Final = dict(
    zip(
        ACTIONS,
        (
            "#be360e",  # remove: vermilion
            "#e99938",  # full: amber
            "#502b13",  # refused: brown
            "#334dcc",  # fix_sender: blue
            "#4bbaeb",  # fix_message: sky
            "#108959",  # wait: green
            "#8c5b99",  # policy: mauve
            "#360e6e",  # complaint: violet
            "#afadb1",  # none: grey
        ),
        strict=True,
    )
)
ACTION_LABELS: Final = {
    "remove": "remove the address",
    "full": "mailbox full",
    "refused": "refused by the recipient",
    "fix_sender": "fix your sending",
    "fix_message": "fix the message",
    "wait": "wait",
    "policy": "receiver's policy",
    "complaint": "complaint",
    "none": "nothing to do",
}
# What a fault and a verdict ask for, in the terms of the palette.
ACTION_OF_FAULT: Final = dict(
    zip(FAULTS, ("remove", "fix_sender", "fix_message", "wait", "none"), strict=True)
)
ACTION_OF_VERDICT: Final = dict(zip(VERDICTS, ("remove", "full", "wait", "none"), strict=True))

INK, SOFT_INK, FAINT = "#1f2430", "#5b6270", "#e6e8ec"
NEUTRAL = "#737b8a"  # marks that ask for no action
# Liberation Sans ships with vl-convert, so that stored pictures have the same text everywhere.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
ROOMY_ROW = alt.Step(46)  # a row with a line of text above its bar
CELL = alt.Step(66)  # a column with a dot and its number side by side
WIDE_CELL = alt.Step(76)  # the same under a heading of words
HEADING_SPACE, HEADING_LINE = 9, 14  # pixels below a heading of one line, and for each more
# A tick of a time axis, by the largest unit it stands on: no label leaves its year to be guessed.
TICKS = {
    "year": "%Y",
    **dict.fromkeys(("quarter", "month"), "%b %Y"),
    **dict.fromkeys(("week", "date", "day"), "%Y-%m-%d"),
    "hours": "%b %d %H:%M",
    "minutes": "%H:%M",
    **dict.fromkeys(("seconds", "milliseconds"), "%H:%M:%S"),
}
SMALLEST_DOT = 36  # in square pixels: a ring that is seen to be hollow
PIXELS_PER_INCH = 144  # twice the display size of 72

ROWS, COLUMNS, TEXT_LENGTH = 10, 12, 80  # the most a table shows
FEW_COLUMNS, SENTENCE_LENGTH = 3, 400  # a table of so few columns has room for whole sentences


def theme() -> dict[str, Any]:
    """The Altair theme: a white card that reads on light and dark pages alike."""
    small, text = {"fontSize": 11, "color": SOFT_INK}, {"fontSize": 12, "color": INK}
    return {
        "config": {
            "background": "#ffffff",
            "padding": 18,
            "font": FONT,
            "view": {
                "stroke": None,
                "continuousWidth": 560,
                "continuousHeight": 280,
                "discreteWidth": 560,
                "discreteHeight": {"step": 28},
            },
            "title": {
                "anchor": "start",
                "frame": "bounds",
                "fontSize": 17,
                "fontWeight": 600,
                "color": INK,
                "subtitleFontSize": 12.5,
                "subtitleColor": SOFT_INK,
                "subtitleLineHeight": 17,
                "subtitlePadding": 6,
                "offset": 16,
            },
            "axis": {
                "domain": False,
                "ticks": False,
                "gridColor": FAINT,
                "labelColor": INK,
                "labelFontSize": 12,
                "labelLimit": 300,
                "labelPadding": 7,
                "titleColor": SOFT_INK,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "titlePadding": 10,
            },
            "axisBand": {"grid": False},
            "axisQuantitative": {"tickCount": 6},
            "axisTemporal": {"tickCount": 8},
            "header": {
                "labelOrient": "top",
                "labelColor": SOFT_INK,
                "labelFontSize": 12,
                "labelFontWeight": 600,
                "labelAlign": "left",
                "labelAnchor": "start",
                "labelPadding": 4,
                "title": None,
            },
            "legend": {
                "orient": "top",
                "title": None,
                "labelColor": INK,
                "labelFontSize": 12,
                "labelLimit": 220,
                "symbolType": "square",
                "symbolSize": 110,
                "symbolStrokeWidth": 0,
                "columnPadding": 16,
                "gradientLength": 160,
                "gradientThickness": 10,
                "offset": 12,
            },
            "facet": {"spacing": 14},
            "mark": {"color": NEUTRAL, "tooltip": True},
            "bar": {"cornerRadiusEnd": 2, "discreteBandSize": 19},
            "circle": {"opacity": 0.9},
            "line": {"strokeWidth": 2.5, "strokeJoin": "round"},
            "rule": {"color": FAINT},
            "text": {"font": FONT, "fontSize": 12},
            "range": {"category": list(PALETTE.values())},
            "style": {
                "below": {"size": 14},
                "name": text | {"align": "left", "baseline": "bottom", "dy": -9},
                "value": small | {"align": "left", "baseline": "middle", "dx": 6},
                "beside": small | {"align": "left", "baseline": "middle", "dx": 17},
                "top": small | {"align": "center", "baseline": "bottom", "dy": -4},
                "note": text | {"align": "left", "baseline": "top", "dx": 12, "lineBreak": "\n"},
                "corner": small | {"align": "left", "baseline": "top", "dx": 6, "dy": 2},
                # Two limits close together keep their names apart: one above its line, one below.
                "above": small | {"align": "left", "baseline": "bottom", "dx": 8, "dy": 3},
                "under": small | {"align": "left", "baseline": "top", "dx": 8, "dy": -2},
                "nothing": text | {"align": "left", "baseline": "top", "color": SOFT_INK},
                "panel": small
                | {"align": "left", "baseline": "bottom", "dy": -8, "fontSize": 12}
                | {"fontWeight": 600},
                "limit_line": {"color": SOFT_INK, "strokeDash": [5, 4], "strokeWidth": 1},
                "reference": {"color": "#c3c8d1", "strokeDash": [5, 4], "strokeWidth": 1.5},
                "named": {"filled": True, "color": INK, "size": 55, "opacity": 1},
                "drop": {"color": INK, "strokeWidth": 1},
                "small": {"filled": True, "color": NEUTRAL, "size": 22, "opacity": 1},
                "bounced": {"filled": True, "size": 90, "opacity": 1},
                "arrived": {"color": "#9aa1ad", "size": 60, "strokeWidth": 1.5, "opacity": 1},
                "span": {"size": 14, "cornerRadius": 4},
            },
        }
    }


def action_colour(actions: Iterable[str | None]) -> alt.Color:
    """The colour of the column `action`; the legend names those that occur, in schema order."""
    return _colour("action", PALETTE, ACTION_LABELS, actions)


def fault_colour(faults: Iterable[str | None]) -> alt.Color:
    """The colour of the column `fault`, by the action that it asks for."""
    return _colour("fault", {f: PALETTE[a] for f, a in ACTION_OF_FAULT.items()}, {}, faults)


def verdict_colour(verdicts: Iterable[str | None]) -> alt.Color:
    """The colour of the column `verdict`, by the action that it is."""
    return _colour("verdict", {v: PALETTE[a] for v, a in ACTION_OF_VERDICT.items()}, {}, verdicts)


def unknown_user_shade() -> alt.Color:
    """The colour of the column `share`, from none to all: shades of what asks for removal."""
    return (
        alt.Color("share:Q", title=None)
        .scale(domain=[0, 1], range=["#f4f1ee", PALETTE["remove"]])
        .legend(format="%")
    )


def _colour(
    field: str, colours: dict[str, str], labels: dict[str, str], present: Iterable[str | None]
) -> alt.Color:
    """A nominal colour with a fixed domain, whatever the data."""
    occurring = set(present)
    shown = [name for name in colours if name in occurring]
    words = json.dumps({name: labels.get(name, name) for name in colours})
    legend = alt.Legend(values=shown, labelExpr=f"{words}[datum.value]", columns=5)
    return alt.Color(
        f"{field}:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=legend if shown else None,  # an empty legend has no size
    )


def use_theme(interactive: bool = False, *, masked: bool = True) -> None:
    """Make charts and tables of this session look as bouncekit's do.

    Charts show as a PNG picture with a line of text that holds a hash of their spec and data, so
    that a check of stored outputs (nbval skips pictures) sees one changed value. With
    `interactive` they are live, with tooltips, and carry their JavaScript: no network is needed.
    In a notebook, Polars frames show at most 10 rows and 12 columns, with addresses masked unless
    `masked` is false.
    """
    alt.theme.register("bouncekit", enable=True)(lambda: cast(alt.theme.ThemeConfig, theme()))
    if interactive:
        alt.renderers.enable(
            "html",
            template="inline",
            json_kwds={"cls": _InScript},
            embed_options={"actions": False},
        )
    else:
        alt.renderers.register("bouncekit", picture)
        alt.renderers.enable("bouncekit")
    ipython = sys.modules.get("IPython")  # outside a notebook nothing shows frames
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        display = shell.display_formatter.mimebundle_formatter
        display.for_type(pl.DataFrame, lambda frame, **_: table(frame, masked=masked))
        display.for_type(pl.Series, lambda column, **_: table(column.to_frame(), masked=masked))


class _InScript(json.JSONEncoder):
    """JSON that cannot end the script element it stands in, whatever a mailing is called."""

    def encode(self, o: Any) -> str:
        return super().encode(o).replace("<", "\\u003c")


def picture(spec: dict[str, Any], **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An Altair renderer: the chart as PNG and as one line of text.

    The picture's metadata hold its display size and, for those who cannot see it, its description.
    """
    data, metadata = spec_to_mimebundle(
        spec, format="png", mode="vega-lite", ppi=PIXELS_PER_INCH, scale_factor=1
    )
    metadata["image/png"] |= {"alt": str(spec.get("description") or _title(spec))}
    line = f"<chart {_title(spec)!r} spec={spec_hash(spec)}>"
    return {"image/png": _small(data["image/png"]), "text/plain": line}, metadata


def _small(png: bytes) -> bytes:
    """The same picture in a third of the bytes: vl-convert packs for speed, notebooks are kept."""
    chunks, at = [], 8
    while at < len(png):  # PNG, ISO/IEC 15948 §5.3: length, type, body, CRC of type and body
        end = at + 8 + int.from_bytes(png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : end]))
        at = end + 4
    pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    head = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    packed = [*head, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
        for kind, body in packed
    )


def spec_hash(spec: dict[str, Any]) -> str:
    """Twelve hex digits that stand for the whole spec, its data included."""
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _title(spec: dict[str, Any]) -> str:
    """The title of a chart's spec, or nothing."""
    title = spec.get("title") or ""
    text = title.get("text", "") if isinstance(title, dict) else title
    return " ".join(text) if isinstance(text, list) else str(text)


def table(frame: pl.DataFrame, *, masked: bool = True, rows: int = ROWS) -> dict[str, str]:
    """A frame as text/html and text/plain: the first `rows` and columns, and what was cut.

    Numbers have thousands separators, shares and rates (columns named so, or ending so) are per
    cent, times are UTC to the minute. Text is escaped, on one line, and at most 80 characters;
    a table of few columns has room for whole sentences.

    >>> frame = pl.DataFrame({"recipient": ["ann@example.org"], "share": [0.25]})
    >>> print(table(frame)["text/plain"])
    recipient       share
    a***@e***.org  25.0 %
    """
    top = frame.head(rows).select(frame.columns[:COLUMNS])
    longest = TEXT_LENGTH if frame.width > FEW_COLUMNS else SENTENCE_LENGTH
    cells = {
        column.name: [_cell(value, column.name, longest) for value in column]
        for column in (mask(top) if masked else top)
    }
    numeric = {name for name, dtype in top.schema.items() if dtype.is_numeric()}
    times = {name for name, dtype in top.schema.items() if dtype.is_temporal()}
    note = _note(frame, rows)
    return {
        "text/html": _html(cells, numeric, times, note),
        "text/plain": _text(cells, numeric, note),
    }


def _note(frame: pl.DataFrame, rows: int) -> str:
    """What the table leaves out, and the zone of its times."""
    notes = []
    if frame.height > rows or not frame.height:
        notes.append(f"{min(frame.height, rows)} of {frame.height:,} rows")
    if frame.width > COLUMNS:
        notes.append(f"{COLUMNS} of {frame.width:,} columns")
    if any(isinstance(dtype, pl.Datetime) and dtype.time_zone for dtype in frame.dtypes[:COLUMNS]):
        notes.append("times in UTC")
    return " · ".join(notes)


def _cell(value: Any, name: str, longest: int) -> str:
    """One value as people write it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float() if name.split("_")[-1] in ("share", "rate"):
            return f"{value:.1%}".replace("%", " %")
        case float():
            return f"{value:,.2f}"
        case datetime():
            return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%d %H:%M}"
        case date():
            return f"{value:%Y-%m-%d}"
        case timedelta():
            return _duration(value)
        case pl.Series() | list():
            listed = ", ".join(_cell(item, name, longest) for item in value)
            return _one_line(listed, longest)
        case dict():
            fields = ", ".join(f"{key} {_cell(item, key, longest)}" for key, item in value.items())
            return _one_line(fields, longest)
        case _:
            return _one_line(str(value), longest)


def _duration(span: timedelta) -> str:
    """A duration in its two largest units.

    >>> _duration(timedelta(days=3, hours=4, minutes=5)), _duration(timedelta(seconds=-90))
    ('3 d 4 h', '-1 min 30 s')
    """
    left, parts = round(abs(span).total_seconds()), []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        parts.append((count, unit))
    first = next((i for i, (count, _) in enumerate(parts) if count), len(parts) - 1)
    shown = [f"{count} {unit}" for count, unit in parts[first : first + 2] if count] or ["0 s"]
    return ("-" if span < timedelta() else "") + " ".join(shown)


def _one_line(text: str, longest: int = TEXT_LENGTH) -> str:
    """Text without line breaks, terminal escapes and characters that turn the reading direction."""
    # A hostile text is cut before it is looked at: it may be megabytes long.
    words = " ".join(text[: 4 * longest].split())
    clean = "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in words)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def _html(cells: dict[str, list[str]], numeric: set[str], times: set[str], note: str) -> str:
    """A plain table that screen readers follow: column headers with a scope, a caption."""
    align = dict.fromkeys(cells, "left")
    align |= dict.fromkeys(numeric, "right;white-space:nowrap")
    align |= dict.fromkeys(times, "left;white-space:nowrap")
    head = "".join(
        f'<th scope="col" style="text-align:{align[name]}">{in_html(_one_line(name))}</th>'
        for name in cells
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{align[name]}">{in_html(cell)}</td>'
            for name, cell in zip(cells, row, strict=True)
        )
        + "</tr>"
        for row in zip(*cells.values(), strict=True)
    )
    caption = f'<caption style="caption-side:bottom;text-align:left">{note}</caption>\n'
    return (
        '<table style="font-variant-numeric:tabular-nums">\n'
        + (caption if note else "")
        + f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _text(cells: dict[str, list[str]], numeric: set[str], note: str) -> str:
    """The same table in columns of text."""
    columns = []
    for name, values in cells.items():
        lines = [_one_line(name), *values]
        width = max(map(len, lines))
        columns.append([s.rjust(width) if name in numeric else s.ljust(width) for s in lines])
    lines = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    return "\n".join([*lines, *([note] if note else [])])
