PYTHON ?= .venv/bin/python

.PHONY: test lint fix docs docs-pictures site audit ci

test:
	$(PYTHON) -m pytest

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) docs/make_cli_page.py --check
	$(PYTHON) docs/make_manipulations_page.py --check
	$(PYTHON) docs/make_api_page.py --check
	$(PYTHON) docs/make_figures.py --check

fix:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs:
	$(PYTHON) docs/make_cli_page.py
	$(PYTHON) docs/make_manipulations_page.py
	$(PYTHON) docs/make_api_page.py
	$(PYTHON) docs/make_figures.py

# What shows the embedded model: after a new export or calibration. Minutes; the last two need Chromium.
docs-pictures:
	$(PYTHON) docs/make_cases.py
	$(PYTHON) docs/make_report_picture.py
	$(PYTHON) docs/make_serve_pictures.py

site:
	$(PYTHON) docs/make_site.py

# Asks a service on the internet, so no other task does this.
audit:
	$(PYTHON) .ci/audit.py

ci:
	.ci/run
