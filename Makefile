# Every target makes the environment by itself when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
SEEDS ?= 300
SIM_ARGS ?=
ONLY ?=
REPEAT ?= 5
BENCH_ARGS ?=

.PHONY: help demo test sim mutants check format web screenshots bench clean

help:
	@echo "make demo    a cluster of five processes, a map-reduce, and the leader killed in the middle"
	@echo "make test    all tests (PYTEST_ARGS='-k word' to choose)"
	@echo "make sim     whole clusters on virtual time with faults (SEEDS=300; SIM_ARGS='--seconds 20')"
	@echo "make mutants  one protection off at a time, of consensus and of the whole: what notices?"
	@echo "make check   lint, formatting, types and the layers"
	@echo "make format  put the code in the form that 'make check' asks for"
	@echo "make web     check and build the dashboard from web/ into titan/dashboard (needs Node)"
	@echo "make screenshots  look at every page of the dashboard (needs Chromium)"
	@echo "make bench   Titan and its peers in turns (ONLY=B1,B4; REPEAT=5; BENCH_ARGS=--quick)"
	@echo "make clean   remove the environment and everything that tools left behind"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Titan needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>&1)" >&2; \
		  echo "hint: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || \
		{ echo "hint: on Debian, apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@echo "Installing into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/python examples/wordcount/demo.py

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

sim: $(STAMP)
	$(BIN)/python -m tests.sim --seeds $(SEEDS) $(SIM_ARGS)

mutants: $(STAMP)
	$(BIN)/python -m tests.consensus.mutants
	$(BIN)/python -m tests.sim --break all --seeds 64 --seconds 6

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The dashboard's built files are committed, so that nobody needs Node to install Titan.
web: $(STAMP)
	$(BIN)/python -m titan.master.http.openapi > web/openapi.json
	cd web && npm ci --no-audit --no-fund && npm run --silent types && npm run --silent check && npm run --silent build

screenshots: $(STAMP)
	$(BIN)/python -m tests.browser.screenshots docs/screenshots

bench: $(STAMP)
	$(BIN)/python -m bench --only '$(ONLY)' --repeat $(REPEAT) $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
