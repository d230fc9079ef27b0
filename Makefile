# Everything runs in a virtual environment of its own, .venv, made by Python 3.11 or newer, pip and make alone.
PYTHON ?= python3
LAB_FLAGS ?=
MINIMUM := 3.11
PY := .venv/bin/python
READY := .venv/installed
NBVAL := $(PY) -m pytest -o addopts= --nbval --nbval-cell-timeout=60 -n 2 --dist loadscope notebooks

.DEFAULT_GOAL := help
.PHONY: help lab test test-cpus

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\): .*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "The first one you run installs everything into .venv; PYTHON=python3.12 chooses the Python for that."

lab: $(READY)  ## open the first lesson in JupyterLab; LAB_FLAGS='--port=9000 --no-browser' are passed on
	@$(PY) -m jupyter trust notebooks/*.ipynb >/dev/null  # else experiments show only their text after "Run All"
	@echo "== JupyterLab opens on notebooks/00_start_here.ipynb: in your browser, or at the address below."
	@echo "== To stop it, press Ctrl+C here, twice."
	@exec $(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
		$$([ "$$(id -u)" = 0 ] && echo --allow-root) $(LAB_FLAGS)

test: $(READY)  ## check everything: style, tests, examples in docstrings, every output of every lesson
	@echo "== 1 of 3: ruff, the style of modules, tests and lessons"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@echo "== 2 of 3: pytest, the tests and the examples in docstrings; lessons are opened in the browser named here:"
	@$(PY) tests/browser.py
	@$(PY) -m pytest
	@echo "== 3 of 3: nbval, every lesson run again and compared with the outputs it shows"
	@$(NBVAL)

test-cpus: $(READY)  ## run the lessons as other processors would: 1 and 2 threads, old and new instructions
	@for threads in 1 2; do for instructions in default avx2; do \
		echo "== nbval with $$threads threads and $$instructions instructions"; \
		OMP_NUM_THREADS=$$threads ATEN_CPU_CAPABILITY=$$instructions $(NBVAL) || exit 1; \
	done; done

# .venv is made once, and installed into again when what it should hold has changed.
$(READY): pyproject.toml constraints.txt
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < tuple(map(int, "$(MINIMUM)".split("."))))' || { \
			echo "$(PYTHON) is not Python $(MINIMUM) or newer: $$($(PYTHON) --version 2>&1)."; \
			echo "Name one that is, for example: make $(MAKECMDGOALS) PYTHON=python3.12"; \
			exit 1; \
		} >&2; \
		echo "== Making a virtual environment in .venv with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv --clear .venv; \
	}
	@echo "== Installing into .venv; the first time this takes some quiet minutes, most of them for torch"
	@$(PY) -m pip install --quiet -c constraints.txt -e '.[test]'
	@$(PY) -m jupyter labextension disable @jupyterlab/apputils-extension:announcements  # no pop-up over lesson 00
	@touch $@
