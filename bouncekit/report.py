"""Run the notebooks on the user's exports and write one folder that opens in any browser."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from jinja2 import Environment

from bouncekit import charts, hidden, notebooks
from bouncekit.alerts import alerts, blocklistings, problems
from bouncekit.classify import classify
from bouncekit.counts import distribution, failures, holdings, unclassified
from bouncekit.domains import faults_by_provider
from bouncekit.drafts import scratch, whole_folder
from bouncekit.errors import BouncekitError
from bouncekit.files import printable, without_formulas
from bouncekit.history import last_event, rates
from bouncekit.incidents import hours, incidents
from bouncekit.mask import mask
from bouncekit.offenders import hygiene, offenders, pareto
from bouncekit.own_rules import own_phrases
from bouncekit.policy import decide
from bouncekit.presets import find_policy
from bouncekit.read.made import MANIFEST
from bouncekit.revivals import revivals
from bouncekit.suppress import write_suppressions
from bouncekit.theme import ROWS, picture, table, use_theme

if TYPE_CHECKING:
    from bouncekit.read import Reading

MOST_REMOVALS = 20  # that the first page shows; remove.csv has all
MOST_EXPORTS = 5  # that a notebook's page names; manifest.json has all


def write_report(
    reading: "Reading",
    output: Path,
    *,
    policy: str = "article",
    mask: bool = True,
    rules: str | PathLike[str] | None = None,
    progress: bool = False,
) -> Path:
    """Write the report on what was read into the folder `output`, and give its first page.

    The folder holds index.html, each notebook as HTML, charts/ (PNG and SVG), remove.csv,
    alerts.csv, unclassified.csv and manifest.json; the pages load nothing from outside. An older
    report is replaced once the new one is whole. `rules` names a TOML file of the user's own
    phrases, as for `classify`. Raises BouncekitError if they cannot be used, if `output` is
    something else than a report, or if a notebook stops.
    """
    rules = usable(rules)
    refuse_to_replace(output)
    with whole_folder(output) as draft:
        _fill(draft, reading, policy, rules, masked=mask, progress=progress)
    return output / "index.html"


def refuse_to_replace(output: Path) -> None:
    """Raise BouncekitError if a folder is there already that is no report."""
    if output.exists() and not (output / MANIFEST).exists():
        raise BouncekitError(
            f"{output}: is there already and is no report of bouncekit; choose another with -o."
        )


def open_lab(
    exports: Sequence[str], folder: Path, rules: str | PathLike[str] | None = None
) -> None:
    """Copy the notebooks into `folder` and open JupyterLab there.

    Raises BouncekitError if the user's `rules` cannot be used.
    """
    rules = usable(rules)
    paths = [str(Path(export).resolve()) for export in exports]
    notebooks.copy_to(folder, paths, rules)
    try:
        quiet = "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"  # asks nobody
        subprocess.run([sys.executable, "-m", "jupyterlab", quiet, str(folder)], check=False)
    except KeyboardInterrupt:
        return


def usable(rules: str | PathLike[str] | None) -> str | None:
    """Give the path of a user's rules as notebooks need it: they run in a folder of their own.

    Raises BouncekitError naming the file, the entry and the way out if it cannot be used.
    """
    if rules is None:
        return None
    own_phrases(rules)
    return str(Path(rules).resolve())


def _fill(
    draft: Path,
    reading: "Reading",
    policy: str,
    rules: str | None,
    *,
    masked: bool,
    progress: bool,
) -> None:
    use_theme(masked=masked)
    bounces = classify(reading.frame, rules=rules)
    decisions = decide(bounces, policy)
    found = {
        "alerts": alerts(bounces),
        "incidents": incidents(bounces),
        "unclassified": unclassified(bounces),
    }
    write_suppressions(decisions, draft / "remove.csv")
    for name, frame in found.items():
        shown = mask(frame) if masked else frame
        without_formulas(shown).write_csv(draft / f"{name}.csv")
    to_mend = problems(found["alerts"])
    by_fault = distribution(bounces, by="fault")
    pictures = _charts(draft / "charts", bounces, decisions, to_mend)
    # The notebooks run in a folder of their own.
    of_notebooks = str(Path(policy).resolve()) if policy.endswith(".toml") else policy
    parameters = {"POLICY": of_notebooks, "MASKED": masked, "RULES": rules}
    manifest = _manifest(reading, policy, rules, decisions, bounces)
    if masked:
        for file in manifest["files"]:
            file["source"] = _masked(file["source"])
    pages = _pages(
        draft, reading.frame, parameters, _told(manifest, masked=masked), progress=progress
    )
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    index = _template("index.html").render(
        summary=_masked(reading.summary) if masked else reading.summary,
        manifest=manifest,
        pictures=pictures,
        pages=pages,
        problems=to_mend.to_dicts(),
        glance=_glance(bounces, by_fault, decisions, to_mend.height),
        failures=_failures(bounces),
        rule=find_policy(policy).source.rstrip("."),
        missing=holdings(bounces).filter(pl.col("events") == 0).to_dicts(),
        tables={
            "faults": _table(by_fault, masked),
            "incidents": _table(found["incidents"], masked),
            "verdicts": _table(_verdicts(decisions), masked),
            "removals": _table(_removals(decisions), masked, MOST_REMOVALS),
            "unclassified": _table(found["unclassified"].drop("example").head(10), masked),
        },
    )
    (draft / "index.html").write_text(index, encoding="utf-8")


def _charts(
    folder: Path, bounces: pl.DataFrame, decisions: pl.DataFrame, to_mend: pl.DataFrame
) -> dict[str, dict[str, Any]]:
    """Write each chart that the frames have something for; give its text and size by name."""
    folder.mkdir()
    repeated = offenders(bounces, at_least=1)
    after_failure = pl.col("sends_after_first_failure") > 0
    by_mailing = rates(bounces)
    verdicts = decisions.group_by("verdict", "category").agg(recipients=pl.len())
    makers = {
        "categories": (charts.categories, distribution(bounces, by=["category", "fault"])),
        "bounce_rate": (charts.bounce_rate, by_mailing),
        "pareto": (charts.pareto, pareto(repeated) if repeated.height else repeated),
        "hygiene": (charts.hygiene, hygiene(repeated.filter(after_failure))),
        "revivals": (charts.revivals, revivals(bounces)),
        "providers": (charts.providers, faults_by_provider(bounces)),
        "blocklists": (charts.blocklists, blocklistings(bounces)),
        "incidents": (charts.incidents, hours(bounces)),
        "alerts": (charts.alerts, to_mend.head(10)),
        "funnel": (charts.funnel, verdicts.sort("verdict", "category")),
    }
    drawn = {}
    for name, (draw, frame) in makers.items():
        if frame.is_empty():
            continue
        chart = draw(frame)
        chart.save(folder / f"{name}.svg")
        spec = chart.to_dict()
        shown, about = picture(spec)
        (folder / f"{name}.png").write_bytes(shown["image/png"])
        drawn[name] = _about(about)
    return drawn


def _pages(
    draft: Path,
    frame: pl.DataFrame,
    parameters: dict[str, Any],
    told: dict[str, Any],
    *,
    progress: bool,
) -> list[tuple[str, str]]:
    """Run each notebook and write it as HTML; give (file, title) of each page.

    The pages tell the parameters as `told`: the real ones are paths of this machine.
    """
    with scratch() as place:
        export = place / "export.parquet"
        frame.write_parquet(export)
        given = {"EXPORT": [str(export)], **parameters}

        def page(notebook: Path) -> None:
            content = notebooks.run_with(notebook, given, place)
            html = _html(content, contents, told)
            (draft / f"{notebook.stem}.html").write_text(html, encoding="utf-8")

        paths = notebooks.all_notebooks()
        contents = [(f"{path.stem}.html", notebooks.title(path)) for path in paths]
        for _ in _with_progress(notebooks.side_by_side(page, paths), len(paths), progress):
            pass
        return contents


def _with_progress(pages: Iterable[None], count: int, progress: bool) -> Iterable[None]:
    if not progress or not sys.stderr.isatty():
        return pages
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(pages, "Running the notebooks", total=count, console=console)


def _html(content: Any, contents: list[tuple[str, str]], told: dict[str, Any]) -> str:
    """Turn a notebook into a page: prose, pictures and tables; the code folded away."""
    import mistune

    cells: list[dict[str, Any]] = []
    code: list[str] = []  # of cells that show nothing: it goes with the next that does
    for cell in content.cells:
        if cell.cell_type == "markdown":
            cells.append({"prose": mistune.html(cell.source.replace(".ipynb)", ".html)"))})
            continue
        tags = cell.metadata.get("tags", [])
        if "injected-parameters" in tags:
            continue
        is_told = "parameters" in tags
        code.append(notebooks.with_values(cell.source, told) if is_told else cell.source)
        if cell.outputs:
            shown = [_output(output) for output in cell.outputs]
            cells.append({"code": "\n\n".join(code), "outputs": shown})
            code.clear()
    title = content.cells[0].source.splitlines()[0].lstrip("# ")
    return str(_template("notebook.html").render(title=title, cells=cells, contents=contents))


def _output(output: Any) -> dict[str, Any]:
    data = output.get("data", {})
    text = str(data.get("text/plain", output.get("text", "")))
    if "image/png" in data:
        about = _about(output.get("metadata", {}))
        return {"png": str(data["image/png"]).strip(), "alt": text, **about}
    if "text/html" in data:
        return {"html": str(data["text/html"])}
    return {"text": text}


def _about(metadata: dict[str, Any]) -> dict[str, Any]:
    """A picture's description, and the size at which it is shown: it has more pixels than that."""
    about = metadata.get("image/png", {})
    return {name: said if name == "alt" else round(said) for name, said in about.items()}


