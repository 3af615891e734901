# Everything runs in .venv, made on first use. PYTHON selects the interpreter (3.11 or newer).
PYTHON ?= python3
REGION ?= demo
OUT ?= corpora/$(REGION)
ARGS ?=
# 0 skips the smoke training and does not install torch.
TRAIN ?= 1
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint requirements.lock --constraint constraints.txt

.PHONY: help corpus plan preview sheet test bench experiment bench-gpu bench-defects services lint docs lock clean
.DEFAULT_GOAL := help

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# On the demo, and with --limit, warnings of `landmark check` are printed but do not fail; docs/world.md explains them.
corpus: .venv/run $(if $(filter-out 0,$(TRAIN)),.venv/train) ## Build OUT=corpora/<REGION>, check it, train on it (REGION=demo; TRAIN=0 skips the training; ARGS="--limit 50")
	$(BIN)/landmark build $(REGION) --out $(OUT) $(ARGS)
	$(BIN)/landmark check $(OUT) $(if $(or $(findstring --limit,$(ARGS)),$(filter demo,$(REGION))),--fail-on error)
	$(if $(filter-out 0,$(TRAIN)),$(BIN)/landmark validate $(OUT) --smoke)

plan: .venv/run ## Print the samples and the cost of `make corpus`
	$(BIN)/landmark plan $(REGION) $(ARGS)

preview: .venv/run ## Build 20 samples of REGION and a page that shows them, corpora/<REGION>-preview/sheet.html
	$(BIN)/landmark preview $(REGION) $(ARGS)

sheet: .venv/run ## Draw OUT/sheet.png: samples of a corpus with their captions
	$(BIN)/landmark sheet $(OUT) --out $(OUT)/sheet.png

test: .venv/dev ## Run the tests; LANDMARK_REQUIRE_ALL=1 includes the long ones and turns skips into failures
	$(BIN)/python -m pytest -n auto -m "not nightly$(if $(filter 1,$(LANDMARK_REQUIRE_ALL)),, and not long)" $(ARGS)

bench: .venv/bench ## Measure reading, building and loading against other libraries, builds of growing size, planning at the size of Europe, CLOSP against its rivals, and start-up; an hour on an idle machine
	bench/install.sh
	$(BIN)/python -m bench.reading $(ARGS)
	$(BIN)/python -m bench.build $(ARGS)
	$(BIN)/python -m bench.loader $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m bench.scale)
	$(if $(ARGS),,$(BIN)/python -m bench.europe)
	$(if $(ARGS),,$(BIN)/python -m bench.training)
	$(if $(ARGS),,$(BIN)/python -m bench.rivals)
	$(if $(ARGS),,$(BIN)/python -m bench.startup --busy)

bench-gpu: .venv/train ## Measure training and embedding on one GPU, eight minutes, into runs/gpu (ARGS="--smoke --device cpu" without one)
	$(BIN)/python -m bench.gpu --corpus corpora/demo --out runs/gpu $(ARGS)

experiment: .venv/train ## Try the claims of CLOSP and GeoCLOSP on the demo, or ARGS="--corpus FOLDER"; hours (ARGS=--short: 45 minutes), resumed by the same command
	$(BIN)/python -m bench.experiment $(ARGS)

bench-defects: .venv/run ## Plant every known defect into the easy demo, one by one, and list those that `landmark check` finds
	$(BIN)/python -m bench.defects $(ARGS)

services: ## Install the servers that tests start: PostgreSQL + PostGIS, Azurite, nginx
	tests/services/install.sh
	bench/install.sh nginx

lint: .venv/dev ## Check code, types, layers and taxonomies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/landmark taxonomy check

docs: .venv/dev ## Write the generated references in docs/reference
	$(BIN)/python -m landmark.cli.reference docs/reference

lock: .venv/bin/python ## Update requirements.lock, the versions that make installs
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --upgrade --python-version 3.11 --no-header --no-annotate \
	  --constraint constraints.txt --no-emit-package torch --quiet | grep -vE '^(nvidia-|cuda-|triton)' > requirements.lock

clean: ## Remove the virtual environment and caches; corpora are kept
	rm -rf .venv .litdata .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml requirements.lock constraints.txt
	$(PIP) --editable .
	@touch $@

.venv/train: .venv/run
	$(PIP) --editable '.[train]'
	@touch $@

.venv/dev: .venv/run
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/bench: .venv/run
	$(PIP) --editable '.[bench]'
	@touch $@
