# Everything runs in .venv, made on first use. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
REGION ?= demo
OUT ?= corpora/$(REGION)
ARGS ?=
# 0 leaves the smoke training out, and torch uninstalled.
TRAIN ?= 1
BIN := .venv/bin

.PHONY: help corpus plan try sheet test bench bench-defects services lint clean
.DEFAULT_GOAL := help

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

corpus: .venv/run $(if $(filter-out 0,$(TRAIN)),.venv/train) ## Build OUT=corpora/<REGION>, check it, train on it (REGION=demo; TRAIN=0 leaves the last out; ARGS="--limit 50")
	$(BIN)/landmark build $(REGION) --out $(OUT) $(ARGS)
	$(BIN)/landmark check $(OUT)
	$(if $(filter-out 0,$(TRAIN)),$(BIN)/landmark validate $(OUT) --smoke)

plan: .venv/run ## Say what `make corpus` would do and cost
	$(BIN)/landmark plan $(REGION) $(ARGS)

try: .venv/run ## Build 20 samples of REGION and a page of them, corpora/<REGION>-try/sheet.html
	$(BIN)/landmark try $(REGION) $(ARGS)

sheet: .venv/run ## Draw OUT/sheet.png of a corpus: samples with their captions
	$(BIN)/landmark sheet $(OUT) --out $(OUT)/sheet.png

test: .venv/dev ## Run the tests; LANDMARK_REQUIRE_ALL=1 runs the long ones, too, and turns skips into failures
	$(BIN)/python -m pytest -n auto $(if $(filter 1,$(LANDMARK_REQUIRE_ALL)),,-m "not long") $(ARGS)

bench: .venv/bench ## Measure reading against its peers, and a plan at the size of Europe; wants a quiet machine for half an hour
	bench/install.sh
	$(BIN)/python -m bench.reading $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m bench.europe)

bench-defects: .venv/run ## Plant every known defect into the demo, one by one, and see which ones `landmark check` finds
	$(BIN)/python -m bench.defects $(ARGS)

services: ## Install what tests start: PostgreSQL + PostGIS, Azurite, nginx
	tests/services/install.sh
	bench/install.sh

lint: .venv/dev ## Check code, types, the direction of imports, and every taxonomy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/landmark taxonomy check

clean: ## Remove the virtual environment and caches; corpora stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/train: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]'
	@touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

.venv/bench: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@
