"""The theme: colours that mean actions, pictures that tell their data, tables that tell nobody."""

import itertools
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import altair as alt
import IPython
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter

from bouncekit import theme
from bouncekit.schema import ACTIONS, FAULTS, VERDICTS

# What is left of linear RGB without red, green or blue cones
# (Machado, Oliveira and Fernandes 2009, severity 1.0).
SIGHTS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red cones": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "no green cones": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "no blue cones": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
CHART = alt.Chart(pl.DataFrame({"a": [1, 2]}), title="Two").mark_bar().encode(x="a:Q")


@pytest.fixture(autouse=True)
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[DisplayFormatter]:
    """A notebook's display, with the theme and renderer of before put back afterwards."""
    formatter = DisplayFormatter()
    monkeypatch.setattr(
        IPython, "get_ipython", lambda: SimpleNamespace(display_formatter=formatter)
    )
    with alt.theme.enable("default"), alt.renderers.enable("default"):
        yield formatter


def through(matrix: Any, colour: Any) -> list[float]:
    return [sum(a * b for a, b in zip(row, colour, strict=True)) for row in matrix]


def linear(colour: str) -> list[float]:
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def lab(rgb: list[float]) -> tuple[float, float, float]:
    white = (0.95047, 1, 1.08883)
    clipped = [min(1, max(0, v)) for v in rgb]
    ratios = [v / w for v, w in zip(through(TO_XYZ, clipped), white, strict=True)]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in ratios)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("sight", SIGHTS)
def test_every_two_actions_differ_in_colour_for_every_reader(sight: str) -> None:
    seen = {a: lab(through(SIGHTS[sight], linear(c))) for a, c in theme.PALETTE.items()}
    for one, other in itertools.combinations(seen, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        assert distance >= 25, (one, other)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_colour_stands_off_the_white_card(action: str) -> None:
    luminance = through(TO_XYZ, linear(theme.PALETTE[action]))[1]
    assert 1.05 / (luminance + 0.05) >= 2.2


def test_faults_and_verdicts_borrow_the_colour_of_an_action() -> None:
    assert set(theme.ACTION_OF_FAULT) == set(FAULTS)
    assert set(theme.ACTION_OF_VERDICT) == set(VERDICTS)
    assert {*theme.ACTION_OF_FAULT.values(), *theme.ACTION_OF_VERDICT.values()} <= set(ACTIONS)
    assert set(theme.ACTION_LABELS) == set(ACTIONS)


def test_importing_the_theme_changes_nothing_and_using_it_does() -> None:
    assert alt.theme.active == "default"
    theme.use_theme()
    assert CHART.to_dict()["config"]["font"].startswith("Liberation Sans")


def test_a_chart_shows_as_a_picture_and_a_line_that_holds_its_hash(display: Any) -> None:
    theme.use_theme()
    data, metadata = display.format(CHART)
    assert set(data) == {"image/png", "text/plain"}
    assert re.fullmatch(r"<chart 'Two' spec=[0-9a-f]{12}>", data["text/plain"])
    png = data["image/png"]
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))  # its own header
    assert width == 2 * metadata["image/png"]["width"]
    pixels = zlib.decompress(png[png.index(b"IDAT") + 4 : png.index(b"IEND") - 8])
    assert len(pixels) == height * (4 * width + 1)


def test_one_changed_value_changes_the_hash() -> None:
    other = CHART.copy()
    other.data = pl.DataFrame({"a": [1, 3]})
    assert theme.spec_hash(CHART.to_dict()) == theme.spec_hash(CHART.copy().to_dict())
    assert theme.spec_hash(CHART.to_dict()) != theme.spec_hash(other.to_dict())


def test_a_live_chart_loads_nothing_and_runs_no_text_of_its_data(display: Any) -> None:
    hostile = "</script><script>alert(1)</script>"
    theme.use_theme(interactive=True)
    chart = alt.Chart(pl.DataFrame({"a": [hostile]})).mark_bar().encode(x="a:N")
    html = display.format(chart)[0]["text/html"]
    assert hostile not in html
    assert "alert(1)" in html
    assert not re.search(r"<(script|link|iframe)[^>]*\s(src|href)=", html)


