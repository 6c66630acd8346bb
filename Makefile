# The Python that .venv is made with: make PYTHON=/path/to/python3.12 book
PYTHON ?= python3

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif

# What a recipe runs finds .venv first: the kernels are started as "python", and IPython would
# mix in the packages of another active environment. A shell assignment, because GNU make 3.81
# does not search an exported PATH, and $$PWD because the path may hold spaces.
IN_VENV = PATH="$$PWD/$(BIN):$$PATH" VIRTUAL_ENV="$$PWD/.venv"

# What installs: uv where there is one, else the new environment's own pip.
ifneq ($(shell command -v uv 2>/dev/null),)
VENV = uv venv --python "$(PYTHON)" .venv
INSTALL = uv pip install --python $(BIN)/python
else
VENV = "$(PYTHON)" -m venv .venv
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check
endif

.PHONY: book test lab bench notebooks lint clean lock help setup

book: .venv/.ready  ## build the book (the default)
	@$(IN_VENV) $(BIN)/bnn-geometry status --data-only
	@$(IN_VENV) $(BIN)/jupyter-book build book/
	@echo "The book: book/_build/html/index.html"

test: .venv/.ready  ## run the tests, the chapters' notebooks among them
	@$(IN_VENV) $(BIN)/pytest --nbval -n auto --dist loadscope

lab: .venv/.ready  ## open the chapters in JupyterLab
	@$(IN_VENV) $(BIN)/bnn-geometry lab

bench: .venv/.ready  ## run the benchmarks one after the other
	@for file in benchmarks/[!_]*.py; do \
	  test -f "$$file" || continue; \
	  echo "== $$file"; \
	  $(IN_VENV) $(BIN)/python "$$file" || exit 1; \
	done

notebooks: .venv/.ready  ## regenerate tests/notebooks from the chapters
	@$(IN_VENV) $(BIN)/python tools/make_notebooks.py

lint: .venv/.ready  ## check style and format
	@$(IN_VENV) $(BIN)/ruff check .
	@$(IN_VENV) $(BIN)/ruff format --check .

clean:  ## delete the built book and the chapters' results
	@if test -x $(BIN)/bnn-geometry; then $(IN_VENV) $(BIN)/bnn-geometry clean; \
	else echo "Nothing to clean: there is no .venv yet, so nothing was built."; fi

lock:  ## pin anew what pyproject.toml asks for (needs uv)
	@command -v uv >/dev/null 2>&1 || { \
	  echo "make lock needs uv, a program that resolves versions for all platforms at once: install uv and run it again." >&2; \
	  exit 1; }
	uv pip compile --universal --python-version 3.11 --extra test --extra lab pyproject.toml -o requirements.lock

setup: .venv/.ready  ## make .venv with the packages in requirements.lock, if it is not there yet

# .venv/.ready holds the folder that .venv was finished in. Without it the set-up was cut short, and
# pip takes a package cut short for installed; with another folder's name in it the repository was
# moved, and scripts hold absolute paths: both times .venv is made anew. A newer lock is installed
# into what is there.
READY := $(shell test "$$(cat .venv/.ready 2>/dev/null)" = "$$(pwd -P)" && echo yes)
ifneq ($(READY),yes)
.PHONY: .venv/.ready
endif

.venv/.ready: requirements.lock pyproject.toml
ifneq ($(READY),yes)
	@rm -rf .venv
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or later is needed, and $(PYTHON) is older or missing: install one or name it, as in make PYTHON=/path/to/python3.11 book" >&2; \
	  exit 1; }
	@echo "Setting up .venv: on Linux about 3 GB to download the first time (torch brings CUDA with it) and 7 GB on disk."
	@$(VENV)
endif
	@rm -f $@
	@$(INSTALL) --no-deps -r requirements.lock -e .
	@pwd -P > $@

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
