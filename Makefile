PYTHON ?= .venv/bin/python

.PHONY: test lint fix docs ci

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) docs/make_cli_page.py --check
	$(PYTHON) docs/make_manipulations_page.py --check

fix:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs:
	$(PYTHON) docs/make_cli_page.py
	$(PYTHON) docs/make_manipulations_page.py

ci:
	.ci/run