def test_a_frame_in_a_notebook_is_masked_cut_and_escaped(display: Any) -> None:
    theme.use_theme()
    frame = pl.DataFrame(
        {
            "recipient": [f"ann{i}@example.org" for i in range(1234)],
            "reply": ["<script>alert(1)</script>\x1b[31m\n550 <ann@example.org>"] * 1234,
        }
    )
    data, _ = display.format(frame)
    for text in data.values():
        assert "ann" not in text
        assert "a***@e***.org" in text
        assert "10 of 1,234 rows" in text
        assert "\x1b" not in text
    assert "<script>" not in data["text/html"]
    assert len(data["text/plain"].splitlines()) == 12
    assert "ann" not in display.format(frame["recipient"])[0]["text/plain"]


def test_masking_of_tables_can_be_switched_off(display: Any) -> None:
    theme.use_theme(masked=False)
    frame = pl.DataFrame({"recipient": ["ann@example.org"]})
    assert "ann@example.org" in display.format(frame)[0]["text/plain"]


def test_outside_a_notebook_only_charts_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython")
    theme.use_theme()
    assert alt.renderers.active == "bouncekit"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("events", 1234567, "1,234,567"),
        ("share", 0.1234, "12.3 %"),
        ("open_rate", 1.0, "100.0 %"),
        ("score", 1234.5, "1,234.50"),
        ("permanent", True, "yes"),
        ("category", None, "–"),
        ("time", datetime(2024, 5, 1, 23, 59, 59, tzinfo=UTC), "2024-05-01 23:59"),
        ("retry_after", timedelta(hours=27, minutes=5), "1 d 3 h"),
        ("retry_after", timedelta(), "0 s"),
        ("examples", ["one", "two"], "one, two"),
        ("top", {"events": 1200, "share": 0.5}, "events 1,200, share 50.0 %"),
        ("reply", "550  no\r\nsuch\u202euser", "550 no such�user"),
        ("reply", "x" * 500, "x" * 399 + "…"),
    ],
)
def test_values_are_shown_as_people_write_them(name: str, value: object, shown: str) -> None:
    text = theme.table(pl.DataFrame({name: [value]}))["text/plain"]
    assert text.splitlines()[1].strip() == shown


def test_a_table_of_many_columns_has_no_room_for_sentences() -> None:
    row = {"a": 1, "b": 2, "c": 3, "because": "x" * 200}
    text = theme.table(pl.DataFrame([row]))["text/plain"]
    assert text.splitlines()[1].split() == ["1", "2", "3", "x" * 79 + "…"]


def test_numbers_stand_right_under_a_header_that_says_its_scope() -> None:
    html = theme.table(pl.DataFrame({"reply": ["550"], "events": [7]}))["text/html"]
    assert '<th scope="col" style="text-align:left">reply</th>' in html
    assert '<td style="text-align:right;white-space:nowrap">7</td>' in html


@given(st.lists(st.text(), max_size=12), st.text(min_size=1))
def test_any_text_makes_a_table_of_whole_lines(texts: list[str], name: str) -> None:
    data = theme.table(pl.DataFrame({name: texts}, schema={name: pl.String}))
    lines = data["text/plain"].split("\n")
    noted = len(texts) > theme.ROWS or not texts
    assert len(lines) == 1 + min(len(texts), theme.ROWS) + noted
    assert len(re.findall("<td", data["text/html"])) == min(len(texts), theme.ROWS)


def test_the_theme_loads_no_grammar_of_uris_and_leaves_it_to_others() -> None:
    told = (
        "import sys, bouncekit.theme; print('rfc3987_syntax' in sys.modules);"
        "import rfc3987_syntax; print(rfc3987_syntax.is_valid_syntax('iri', 'http://example.org/'))"
    )
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
