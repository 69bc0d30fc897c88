"""The notebooks keep to the rules that keep them readable and checkable."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import altair as alt
import nbformat
import polars as pl
import pytest

from bouncekit import notebooks, theme
from bouncekit.explain import explain

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    content: nbformat.NotebookNode = nbformat.read(request.param, as_version=4)
    return content


def test_the_notebooks_are_found() -> None:
    assert notebooks.all_notebooks() == NOTEBOOKS
    assert len(NOTEBOOKS) >= 4


def test_it_asks_a_question_and_answers_it_first(notebook: nbformat.NotebookNode) -> None:
    first = notebook.cells[0].source
    assert re.match(r"# .+\?\n\n\S", first)


def test_it_ends_with_what_to_do_and_what_it_cannot_tell(notebook: nbformat.NotebookNode) -> None:
    last = notebook.cells[-1].source
    assert last.index("## What to do") < last.index("## What this cannot tell")


def test_cells_are_few_short_and_named(notebook: nbformat.NotebookNode) -> None:
    assert len(notebook.cells) <= 30
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), cell.id
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 8, cell.id
            assert not re.search(r"^\s*(def|for|while|print|!|%)\b", cell.source, re.M), cell.id


def test_one_cell_holds_the_parameters(notebook: nbformat.NotebookNode) -> None:
    tagged = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert [re.findall(r"^[A-Z]+", c.source, re.M) for c in tagged] == [
        ["EXPORT", "POLICY", "MASKED", "RULES"]
    ]


def test_it_is_stored_as_run_once_from_top_to_bottom(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any("execution" in cell.metadata for cell in notebook.cells)
    assert any("spec=" in str(cell.outputs) for cell in code)


def test_no_address_is_shown_unmasked(notebook: nbformat.NotebookNode) -> None:
    shown = " ".join(
        str(part) for c in notebook.cells if c.cell_type == "code" for part in c.outputs
    )
    text = re.sub(r"'image/png': '[^']*'", "", shown)
    assert not re.findall(r"[A-Za-z0-9.]{2,}@[a-z0-9-]{2,}\.", text)


def test_copies_never_overwrite_and_hold_the_users_exports(tmp_path: Path) -> None:
    made = notebooks.copy_to(tmp_path, ["/exports/bounces.csv"])
    assert [path.name for path in made] == [path.name for path in NOTEBOOKS]
    text = made[0].read_text(encoding="utf-8")
    assert "/exports/bounces.csv" in text
    assert "newsletter.csv.zst" not in text
    made[0].write_text("mine", encoding="utf-8")
    assert notebooks.copy_to(tmp_path, []) == []
    assert made[0].read_text(encoding="utf-8") == "mine"


def test_the_rule_that_is_shown_works(tmp_path: Path) -> None:
    why = (FOLDER / "02-why-it-bounced.ipynb").read_text(encoding="utf-8")
    cells = nbformat.reads(why, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    (rule,) = re.findall(r"```toml\n(.+?)```", prose, re.S)
    path = tmp_path / "my_rules.toml"
    path.write_text(rule, encoding="utf-8")
    (reply,) = re.findall(r'= "(.+)"', rule)
    assert explain(reply).category == "unclassified"
    assert explain(reply, rules=str(path)).category == "policy_refused"


@pytest.mark.parametrize("changed", [False, True])
def test_one_changed_value_in_the_data_is_noticed(changed: bool, tmp_path: Path) -> None:
    what = "01-what-bounced.ipynb"
    for part in ("data", "notebooks"):
        (tmp_path / part).mkdir()
    shutil.copy(FOLDER / what, tmp_path / "notebooks")
    export = FOLDER.parent / "data" / "newsletter.csv.zst"
    frame = pl.read_csv(export, infer_schema=False)
    event = pl.when(pl.int_range(pl.len()) == 1_000).then(pl.lit("unsubscribe")).otherwise("event")
    told = frame.with_columns(event=event) if changed else frame
    assert frame["event"][1_000] == "delivered"
    told.write_csv(tmp_path / "data" / "newsletter.csv.zst", compression="zstd")
    options = ["--nbval", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path / "notebooks" / what],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == changed, run.stdout
    assert ("Cell outputs differ" in run.stdout) == changed


# Poor exports, and what they hold nothing of.
EXPORTS = {
    "replies alone": (
        "email,reason\nann.lee@example.org,550 5.1.1 User unknown\n",
        {"times", "mailings", "deliveries"},
    ),
    "a heading alone": (
        "email,reason\n",
        {"recipients", "replies", "times", "mailings", "deliveries"},
    ),
    "deliveries alone": (
        "timestamp,event,email,reason\n2024-05-01T09:00:00Z,delivered,ann.lee@example.org,ok\n",
        {"replies", "mailings"},
    ),
    "no deliveries, an unreadable row": (
        "timestamp,email,reason\n2024-05-01T09:00:00Z,ann.lee@example.org,550 5.1.1 Unknown\n"
        "2024-06-01T09:00:00Z,ann.lee@example.org,552 5.2.2 Mailbox full\nnonsense,,\n",
        {"mailings", "deliveries"},
    ),
    "Mailchimp's cleaned": (
        "Email Address,First Name,MEMBER_RATING,CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID\n"
        "ann.lee@example.org,Ann,2,2024-05-01 09:00:00,May,c1\n",
        {"replies", "deliveries"},
    ),
}


def run_here(notebook: Path, export: Path) -> list[str]:
    """Run a notebook in this process, without a kernel; give what its cells show, as text."""
    names: dict[str, Any] = {}
    shown = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, cell.id, "exec"), names)
        if "parameters" in cell.metadata.get("tags", []):
            names["EXPORT"] = [str(export)]
        if last is not None:
            value = eval(compile(ast.Expression(last.value), cell.id, "eval"), names)
            shown.append(as_text(value))
    return shown


def as_text(value: Any) -> str:
    if isinstance(value, pl.DataFrame):
        return theme.table(value)["text/plain"]
    return json.dumps(value.to_dict()) if hasattr(value, "to_dict") else repr(value)


@pytest.mark.parametrize("kind", EXPORTS)
def test_on_poor_exports_every_notebook_runs_and_says_what_it_cannot_show(
    kind: str, tmp_path: Path
) -> None:
    text, missing = EXPORTS[kind]
    path = tmp_path / "export.csv"
    path.write_text(text, encoding="utf-8")
    with alt.theme.enable("default"), alt.renderers.enable("default"):
        for notebook in NOTEBOOKS:
            shown = run_here(notebook, path)
            (holdings,) = [text for text in shown if text.startswith("holds ")]
            assert set(re.findall(r"^(\w+) +0  ", holdings, re.M)) == missing
            assert all(len(text) < 200_000 and "ann.lee" not in text for text in shown)


def test_a_notebook_runs_in_its_folder_and_moves_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = nbformat.v4.new_code_cell("import os; print(os.getcwd())")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "where.ipynb")
    moves: list[object] = []
    monkeypatch.setattr(os, "chdir", moves.append)
    ran = notebooks.run_with(tmp_path / "where.ipynb", {}, tmp_path)
    assert ran.cells[-1].outputs[0]["text"].strip() == str(tmp_path.resolve())
    assert moves == []
