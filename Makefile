# make run     start Holdfast in front of a demo; ROUTE='* localhost:8000' puts it in front of yours instead
# make chat    start a chat in Flask; make signalling, WebRTC signalling in PHP; make score, live scores (see examples/)
# make test    run the whole suite; ARGS='-k name' goes to pytest
# make check   formatting, lint, types, import contracts, the suite once more on asyncio's own loop, and with two workers
# make bench   measure against the floor and the peers, into docs/benchmarks; ARGS='fanout --rounds 3' chooses
# make clean   remove whatever these made
#
# Everything is kept in .venv, made on first need and renewed when pyproject.toml changes.

PYTHON ?= python3
ARGS ?=
ROUTE ?=

BIN := .venv/bin
RUN := .venv/.run-installed
DEV := .venv/.dev-installed
BENCH := .venv/.bench-installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
NODE := tests/interop/node
NCHAN := /usr/lib/nginx/modules/ngx_nchan_module.so

# node and npm come with the development tools, as wheels.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DELETE_ON_ERROR:
.PHONY: run chat signalling score test check format lint types contracts test-asyncio test-workers bench debian clean

run: $(RUN)
	@exec $(if $(ROUTE),$(BIN)/holdfast run --route "$$ROUTE",$(BIN)/python examples/demo/run.py)

chat: $(DEV)
	@exec $(BIN)/python examples/chat-flask/run.py

signalling: $(RUN)
	@command -v php >/dev/null || tools/install-debian php:php-cli || echo "Going on without." >&2
	@exec $(BIN)/python examples/webrtc-signalling-php/run.py

score: $(RUN)
	@command -v php >/dev/null || tools/install-debian php:php-cli || echo "Going on without." >&2
	@exec $(BIN)/python examples/live-score-php/run.py

test: $(DEV) debian $(if $(wildcard $(NODE)/package-lock.json),$(NODE)/node_modules/.package-lock.json)
	$(BIN)/python -m pytest $(ARGS)

check: format lint types contracts test-asyncio test-workers

format: $(DEV)
	$(BIN)/ruff format --check

lint: $(DEV)
	$(BIN)/ruff check

# pyright's wheel holds pyright itself; its warning that a newer one is out would need the network.
types: $(DEV)
	$(BIN)/mypy
	$(BIN)/mypy examples/webrtc-signalling-php/run.py
	$(BIN)/mypy examples/live-score-php/run.py
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

contracts: $(DEV)
	$(BIN)/lint-imports

# The end-to-end suite in front of two worker processes: every claim that is not about one process must hold for both.
test-workers: $(DEV)
	HOLDFAST_TEST_WORKERS=2 $(BIN)/python -m pytest tests/e2e $(ARGS)

# Other people's programs don't care which loop serves them.
test-asyncio: $(DEV)
	HOLDFAST_TEST_LOOP=asyncio $(BIN)/python -m pytest --ignore=tests/interop $(ARGS)

# A peer that is missing is left out of the table; without gcc there is none.
bench: $(BENCH)
	@tools/install-debian gcc:gcc pushpin:pushpin nginx:nginx $(NCHAN):libnginx-mod-nchan || \
		echo "Going on without." >&2
	$(BIN)/python -m tests.bench $(ARGS)

# Without them the tests that need them say so: they are skipped, or fail where CI is set.
debian:
	@tools/install-debian php:php-cli chromium:chromium pushpin-publish:pushpin gcc:gcc || echo "Going on without." >&2

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Holdfast needs Python 3.11 or newer, and $(PYTHON) is not. Try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/install-debian :python3-venv
	$(PYTHON) -m venv --clear .venv

$(RUN): pyproject.toml | $(BIN)/python
	$(PIP) install --use-pep517 --editable .
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(PIP) install --use-pep517 --editable '.[dev,interop]'
	@touch $@ $(RUN)

$(BENCH): pyproject.toml | $(BIN)/python
	$(PIP) install --use-pep517 --editable '.[bench]'
	@touch $@ $(RUN)

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json $(DEV)
	cd $(NODE) && npm ci --no-audit --no-fund --no-update-notifier
	@touch $@

clean:
	rm -rf .venv dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache $(NODE)/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
