"""The report and the notebooks in a real browser: what a reader sees, clicks and is asked for."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from bouncekit.read import load
from bouncekit.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
REQUIRED = os.environ.get("BOUNCEKIT_BROWSER") == "required"
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="there is no Chromium here: apt-get install chromium"
)

MAILINGS = 12
HOSTILE = "<script>document.title='taken'</script>"
BLANK = 1_500  # bytes: an empty picture packs into less


def export(path: Path) -> Path:
    """Write a year of a small list: full, dead and blocked mailboxes, and a hostile receiver."""
    replies = {
        0: "550 5.1.1 User unknown",
        1: "552 5.2.2 Mailbox full",
        2: f"554 5.7.1 {HOSTILE} blocked using zen.spamhaus.org",
        3: "597 strange words",
    }
    lines = ["timestamp,event,email,reason,campaign"]
    for month in range(1, MAILINGS + 1):
        for number in range(60):
            bounced = number < 24 and (number % 3 or month > 3)
            event, reply = ("bounce", replies[number % 4]) if bounced else ("delivered", "250 ok")
            when = f"2024-{month:02}-01T09:{number:02}:00Z"
            lines.append(f"{when},{event},reader.{number}@example.org,{reply},{month}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    return write_report(load(export(folder / "export.csv")), folder / "report").parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    yield page
    page.close()


def rows(page: Page, table: str) -> list[list[str]]:
    """Give the cells of a table's visible rows."""
    shown: list[list[str]] = page.locator(f"{table} tbody tr:visible").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return shown


def test_every_page_opens_from_the_disk_in_peace(report: Path, page: Page) -> None:
    trouble: list[str] = []
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", note)
    for path in sorted(report.glob("*.html")):
        page.goto(path.as_uri())
        assert page.title() != "taken"
        assert page.locator("h1").count() == 1
        assert page.locator("img:not([alt]), img[alt=''], th:not([scope])").count() == 0
        for picture in page.locator("img").all():
            assert picture.evaluate("image => image.naturalWidth") > 0
            assert len(picture.screenshot()) > BLANK, (path.name, picture.get_attribute("alt"))
    assert trouble == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert len([url for url in asked if url.endswith(".html")]) == 6


def test_nothing_is_wider_than_a_phone(report: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for path in sorted(report.glob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name


def test_a_click_on_a_heading_sorts_and_words_filter(report: Path, page: Page) -> None:
    page.goto((report / "index.html").as_uri())
    removals = ".tall table"
    listed = rows(page, removals)
    assert len(listed) >= 12
    heading = page.locator(f"{removals} th button", has_text="because")
    heading.click()
    up = [row[2] for row in rows(page, removals)]
    assert up == sorted(up, key=str.lower)
    heading.click()
    assert [row[2] for row in rows(page, removals)] == sorted(up, key=str.lower, reverse=True)
    assert page.locator(f"{removals} th[aria-sort=descending]").count() == 1
    page.get_by_placeholder("Filter the rows").first.fill("room full")
    assert {row[1] for row in rows(page, removals)} == {"mailbox_full"}
    page.get_by_placeholder("Filter the rows").first.fill("")
    assert len(rows(page, removals)) == len(listed)


def test_numbers_sort_as_numbers(report: Path, page: Page) -> None:
    page.goto((report / "index.html").as_uri())
    table = ".wide:has(th:has-text('fault')) table"
    page.locator(f"{table} th button", has_text="events").first.click()
    events = [int(row[1].replace(",", "")) for row in rows(page, table)]
    assert events == sorted(events)
    assert len(set(events)) > 1


def test_the_keyboard_reaches_every_heading(report: Path, page: Page) -> None:
    page.goto((report / "index.html").as_uri())
    page.locator(".tall th button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".tall th[aria-sort=ascending]").count() == 1


# The contrast of each element's text with what it stands on (WCAG 2.2, 1.4.3: 4.5 or more).
CONTRAST = """elements => elements.map(element => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = colour => parts(colour).slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  let ground = element;
  while (ground && parts(getComputedStyle(ground).backgroundColor)[3] === 0) {
    ground = ground.parentElement;
  }
  const both = [element, ground].map((one, at) =>
    light(getComputedStyle(one)[at ? "backgroundColor" : "color"])).sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05);
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_off_the_page_by_day_and_by_night(
    scheme: Literal["light", "dark"], report: Path, page: Page
) -> None:
    page.emulate_media(color_scheme=scheme)
    for name in ("index.html", "02-why-it-bounced.html"):
        page.goto((report / name).as_uri())
        words = page.locator("h1, h2, p, li, a, dt, dd, th, td, caption, summary, pre, code, input")
        assert min(words.evaluate_all(CONTRAST)) >= 4.5, (name, scheme)
        night = (
            page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        assert night == (scheme == "dark")


def test_on_paper_nothing_is_dark_or_cut(report: Path, page: Page) -> None:
    page.emulate_media(color_scheme="dark", media="print")
    page.goto((report / "index.html").as_uri())
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    overflows = "parts => parts.map(part => getComputedStyle(part).overflow)"
    assert set(page.locator(".wide").evaluate_all(overflows)) == {"visible"}


MINE = '{"cells": [], "metadata": {"mine": true}, "nbformat": 4, "nbformat_minor": 5}'
JUPYTER = {
    "ServerApp": {"open_browser": False, "port": 0, "allow_root": True},
    "IdentityProvider": {"token": "t"},
    "LabApp": {"expose_app_in_browser": True},
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Say `bouncekit lab EXPORT` where one notebook is there already; give JupyterLab's address."""
    (folder := tmp_path / "lab").mkdir()
    (folder / "05-is-it-you.ipynb").write_text(MINE, encoding="utf-8")
    command = ["-m", "bouncekit", "lab", str(export(tmp_path / "export.csv")), "--folder", "lab"]
    with served(command, tmp_path) as address:
        said = (tmp_path / "lab.log").read_text(encoding="utf-8")
        assert "1 notebook there already, left as before" in said
        yield address
        assert (folder / "05-is-it-you.ipynb").read_text(encoding="utf-8") == MINE


@contextmanager
def served(command: list[str], home: Path) -> Iterator[str]:
    """Let Python run what starts JupyterLab for as long as the context lasts; give its address."""
    (home / "jupyter_server_config.json").write_text(json.dumps(JUPYTER), encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
    log = home / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=output,
            cwd=home,
            env=os.environ
            | {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home), "PYTHONPATH": paths},
            start_new_session=True,  # so that JupyterLab, its child, ends with it
        )
    try:
        for _ in range(600):
            if found := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/lab", log.read_text()):
                break
            time.sleep(0.2)
        assert found, log.read_text()
        yield found[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # it waits for a kernel that has not started yet
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def test_jupyterlab_runs_a_notebook_to_its_charts(lab: str, page: Page) -> None:
    page.goto(f"{lab}/tree/01-what-bounced.ipynb?token=t")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    page.evaluate("jupyterapp.shell.currentWidget.context.sessionContext.ready.then(() => true)")
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
    # The cells out of sight are hidden: a chart counts that has its pixels, wherever it stands.
    charts = "[...document.querySelectorAll('.jp-OutputArea-output img')]"
    page.wait_for_function(f"{charts}.some(image => image.naturalWidth > 300)", timeout=60_000)
    assert page.locator("text=Traceback").count() == 0
