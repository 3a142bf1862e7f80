# make demo       train and test a small net on built-in digits
# make test       check every change: style, types, imports, tests
# make test-all   the same with the slow tests; needs Chromium, and skips nothing for a missing tool
# make docs       build the documentation as a site: site/index.html
# Each sets up .venv/ first; the second time that takes no time.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install demo test test-all lint types imports tests tests-all docs clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "verydeep needs Python 3.11 or newer: make install PYTHON=python3.12"; exit 2; }
	@echo "Setting up .venv/ (once; downloads PyTorch)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: install
	$(BIN)/verydeep demo --out runs/demo $(if $(wildcard runs/demo/recipe.yaml),--resume)

test: lint types imports tests

test-all: lint types imports tests-all

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

# One thread a process: the tests are many and small. A process without work takes some of the other.
# Compiled files are kept, even where the environment says otherwise: without them each process spends
# longer on compiling the tests than on collecting them.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

tests: install
	$(PYTEST) -m "not slow" $(TESTS)

tests-all: install
	$(PYTEST) --all-tools $(TESTS)

# Nothing is fetched. The variable is the theme's own way to leave out its notice about its successor.
# With --quiet, warnings would not count, and --strict mean nothing.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html"

clean:
	rm -rf .venv build site *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
