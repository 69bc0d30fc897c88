# Everything from a bare checkout with Python 3.11, pip and make: each target makes .venv by itself.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: report lab test bench notebooks charts data clean

report: $(READY)  ## the main job on the sample data: report/index.html and report/remove.csv
	$(BIN)/bouncekit report data/newsletter.csv.zst -o report

lab: $(READY)  ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate notebooks

test: $(READY)  ## every check: style, types, tests, doctests, README and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses=logical --dist=loadfile

bench: $(READY)  ## how fast it is and how much memory it takes, beside others: one table
	$(BIN)/python tests/benchmarks/bench.py

notebooks: $(READY)  ## execute the notebooks in place; no diff if nothing changed
	$(BIN)/python -m bouncekit.notebooks notebooks

charts: $(READY)  ## every picture of docs/ anew: the charts and the terminal
	$(BIN)/python docs/make_charts.py
	$(BIN)/python docs/make_terminal.py

data: $(READY)  ## the sample data anew; the same bytes each time
	$(BIN)/python data/make_newsletter.py

clean:
	rm -rf .venv report build dist

$(READY): pyproject.toml constraints.txt _bouncekit.py  # the last is copied, even if editable
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@