def _glance(
    bounces: pl.DataFrame, by_fault: pl.DataFrame, decisions: pl.DataFrame, to_mend: int
) -> list[tuple[str, str]]:
    """The few numbers that a reader looks for first, each with its words."""
    events = dict(bounces["event"].cast(pl.String).value_counts().iter_rows())
    verdicts = dict(decisions["verdict"].cast(pl.String).value_counts().iter_rows())
    mine = by_fault.filter(pl.col("fault").is_in(["sender", "message"]))
    failed = int(by_fault["events"].sum())
    glance = [(f"{events.get('bounce', 0):,}", "bounces")]
    if delivered := events.get("delivery", 0):
        glance[0] = (glance[0][0], f"bounces, beside {delivered:,} deliveries")
    if failed:
        share = f"{mine['events'].sum() / failed:.1%}".replace("%", " %")
        glance.append((share, f"of all {failed:,} failures are yours to mend"))
    glance.append((f"{to_mend}", f"problem{'s' * (to_mend != 1)} of your sending"))
    removed, held = verdicts.get("remove", 0), verdicts.get("hold", 0)
    glance.append((f"{removed:,}", f"address{'es' * (removed != 1)} to remove"))
    if held:
        glance.append((f"{held:,}", f"removal{'s' * (held != 1)} on hold"))
    return glance


