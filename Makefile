# Everything runs in .venv, made on first use. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
REGION ?= demo
ARGS ?=
BIN := .venv/bin

.PHONY: help corpus plan try sheet test services lint clean
.DEFAULT_GOAL := help

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

corpus: .venv/run ## Build corpora/<REGION>; REGION=demo (the embedded world) unless told otherwise, ARGS="--limit 50"
	$(BIN)/landmark build $(REGION) $(ARGS)

plan: .venv/run ## Say what `make corpus` would do and cost
	$(BIN)/landmark plan $(REGION) $(ARGS)

try: .venv/run ## Build 20 samples of REGION and a page of them, corpora/<REGION>-try/sheet.html
	$(BIN)/landmark try $(REGION) $(ARGS)

sheet: corpus ## Draw corpora/<REGION>/sheet.png: samples with their captions
	$(BIN)/landmark sheet corpora/$(REGION) --out corpora/$(REGION)/sheet.png

test: .venv/dev ## Run the tests; LANDMARK_REQUIRE_ALL=1 turns skips into failures
	$(BIN)/python -m pytest -n auto $(ARGS)

services: ## Install what the tests of STAC APIs and signed hrefs start: PostgreSQL + PostGIS, Azurite
	tests/services/install.sh

lint: .venv/dev ## Check code, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove the virtual environment and caches; corpora stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/dev: .venv/run
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
