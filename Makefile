# Everything runs in a virtual environment of its own, .venv, made by Python 3.11 or newer, pip and make alone.
PYTHON ?= python3
LAB_FLAGS ?=
MINIMUM := 3.11
PY := .venv/bin/python
TESTS := .venv/$(if $(CI),clients,test)
PYTEST := $(PY) -m pytest -p tests.kernels -n logical --dist loadscope --no-loadscope-reorder --durations=10
NBVAL := --nbval --nbval-cell-timeout=60
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# The install leaves compiling to the first import, which then has to be kept.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help lab test quick test-cpus FORCE

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\): .*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "The first one you run installs into .venv; PYTHON=python3.12 chooses the Python for that."

lab: .venv/lab  ## open the first lesson in JupyterLab; LAB_FLAGS='--port=9000 --no-browser' are passed on
	@exec $(PY) -m edu_optim lab $(LAB_FLAGS)

test: $(TESTS)  ## check everything: style, tests, examples in docstrings, every output of every lesson
	@echo "== 1 of 2: ruff, the style of modules, tests and lessons"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@echo "== 2 of 2: pytest, which also checks the types, runs the examples in docstrings and, with nbval, every lesson," \
		"whose outputs it compares; lessons are opened in the browser named here:"
	@$(PY) tests/browser.py
	@$(PYTEST) $(NBVAL) notebooks tests edu_optim

quick: .venv/test  ## check in a minute what a change breaks most often: style, fast tests, examples in docstrings
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PYTEST) -m "not slow"

test-cpus: .venv/test  ## run the lessons as other machines would: threads, instructions, no C compiler
	@for threads in 1 2; do for instructions in default avx2; do \
		echo "== nbval with $$threads threads and $$instructions instructions"; \
		OMP_NUM_THREADS=$$threads ATEN_CPU_CAPABILITY=$$instructions $(PYTEST) $(NBVAL) notebooks || exit 1; \
	done; done
	@echo "== nbval without a C compiler, but for the lesson about that"
	@CC=none $(PYTEST) -o addopts= $(NBVAL) notebooks $(patsubst %,--ignore=%,$(wildcard notebooks/12_* notebooks/solutions))

# .venv is made anew if it does not run, if its folder has moved, or if PYTHON= names another Python than its own.
WHICH := import sys; print(sys.base_prefix, sys.version.split()[0])
NEW_ENOUGH := import sys; sys.exit(sys.version_info < tuple(map(int, "$(MINIMUM)".split("."))))

.venv/made: FORCE
	@is=$$($(PY) -c '$(WHICH)' 2>&1); \
	asked=$(if $(filter file,$(origin PYTHON)),$$is,$$($(PYTHON) -c '$(WHICH)' 2>&1)); \
	[ "$$(cat $@ 2>/dev/null)" = "$(CURDIR) $$is" ] && [ "$$is" = "$$asked" ] && exit; \
	found=$$($(PYTHON) -c 'import sys; print(sys.version.split()[0])' 2>/dev/null) || found="not to be found"; \
	$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "This needs Python $(MINIMUM) or newer, and $(PYTHON) is $$found: name one, as in" \
			"make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 1; \
	}; \
	[ ! -d .venv ] || echo "== The .venv here is of another folder or another Python, or does not run: it is made anew"; \
	echo "== Making a virtual environment in .venv with Python $$found"; \
	$(PYTHON) -m venv --clear .venv && $(INSTALL) --upgrade pip && echo "$(CURDIR) $$($(PY) -c '$(WHICH)')" >$@

# What a learner needs, and no more.
.venv/lab: .venv/made pyproject.toml constraints.txt
	@echo "== Installing into .venv; the first time this takes some quiet minutes, most of them for torch"
	@$(INSTALL) -e '.[lessons]'
	@touch $@

# What the tests need, which holds that.
.venv/test .venv/clients: .venv/made pyproject.toml constraints.txt
	@echo "== Installing what the tests need into .venv; the first time this takes some quiet minutes"
	@$(INSTALL) -e '.[$(@F)]'
	@touch .venv/lab $@