def _failures(bounces: pl.DataFrame) -> str:
    """What the failures are that the tables by fault and category count."""
    events = failures(bounces).group_by(pl.col("event").cast(pl.String)).agg(rows=pl.len())
    counts = events.sort("rows", "event", descending=[True, False]).collect().iter_rows()
    return ", ".join(f"{rows:,} {_plural(event or 'other', rows)}" for event, rows in counts)


def _plural(event: str, count: int) -> str:
    return event + "s" * (count != 1 and event in ("bounce", "deferral", "complaint"))


def _told(manifest: dict[str, Any], *, masked: bool) -> dict[str, Any]:
    """The parameters of the notebooks by the names that the report shows."""
    names = list(dict.fromkeys(file["source"] for file in manifest["files"]))
    more = [f"and {len(names) - MOST_EXPORTS:,} more"] * (len(names) > MOST_EXPORTS)
    return {
        "EXPORT": [*names[:MOST_EXPORTS], *more],
        "POLICY": manifest["policy"],
        "MASKED": masked,
        "RULES": manifest["rules"],
    }


def _table(frame: pl.DataFrame, masked: bool, rows: int = ROWS) -> str:
    return table(frame, masked=masked, rows=rows)["text/html"] if frame.height else ""


def _removals(decisions: pl.DataFrame) -> pl.DataFrame:
    removed = decisions.filter(pl.col("verdict") == "remove")
    return removed.select("recipient", "category", "because")


def _verdicts(decisions: pl.DataFrame) -> pl.DataFrame:
    return (
        decisions.group_by("verdict")
        .agg(recipients=pl.len())
        .with_columns(share=pl.col("recipients") / pl.col("recipients").sum())
        .sort("verdict")
    )


def _manifest(
    reading: "Reading",
    policy: str,
    rules: str | None,
    decisions: pl.DataFrame,
    bounces: pl.DataFrame,
) -> dict[str, Any]:
    verdicts = decisions["verdict"].cast(pl.String).value_counts(sort=True)
    as_of = last_event(bounces)
    return {
        "bouncekit": version("bouncekit"),
        "policy": os.path.basename(policy),  # noqa: PTH119 - a name, or the path of a user's file
        "rules": rules and Path(rules).name,
        "as_of": as_of and as_of.isoformat(),
        "rows": reading.frame.height,
        "verdicts": dict(verdicts.iter_rows()),
        "files": [
            {**row, "source": os.path.basename(str(row["source"]))}  # noqa: PTH119 - no real path
            for row in reading.files.iter_rows(named=True)
        ],
    }


def _masked(name: str) -> str:
    return str(pl.select(hidden.masked(pl.lit(name))).item())


def _shown(value: Any) -> Any:
    """What a template puts into a page, without what hides in it or turns the reading direction."""
    return printable(value) if type(value) is str else value  # Markup is ours


def _template(name: str) -> Any:
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    folder = files("bouncekit").joinpath("templates")
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    script = folder.joinpath("tables.js").read_text(encoding="utf-8")
    environment.globals["style"] = style
    environment.globals["script"] = script
    # The pages run this script and no other, whatever an export holds (CSP level 2, §4.2.4).
    digest = b64encode(sha256(script.encode()).digest()).decode()
    environment.globals["script_hash"] = f"sha256-{digest}"
    return environment.from_string(folder.joinpath(name).read_text(encoding="utf-8"))
