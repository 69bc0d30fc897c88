"""The report on a small export: whole, offline, and without anybody's address."""

import json
import re
from pathlib import Path

import pytest

from bouncekit.errors import BouncekitError
from bouncekit.read import load
from bouncekit.report import write_report

EXPORT = """timestamp,event,email,reason,campaign
2024-05-01T09:00:00Z,delivered,fine.reader@example.com,250 ok,May
2024-05-01T09:00:01Z,bounce,gone.reader@example.com,550 5.1.1 User unknown,May
2024-05-01T09:00:02Z,bounce,full.reader@example.org,552 5.2.2 Mailbox full,May
2024-05-01T09:00:03Z,bounce,shut.out@example.org,"554 5.7.1 <img src=x onerror=alert(1)>
Client host [192.0.2.7] blocked using zen.spamhaus.org; ask shut.out@example.org",May
2024-06-01T09:00:00Z,bounce,gone.reader@example.com,550 5.1.1 User unknown,June
2024-06-01T09:00:00Z,delivered,fine.reader@example.com,250 ok,June
2024-06-01T09:00:00Z,bounce,shut.out@example.org,597 strange words,June
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "export.csv").write_text(EXPORT, encoding="utf-8")
    return write_report(load(folder / "export.csv"), folder / "report").parent


def test_it_holds_pages_charts_the_removal_list_and_a_manifest(report: Path) -> None:
    names = {str(path.relative_to(report)) for path in report.rglob("*")}
    assert {"index.html", "remove.csv", "alerts.csv", "unclassified.csv", "manifest.json"} <= names
    assert {"charts/categories.png", "charts/categories.svg", "charts/funnel.png"} <= names
    assert sum(name.endswith(".html") for name in names) >= 4
    removed = (report / "remove.csv").read_text(encoding="utf-8")
    assert "gone.reader@example.com" in removed
    assert "shut.out" not in removed
    manifest = json.loads((report / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["verdicts"] == {"remove": 2, "keep": 2}
    assert manifest["rows"] == 7


def test_its_pages_load_nothing_from_outside(report: Path) -> None:
    for page in report.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert loaded, page
        for target in loaded:
            assert target.startswith("data:image/png") or (report / target).exists(), target


def test_nobody_is_named_outside_the_removal_list(report: Path) -> None:
    for path in report.rglob("*"):
        if path.is_file() and path.name != "remove.csv":
            content = path.read_bytes()
            for name in (b"fine.reader", b"gone.reader", b"full.reader", b"shut.out"):
                assert name not in content, path


def test_a_receivers_html_is_shown_and_not_run(report: Path) -> None:
    for page in report.glob("*.html"):
        assert "<img src=x" not in page.read_text(encoding="utf-8")


def test_it_does_not_replace_what_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text(EXPORT, encoding="utf-8")
    (tmp_path / "taxes").mkdir()
    with pytest.raises(BouncekitError, match="no report of bouncekit"):
        write_report(load(tmp_path / "export.csv"), tmp_path / "taxes")
