"""Hostile text in a real browser: no script runs, no request leaves, text stays text."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import altair as alt
import nbformat
import polars as pl
import pytest
from payloads import MARKUP, PAYLOADS, TAKEN, VEGA
from playwright.sync_api import Dialog, Page
from test_browser import CHROMIUM, REQUIRED, browser, page, served  # noqa: F401 - fixtures

from bouncekit import charts, theme
from bouncekit.explain import explain
from bouncekit.schema import Category, Event, Fault

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="there is no Chromium here: apt-get install chromium"
)

TEXTS = [text[: theme.TEXT_LENGTH] for text in PAYLOADS.values()]
DAY = date(2024, 5, 1)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
SHOWN = {"html": "<table><tr><td>plain $x^2$</td></tr></table>"}
ACTIVE = [*MARKUP.values(), *VEGA.values()]
TOOLTIP = "document.querySelector('.vg-tooltip.visible')?.innerHTML ?? ''"
TIME = datetime(2024, 5, 1, 9, tzinfo=UTC)


@pytest.fixture
def watched(page: Page) -> Iterator[Page]:  # noqa: F811 - the fixture
    """A page that may ask for nothing but files and data, open no dialog and keep its title."""
    asked: list[str] = []

    def refuse(dialog: Dialog) -> None:  # one that stays open stops everything
        asked.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", refuse)
    page.on("popup", lambda other: asked.append(f"popup: {other.url}"))
    yield page
    assert page.title() != TAKEN
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}, asked


def test_no_page_of_a_report_obeys(strange_report: Path, watched: Page) -> None:
    refused: list[str] = []
    watched.on("console", lambda message: refused.append(message.text))
    for path in sorted(strange_report.glob("*.html")):
        watched.goto(path.as_uri())
        assert watched.title() != TAKEN
        foreign = "main :is(script, iframe, svg, form, base, meta, style, link, object, embed)"
        assert watched.locator(foreign).count() == 0
        assert watched.locator("[onerror], [onfocus], [onbegin], a[href^=javascript]").count() == 0
        for field in watched.locator("input[type=search]").all():
            field.fill("<img src=x onerror=alert(1)>")
        for heading in watched.locator("th button").all():
            heading.click()
    assert refused == []  # nothing was even tried that the page's policy had to stop
    watched.goto((strange_report / "index.html").as_uri())
    shown = watched.locator(".replies").inner_text()
    assert "597 odd words" in shown
    assert "\u202e" not in watched.locator("body").inner_text()
    assert "<img src=x>" in watched.locator(".lead").inner_text()  # the name of a file


def test_a_table_shows_every_payload_as_its_text(tmp_path: Path, watched: Page) -> None:
    frame = pl.DataFrame({"number": range(len(TEXTS)), "reply": TEXTS, "<b>head</b> $x$": TEXTS})
    html = theme.table(frame, masked=False, rows=len(TEXTS))["text/html"]
    file = tmp_path / "table.html"
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{html}", encoding="utf-8")
    watched.goto(file.as_uri())
    cells = watched.locator("tbody tr td:nth-child(2)").evaluate_all(
        "cells => cells.map(cell => cell.textContent)"
    )
    assert cells == [theme._one_line(text) for text in TEXTS]
    assert (
        watched.locator("body *:not(table, caption, thead, tbody, tr, th, td, span)").count() == 0
    )


def test_an_explanation_is_text(tmp_path: Path, watched: Page) -> None:
    file = tmp_path / "explained.html"
    html = explain("550 " + "\n".join(TEXTS))._repr_html_()
    file.write_text(f"<!doctype html><meta charset=utf-8><body>{html}", encoding="utf-8")
    watched.goto(file.as_uri())
    assert "<script>document.title" in watched.locator("pre").inner_text()
    assert watched.locator("body *:not(pre, table, tbody, tr, th, td, span)").count() == 0


# The charts that show names of strangers, in the columns that hold them.
NAMED = {
    "alerts": ["provider", "blocklist"],
    "bounce_rate": ["mailing"],
    "hygiene": ["sends_after_first_failure"],
    "timelines": ["recipient"],
    "codes": ["meaning"],
    "faults_over_time": ["mailing"],
    "incidents": ["provider"],
    "providers": ["provider"],
    "blocklists": ["blocklist"],
}


def drawn(name: str, texts: list[str]) -> alt.TopLevelMixin:
    """Draw a chart with these texts for its names."""
    count = pl.int_range(1, pl.len() + 1)
    frame = pl.DataFrame(dict.fromkeys(NAMED[name], texts)).with_columns(
        pl.lit("sender").cast(Fault).alias("fault"),
        pl.lit("blocklisted").cast(Category).alias("category"),
        pl.lit("bounce").cast(Event).alias("event"),
        events=count,
        recipients=count,
        sends=count,
        bounces=count,
        reply_code=550 + count % 9,
        rate=0.1,
        share=0.5,
        day=DAY,
        time=TIME,
        first_seen=TIME,
        last_seen=TIME + timedelta(days=9),
    )
    if name == "providers":
        frame = frame.with_columns(week="day")
    if "blocklist" not in frame.columns:
        frame = frame.with_columns(blocklist=pl.lit("one"))
    if name == "faults_over_time":
        frame = frame.drop("day")
    chart: alt.TopLevelMixin = getattr(charts, name)(frame)
    return chart


def test_no_picture_obeys(tmp_path: Path, watched: Page) -> None:
    every = [TEXTS[at : at + 24] for at in range(0, len(TEXTS), 24)]
    for name, texts in [
        *product(list(NAMED)[:1], every),
        *product(NAMED, [ACTIVE[:9], ACTIVE[9:]]),
    ]:
        path = tmp_path / "picture.svg"
        drawn(name, texts).save(path)
        watched.goto(path.as_uri())
        assert watched.evaluate("document.rootElement.localName") == "svg"
        foreign = "script, image, foreignObject, a, animate, style, iframe, [onload], [onbegin]"
        assert watched.locator(foreign).count() == 0
        if texts == ACTIVE[:9]:
            assert "<" in watched.evaluate("document.rootElement.textContent")


def test_no_live_chart_obeys_where_it_is_pointed_at(tmp_path: Path, watched: Page) -> None:
    trouble: list[str] = []
    watched.on("pageerror", lambda error: trouble.append(str(error)))
    with alt.theme.enable("default"), alt.renderers.enable("default"):
        theme.use_theme(interactive=True)
        render = alt.renderers.get()
        assert render is not None
        pages = [live(render, drawn(name, ACTIVE)) for name in list(NAMED)[:4]]
    told = []
    for html in pages:
        path = tmp_path / "chart.html"
        path.write_text(f"<!doctype html><meta charset=utf-8><body>{html}", encoding="utf-8")
        watched.goto(path.as_uri())
        watched.locator("canvas, svg.marks").first.wait_for()
        box = watched.locator("canvas, svg.marks").first.bounding_box()
        assert box is not None
        for x, y in product(range(4, 24, 2), range(2, 24, 3)):
            watched.mouse.move(box["x"] + box["width"] * x / 24, box["y"] + box["height"] * y / 24)
            told.append(watched.evaluate(TOOLTIP))
        assert watched.title() != TAKEN
    assert trouble == []
    assert any("&lt;" in html for html in told)
    assert not any(re.search(r"<(?!/?(table|tbody|tr|td|h2)\b)", html) for html in told)


def test_jupyterlab_typesets_and_runs_nothing_of_a_table(tmp_path: Path, page: Page) -> None:  # noqa: F811
    """A notebook whose outputs are there already: trusted, for it is the reader's own."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    frame = pl.DataFrame({"reply": TEXTS})
    shown = [theme.table(frame, masked=False, rows=len(TEXTS))["text/html"], SHOWN["html"]]
    shown.append(explain("550 " + "\n".join(TEXTS))._repr_html_())
    book = nbformat.v4.new_notebook(metadata=KERNEL)
    book.cells.append(nbformat.v4.new_markdown_cell("A formula of ours: $x^2$"))
    for html in shown:
        output = nbformat.v4.new_output("display_data", {"text/html": html})
        book.cells.append(nbformat.v4.new_code_cell("1", outputs=[output]))
        book.cells[-1].metadata["trusted"] = True
    (folder := tmp_path / "lab").mkdir()
    nbformat.write(book, folder / "strange.ipynb")
    sign = [sys.executable, "-m", "jupyter", "trust", str(folder / "strange.ipynb")]
    subprocess.run(sign, check=True, capture_output=True, env=os.environ | {"HOME": str(tmp_path)})
    with served(["-m", "jupyterlab", str(folder)], tmp_path) as lab:
        page.goto(f"{lab}/tree/strange.ipynb?token=t")
        page.locator(".jp-RenderedMarkdown mjx-container").first.wait_for(timeout=120_000)
        page.locator(".jp-OutputArea-output table").nth(2).wait_for()
        # What proves that it typesets at all is in the second output, and not made by us.
        page.locator(".jp-OutputArea-output mjx-container").first.wait_for()
        typeset = page.locator(".jp-OutputArea-output:has(mjx-container)")
        assert typeset.count() == 1
        assert "plain" in str(typeset.text_content())
        cells = page.locator(".jp-OutputArea-output table").first.locator("td")
        assert cells.evaluate_all("cells => cells.map(cell => cell.textContent)") == [
            theme._one_line(text) for text in TEXTS
        ]
        outputs = ".jp-OutputArea-output"
        foreign = "script, img, iframe, svg, form, style, a, [onerror], [onfocus]"
        assert page.locator(f"{outputs} :is({foreign})").count() == 0
        assert page.title() != TAKEN
    assert {url.split("/")[2].partition(":")[0] for url in asked if "//" in url} <= {
        "localhost",
        "127.0.0.1",
    }


def live(render: Any, chart: alt.TopLevelMixin) -> str:
    return str(render(chart.to_dict())["text/html"])
