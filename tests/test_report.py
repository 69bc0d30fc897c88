"""The report on a small export: whole, offline, and without anybody's address."""

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from bouncekit import notebooks
from bouncekit.cli import app
from bouncekit.errors import BouncekitError
from bouncekit.read import load
from bouncekit.report import _told, open_lab, write_report

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

OWN = """[moved]
"strange words" = "597 strange words"
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


def test_every_picture_is_described_in_a_sentence(report: Path) -> None:
    for page in report.glob("*.html"):
        pictures = re.findall(r"<img ([^>]+)>", page.read_text(encoding="utf-8"))
        assert pictures, page
        for picture in pictures:
            assert re.search(r'alt="[A-Z][^"<]+\."', picture), (page.name, picture[-200:])
            assert re.search(r'width="\d+" height="\d+"', picture), (page.name, picture[-200:])


def test_every_page_leads_to_every_other(report: Path) -> None:
    pages = {page.name for page in report.glob("*.html")}
    for page in report.glob("*.html"):
        links = set(re.findall(r'href="([^"]+\.html)"', page.read_text(encoding="utf-8")))
        assert links | {page.name} == pages


def test_nobody_is_named_outside_the_removal_list(report: Path) -> None:
    for path in report.rglob("*"):
        if path.is_file() and path.name != "remove.csv":
            content = path.read_bytes()
            for name in (b"fine.reader", b"gone.reader", b"full.reader", b"shut.out"):
                assert name not in content, path


def test_a_receivers_html_is_shown_and_not_run(report: Path) -> None:
    for page in report.glob("*.html"):
        assert "<img src=x" not in page.read_text(encoding="utf-8")


def test_its_pages_show_the_parameters_that_ran_by_the_names_shown_elsewhere(
    tmp_path: Path,
) -> None:
    (export := tmp_path / "ann.lee@example.org.csv").write_text(EXPORT, encoding="utf-8")
    report = write_report(load(export), tmp_path / "report", policy="two_strikes", mask=False)
    for page in sorted(report.parent.glob("0*.html")):
        code = unescape(page.read_text(encoding="utf-8"))
        assert "EXPORT = ['ann.lee@example.org.csv']\n" in code, page
        assert "POLICY = 'two_strikes'\nMASKED = False\nRULES = None\n" in code, page
        assert str(tmp_path) not in code
        assert "newsletter.csv.zst" not in code


def test_its_pages_name_a_few_exports_and_count_the_others() -> None:
    files = [{"source": f"{number}.eml"} for number in range(9)]
    told = _told({"files": files, "policy": "article", "rules": "my.toml"}, masked=True)
    assert told["EXPORT"] == ["0.eml", "1.eml", "2.eml", "3.eml", "4.eml", "and 4 more"]


def test_the_first_page_names_its_bases_and_what_the_policy_is(report: Path) -> None:
    index = unescape((report / "index.html").read_text(encoding="utf-8"))
    assert "All failures, and not the bounces alone: 5 bounces." in index
    assert "The rule of article: The article on SMTP error 550: a 550 for" in index
    assert "remove at once. The article is the one that bouncekit grew from." in index


def test_one_day_is_told_once(report: Path) -> None:
    index = (report / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"1 recipient, sent from 192\.0\.2\.7, on 2024-05-01\.", index)
    assert "last on" not in index


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of rules in the working directory, which is not that of the notebooks."""
    monkeypatch.chdir(tmp_path)
    Path("export.csv").write_text(EXPORT, encoding="utf-8")
    (path := Path("it's mine.toml")).write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report by rules that are named by a path relative to the working directory."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "export.csv").write_text(EXPORT, encoding="utf-8")
    (folder / "it's mine.toml").write_text(OWN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_report(load("export.csv"), Path("report"), rules="it's mine.toml")
    return folder / "report"


def test_own_rules_reach_the_lists_and_every_notebook(mine: Path, report: Path) -> None:
    for folder, name in ((report, "unclassified"), (mine, "moved")):
        left = (folder / "unclassified.csv").read_text(encoding="utf-8")
        assert ("strange words" in left) == (name == "unclassified")
        index = (folder / "index.html").read_text(encoding="utf-8")
        assert ("What nobody could name" in index) == (name == "unclassified")
        assert ("with the rules of <b>it&#39;s mine.toml</b>" in index) == (name == "moved")
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["rules"] == ("it's mine.toml" if name == "moved" else None)
    why = (mine / "02-why-it-bounced.html").read_text(encoding="utf-8")
    assert "strange words" not in why


def test_its_pages_do_not_tell_where_the_rules_lie(mine: Path) -> None:
    place = str(mine.parent)
    for path in [*mine.glob("*.html"), *mine.glob("*.json"), *mine.glob("*.csv")]:
        assert place not in path.read_text(encoding="utf-8"), path


def test_every_notebook_classifies_with_the_rules() -> None:
    for notebook in notebooks.all_notebooks():
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
        calls = re.findall(r"bk\.classify\(.*", code)
        assert calls, notebook
        assert all(call.endswith(", rules=RULES)") for call in calls), notebook


def test_broken_rules_leave_the_last_report_as_it_was(own: Path) -> None:
    (last := Path("report")).mkdir()
    (last / "manifest.json").write_text("{}", encoding="utf-8")
    own.write_text("[moved\n", encoding="utf-8")
    with pytest.raises(BouncekitError, match=r"it's mine\.toml: not readable as TOML"):
        write_report(load("export.csv"), last, rules=own)
    assert [path.name for path in last.iterdir()] == ["manifest.json"]


def test_the_lab_fills_in_exports_and_rules(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    open_lab(["export.csv"], Path("lab"), own)
    for copy in notebooks.all_notebooks():
        cells = json.loads((Path("lab") / copy.name).read_text(encoding="utf-8"))["cells"]
        (parameters,) = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
        assert [line.rstrip("\n") for line in parameters["source"]] == [
            f"EXPORT = {[str(Path('export.csv').resolve())]!r}",
            'POLICY = "article"',
            "MASKED = True",
            f"RULES = {str(own.resolve())!r}",
        ]


def test_the_lab_without_an_export_says_that_it_shows_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    done = CliRunner().invoke(app, ["lab", "--folder", str(tmp_path / "lab")])
    assert done.output == (
        "No export given: the notebooks show a sample. Set EXPORT in each to your own files.\n"
    )
    assert len(list((tmp_path / "lab").glob("*.ipynb"))) == len(notebooks.all_notebooks())


def test_the_first_page_says_what_the_files_do_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bouncekit.report._pages", lambda *_, **__: [])
    (export := tmp_path / "cleaned.csv").write_text(
        "Email Address,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE\nann@example.org,2024-05-01 09:00:00,May\n",
        encoding="utf-8",
    )
    index = write_report(load(export), tmp_path / "report").read_text(encoding="utf-8")
    said = re.findall(r"These files hold no (\w+): [^<]+\.</p>", index)
    assert said == ["replies", "deliveries"]


def test_the_first_page_gives_its_numbers_first(report: Path) -> None:
    index = (report / "index.html").read_text(encoding="utf-8")
    glance = re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", index)
    assert glance == [
        ("bounces, beside 2 deliveries", "5"),
        ("of all 5 failures are yours to mend", "20.0 %"),
        ("problem of your sending", "1"),
        ("addresses to remove", "2"),
    ]


def test_the_unclassified_table_is_as_wide_as_the_page(report: Path) -> None:
    index = (report / "index.html").read_text(encoding="utf-8")
    shown = index.partition("What nobody could name")[2].partition("</table>")[0]
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)', shown)
    assert heads == ["template", "reply_code", "events", "recipients"]
    written = (report / "unclassified.csv").read_text(encoding="utf-8").splitlines()[0]
    assert written == "template,reply_code,events,recipients,example"


def test_it_does_not_replace_what_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text(EXPORT, encoding="utf-8")
    (tmp_path / "taxes").mkdir()
    with pytest.raises(BouncekitError, match="no report of bouncekit"):
        write_report(load(tmp_path / "export.csv"), tmp_path / "taxes")


SES = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "timestamp": "2024-03-01T10:00:00.123Z",
        "bouncedRecipients": [
            {"emailAddress": "ann@example.org", "diagnosticCode": "smtp; 550 5.1.1 User unknown"}
        ],
    },
    "mail": {"messageId": "m1", "source": "news@example.com", "destination": ["ann@example.org"]},
}
SERVERS = Path(__file__).parent / "data" / "servers"


@pytest.mark.parametrize("kind", ["SES webhooks", "Postfix log", "folder of mails"])
def test_any_export_makes_a_report(kind: str, tmp_path: Path) -> None:
    export = tmp_path / "export"
    if kind == "SES webhooks":
        export.write_text(json.dumps(SES) + "\n", encoding="utf-8")
    elif kind == "Postfix log":
        export.write_bytes((SERVERS / "postfix.log").read_bytes())
    else:
        export.mkdir()
        mails = (SERVERS / "postfix.mbox").read_text(encoding="utf-8").split("\nFrom ")
        for number, mail in enumerate(mails):
            (export / f"{number}.eml").write_text(mail.partition("\n")[2], encoding="utf-8")
    pages = write_report(load(export), tmp_path / "report").parent.glob("*.html")
    assert len(list(pages)) == 1 + len(notebooks.all_notebooks())
