# Duet. `make demo` and `make test` need nothing but Python >= 3.11 and a package index; both may be run again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint proto proto-check proto-release bench

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP)  ## draw a wardrobe, train, index, serve, search it, write a page with the results
	@$(BIN)/python -m pipelines.demo

test: $(STAMP)  ## run the whole test suite
	@echo "== tests (real pictures: $${DUET_TEST_DATA:-none, set DUET_TEST_DATA to use some})"
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

lint: $(STAMP)  ## check style, format and types
	@echo "== style, format, types"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

proto: $(STAMP)  ## generate the gRPC stubs in pipelines/rpc from proto/
	@echo "== stubs"
	@$(BIN)/python -m pipelines.rpc.generate

proto-check: $(STAMP)  ## check the stubs, the style of proto/, and that no client is broken
	@echo "== stubs are those of proto/"
	@$(BIN)/python -m pipelines.rpc.generate --check
	@echo "== proto/ is as buf wants it, and breaks no client of proto/released.binpb"
	@$(BIN)/buf lint proto
	@$(BIN)/buf breaking proto --against proto/released.binpb

proto-release: $(STAMP)  ## take the contract as it is for the one that must not be broken any more
	@$(BIN)/buf build proto --exclude-source-info -o proto/released.binpb

bench: $(STAMP)  ## measure what is claimed about speed; takes long
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps faiss-cpu 'lance-ray==0.5.*' more_itertools
	@$(BIN)/python -m benchmarks

# Installed once, and again when what is asked for changes.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Duet needs Python >= 3.11; name one: make PYTHON=python3.11")'
	@test -x $(BIN)/pip || { echo "== environment: $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "== installing into $(VENV) what pyproject.toml asks for, as pinned by constraints.txt (7 GB, minutes at first)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@
