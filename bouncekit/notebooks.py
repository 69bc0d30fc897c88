"""Run notebooks: in place for the repository, on the user's own exports for a report."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from bouncekit.errors import BouncekitError

Result = TypeVar("Result")

# Notebooks run at once: each is a kernel with the whole export in memory.
AT_ONCE = min(2, os.cpu_count() or 1)

_PARTS_THAT_CHANGE = ("execution", "papermill")
# The kernel talks to this machine only; its warning that it does so unencrypted helps nobody.
_QUIET = ["--IPKernelApp.log_level=CRITICAL"]


def folder() -> Path:
    """Give the folder of the notebooks: inside the installed package, else in the checkout."""
    installed = Path(str(files("bouncekit"))) / "_notebooks"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "notebooks"


def all_notebooks() -> list[Path]:
    """Give the notebooks in the order of reading."""
    return sorted(folder().glob("[0-9][0-9]-*.ipynb"))


def title(notebook: Path) -> str:
    """Give the question that a notebook answers."""
    import nbformat

    first = nbformat.read(notebook, as_version=4).cells[0].source
    return str(first).splitlines()[0].lstrip("# ")


def side_by_side(work: Callable[[Path], Result], paths: Iterable[Path]) -> Iterator[Result]:
    """Do something with notebooks, some at once, and give the results in their order."""
    loops = _lab("jupyter_core.utils")

    def in_thread(path: Path) -> Result:
        try:
            return work(path)
        finally:  # a thread's event loop is nobody else's to close
            loops.ensure_event_loop().close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(in_thread, paths)


def run_with(notebook: Path, parameters: dict[str, Any], folder: Path) -> Any:
    """Run a notebook with parameters in a folder and give its content.

    Raises BouncekitError naming the notebook and the first line of the trouble.
    """
    import nbformat

    papermill = _lab("papermill")
    try:
        # Two run at once: papermill may open no file and get no `cwd`, since for both it changes
        # the directory of the whole process.
        return papermill.execute_notebook(
            nbformat.read(notebook, as_version=4),
            None,
            parameters=parameters,
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=_QUIET,
            resources={"metadata": {"path": str(folder)}},
        )
    except papermill.PapermillExecutionError as problem:
        raise BouncekitError(
            f"{notebook.name} stopped: {problem.ename}: {problem.evalue}; 'bouncekit lab' opens it "
            "on the same export, to look at the cell."
        ) from None


def run_in_place(notebook: Path) -> None:
    """Run a notebook where it stands and store it so that an unchanged result makes no diff."""
    import nbformat

    nbclient = _lab("nbclient")
    content = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(
        content,
        kernel_name="python3",
        extra_arguments=_QUIET,
        resources={"metadata": {"path": str(notebook.parent)}},
    ).execute()
    nbformat.write(without_traces(content), notebook)


def without_traces(content: Any) -> Any:
    """Strip what differs from run to run: times, the machine's Python, papermill's notes."""
    content.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in content.cells:
        for part in _PARTS_THAT_CHANGE:
            cell.metadata.pop(part, None)
    return content


def copy_to(target: Path, exports: list[str], rules: str | None = None) -> list[Path]:
    """Copy the notebooks into a folder of the user's, with their exports and rules filled in.

    What is there already is left alone. Gives the paths of the copies made.
    """
    import nbformat

    named = {"EXPORT": exports, "RULES": rules}
    given = {name: value for name, value in named.items() if value}

    target.mkdir(parents=True, exist_ok=True)
    fresh = [(path, target / path.name) for path in all_notebooks()]
    made = [(path, copy) for path, copy in fresh if not copy.exists()]
    for path, copy in made:
        if not given:
            shutil.copy(path, copy)
            continue
        content = nbformat.read(path, as_version=4)
        for cell in content.cells:
            if "parameters" in cell.metadata.get("tags", []):
                cell.source = with_values(cell.source, given)
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(content, copy)
    return [copy for _, copy in made]


def with_values(parameters: str, given: dict[str, Any]) -> str:
    """Fill values into the source of a cell of parameters."""
    lines = []
    for line in parameters.splitlines():
        name = line.partition(" = ")[0]
        lines.append(f"{name} = {given[name]!r}" if name in given else line)
    return "\n".join(lines)


def _lab(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise BouncekitError(
            f"{module} is not installed; install what notebooks need: pip install 'bouncekit[lab]'."
        ) from None


if __name__ == "__main__":
    list(side_by_side(run_in_place, sorted(Path(sys.argv[1]).glob("*.ipynb"))))
