# `make` alone lists the targets. Everything runs in .venv, which is recreated when the pins change.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help demo demo-local down test test-deploy unit check mutants coverage lint audit docs images bench faults fuzz lock generate format clean clean-all isolated workflows version-set

VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
READY := $(VENV)/.ready
DOCS_VENV := .venv-docs
DOCS_READY := $(DOCS_VENV)/.ready
MUTANTS_VENV := .venv-mutants
MUTANTS_READY := $(MUTANTS_VENV)/.ready
PROJECTS := operator/pyproject.toml scorer/pyproject.toml localcluster/pyproject.toml client/pyproject.toml
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
# The arguments that `make demo` passes on: DATA=readings.csv TRAIN=all WINDOW=start/end CONTEXT=name REGISTRY=host/path
DEMO_ARGS = $(if $(DATA),--data "$(DATA)") $(if $(TRAIN),--train "$(TRAIN)") $(if $(WINDOW),--window "$(WINDOW)") \
            $(if $(CONTEXT),--context "$(CONTEXT)") $(if $(REGISTRY),--registry "$(REGISTRY)")

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## run the whole system: Kubernetes, Azurite, the chart, a run, predictions (DATA=your.csv for your readings)
	$(PY) -m demo run $(DEMO_ARGS)

demo-local: $(READY)  ## simulate, train and score in a folder: no Kubernetes, no Azurite, a minute
	$(PY) -m demo local

down:  ## delete the demo, except its caches
	@if [ -x $(PY) ]; then $(PY) -m demo down; else echo "nothing to delete: no demo was started from this checkout"; fi

unit: $(READY)  ## the tests that need no service and no second, on all cores
	$(VENV)/bin/pytest -q -n auto --dist worksteal -m "not needs_services and not slow"

check: lint unit  ## lint and unit: run this while working

test: lint  ## every test except tests/deploy (see tests/conftest.py for their order)
	$(VENV)/bin/pytest -n 4 --dist loadgroup --no-loadscope-reorder

test-deploy: $(READY)  ## Azure's scripts through az, the guide to AKS walked, an OCI registry, an autoscaler (an hour the first time)
	$(VENV)/bin/pytest tests/deploy

mutants: $(MUTANTS_READY)  ## print the changes of planner/ and scoring/ that no test notices (hours; MODULES="planner/plan ..." for some)
	$(MUTANTS_VENV)/bin/python -m hack.mutants $(MODULES)

coverage: $(READY)  ## check that every branch of the packages with decisions is tested (half a minute)
	$(VENV)/bin/coverage run --rcfile=tests/unit/operator/coverage.ini -m pytest -q -m "not needs_services and not slow" \
	    tests/unit/operator tests/contract
	$(VENV)/bin/coverage report --rcfile=tests/unit/operator/coverage.ini

lint: $(READY)  ## format, lint, types, import contracts and banned words, without changes
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m hack.banned_words

format: $(READY)  ## format the code and apply ruff's fixes
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

isolated: $(READY)  ## import every module of each distribution with only its own dependencies installed
	$(PY) -m hack.isolated

workflows: $(READY)  ## check .github with actionlint and zizmor
	$(VENV)/bin/pytest -q tests/deploy/test_workflows.py

version-set: $(READY)  ## write a version to every file that states it (make version-set VERSION=0.2.0)
	$(PY) -m hack.version set "$(VERSION)"

images: $(READY)  ## build the three images and load them into the demo's cluster if it is up
	$(PY) -m demo images

bench: $(READY)  ## print the figures of docs/development/performance.md; fail if a goal is missed
	$(PY) -m bench

faults: $(READY)  ## run every fault test at full length and record its measurement (about an hour)
	$(VENV)/bin/pytest -m fault --long --figures $(PYTEST_ARGS)

fuzz: $(READY)  ## try many more changed models and other inputs than `make test` does (an hour)
	$(VENV)/bin/pytest -m fuzz --long $(PYTEST_ARGS)

lock: $(READY)  ## compile the hashed requirements (make lock UPGRADE=1 takes newer versions)
	$(COMPILE) $(if $(UPGRADE),--upgrade) operator/pyproject.toml -o requirements/operator.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) scorer/pyproject.toml -o requirements/scorer.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --extra parquet client/pyproject.toml -o requirements/client.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) $(PROJECTS) --group dev -o requirements/dev.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group docs -o requirements/docs.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements/dev.txt $(PROJECTS) --group mutants -o requirements/mutants.txt
	echo "uv==$$($(UV) --version | cut -d' ' -f2)" | $(COMPILE) - -o requirements/uv.txt

audit: $(READY)  ## check the pins against the PyPA advisory database, and renew its snapshot for `make check`
	rm -rf .local/advisory-database
	git clone --quiet --depth 1 https://github.com/pypa/advisory-database .local/advisory-database
	$(PY) -m hack.advisories .local/advisory-database

generate: $(READY)  ## write the generated files: the chart's CRD and schema, docs/reference and tables in docs/
	$(PY) -m hack.generate
	$(PY) -m hack.fault_table

docs: $(DOCS_READY)  ## render docs/ into site/; warnings and broken links are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict
	@echo "open site/index.html"

$(READY): requirements/uv.txt requirements/dev.txt $(PROJECTS)
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; python3 here is $$(python3 --version)"; exit 1; }
	@python3 -c 'import ensurepip, venv' || { echo "python3 lacks venv; on Debian: apt-get install -y python3-venv"; exit 1; }
	@echo "Preparing .venv (about a minute the first time) ..."
	@python3 -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip install --quiet --python $(PY) --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation -e operator -e scorer -e localcluster -e client
	@touch $@

$(DOCS_READY): requirements/docs.txt | $(READY)
	@$(UV) venv --quiet --clear $(DOCS_VENV)
	@$(UV) pip install --quiet --python $(DOCS_VENV)/bin/python --require-hashes -r requirements/docs.txt
	@touch $@

$(MUTANTS_READY): requirements/mutants.txt | $(READY)
	@$(UV) venv --quiet --clear $(MUTANTS_VENV)
	@$(UV) pip install --quiet --python $(MUTANTS_VENV)/bin/python --require-hashes -r requirements/mutants.txt
	@$(UV) pip install --quiet --python $(MUTANTS_VENV)/bin/python --no-deps --no-build-isolation -e operator -e scorer -e localcluster -e client
	@touch $@

clean:  ## delete the files of tools in the checkout, except .venv
	rm -rf site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean down  ## also delete the demo, .venv, .local and the caches outside the checkout
	rm -rf $(VENV) $(DOCS_VENV) $(MUTANTS_VENV) .local "$${XDG_CACHE_HOME:-$$HOME/.cache}/fleetscore"
