"""The report and the notebooks in a real browser: what a reader sees, clicks and is asked for."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from bouncekit import notebooks
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
            bounced = number < 15 and (number % 3 or month > 3)
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
    assert len(listed) >= 8
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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Start JupyterLab on the notebooks, with an export and nothing run yet; give its address."""
    folder = tmp_path / "lab"
    notebooks.copy_to(folder, [str(export(tmp_path / "export.csv"))])
    with served(folder, tmp_path) as address:
        yield address


@contextmanager
def served(folder: Path, home: Path) -> Iterator[str]:
    """Serve a folder by JupyterLab for as long as the context lasts; give its address."""
    options = ["--no-browser", "--port=0", "--IdentityProvider.token=t", "--allow-root"]
    options.append("--LabApp.expose_app_in_browser=True")
    log = home / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", str(folder), *options],
            stdout=output,
            stderr=output,
            env=os.environ | {"HOME": str(home)},
        )
    try:
        for _ in range(300):
            if found := re.search(r"http://(?:localhost|127\.0\.0\.1):\d+/lab", log.read_text()):
                break
            time.sleep(0.2)
        assert found, log.read_text()
        yield found[0]
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # it waits for a kernel that has not started yet
            server.kill()
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
