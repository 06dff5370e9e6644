# Each target works from a clean clone with Python 3.11+, make and git: the environment is made in .venv on first use.
# Listed by `make help`.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
RESOLVE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(VENV)/.ready: requirements-dev.txt requirements-bootstrap.txt pyproject.toml protos/pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.txt
	@echo "installing the locked packages into $(VENV) (once)"
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e ./protos -e .
	@touch $@

env: $(VENV)/.ready ## make .venv from the hash-pinned lock

demo: env ## narrated run on fresh real services: every promise shown, with evidence
	@idv demo $(ARGS)

up: env ## start the whole suite on loopback, with a live status screen; Ctrl-C stops it
	@idv up $(ARGS)

test: env ## every test, on real servers
	@pytest $(ARGS)

check: env ## style, types, import rules, contracts, generated code
	ruff check .
	ruff format --check .
	mypy services protos/idv tests benchmarks
	mypy --scripts-are-modules protos/generate.py docs/generate.py
	MYPYPATH=examples/python mypy --scripts-are-modules examples/python/*.py
	lint-imports
	python docs/generate.py --check
	@mkdir -p build
	python protos/generate.py --descriptors build/idv.binpb
	buf lint build/idv.binpb --config protos/buf.yaml --path idv
	buf breaking build/idv.binpb --config protos/buf.yaml --path idv --against protos/released.binpb
	@$(MAKE) --no-print-directory protos >/dev/null && git diff --exit-code --stat -- protos \
	  || { echo "generated code differs from the contracts: run 'make protos' and commit"; exit 1; }

bench: env ## measure against the bare limits of this machine; writes docs/benchmarks.md and build/bench.json
	@idv bench $(ARGS)

protos: env ## generate the stubs beside their .proto files
	@python protos/generate.py

docs: env ## write the reference pages that are made from contracts and settings
	@python docs/generate.py

lock: env ## resolve the locks anew: hashes, no addresses
	@for lock in "requirements.txt" "requirements-local.txt --extra local" "requirements-dev.txt --extra local requirements-dev.in"; do \
	  set -- $$lock; $(RESOLVE) --no-emit-package idv-protos pyproject.toml $${@:2} -o $$1; done
	@awk '/^uv==/{p=1} p{print} p&&!/\\$$/{exit}' requirements-dev.txt > requirements-bootstrap.txt
	@echo hatchling | $(RESOLVE) -c requirements-dev.txt - -o requirements-build.txt

release-contract: env ## take today's contract as the one that later changes must not break
	@python protos/generate.py --descriptors protos/released.binpb

clean: ## remove what the targets made, the environment included
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .idv

.PHONY: help env demo up test check bench protos docs lock release-contract clean
