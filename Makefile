# Two commands do all the set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
LOCAL := $(VENV)/local
DOCS := $(VENV)/docs
INSTALLED := build/installed
# All Pythons of this machine that are new enough, newest last.
PYTHONS = $(foreach minor,11 12 13 14,$(firstword \
  $(wildcard $(HOME)/.pyenv/versions/3.$(minor).*/bin/python) $(shell command -v python3.$(minor))))
# flake8 takes codes of more than three letters on the command line only. ASYNC124: a handler or a
# tool may have nothing to await; ASYNC127: httpx was chosen; ASYNC128: a task status may be handed
# on; in tests one may poll processes.
STARTABLE := serve_http,serve_websocket,serve_script,serve_scripted_openai
STARTABLE := $(STARTABLE),serve_scripted_anthropic,serve_scripted_responses,_serve,serve_fake,_keep_open,_pump
FLAKE8 := flake8 --select=ASYNC1,ASYNC2 --extend-ignore=ASYNC124,ASYNC127,ASYNC128 \
  --startable-in-context-manager=$(STARTABLE)
# Tests that type checkers run: wrong types have to be errors, too.
TYPED = $(addprefix ../,$(shell find tests -name 'typing_*.py'))
# A file of tests in one process, in the order in which `tests/conftest.py` puts them.
SIDE_BY_SIDE := --numprocesses=auto --dist=loadfile --no-loadscope-reorder
# What pip says is for those whose installation fails.
PIP = log=$$(mktemp) && $(BIN)/python -m pip install --disable-pip-version-check $(1) >$$log 2>&1 \
  || { cat $$log; exit 1; }; rm -f $$log

.PHONY: demo test test-all check audit docs serve bench clean

demo: $(LOCAL)  ## Watch a run on a real model being cut off and resumed.
	@$(BIN)/trio-agent demo

test: $(READY)  ## The whole test suite with branch coverage, on all cores; THOROUGH=1: with all rounds.
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest $(SIDE_BY_SIDE) $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

test-all:  ## The test suite on each Python of this machine, 3.11 to 3.14, in a folder each.
	@echo "on $(PYTHONS)"
	@set -e; for python in $(PYTHONS); do \
	  version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $(MAKE) --no-print-directory PYTHON=$$python VENV=.venv-$$version .venv-$$version/ready; \
	  .venv-$$version/bin/python --version; \
	  .venv-$$version/bin/python -m pytest -q $(SIDE_BY_SIDE) $(ARGS); \
	done

check: $(READY)  ## Format, lint, types of the built package, of what they must refuse and of examples, layers.
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/$(FLAKE8) trio_agent servers benchmarks docs
	$(BIN)/$(FLAKE8) --extend-ignore=ASYNC110,ASYNC112,ASYNC115,ASYNC124,ASYNC127,ASYNC128 tests
	@rm -rf build dist && mkdir build
	$(BIN)/python -m build --wheel --outdir dist . >build/wheel.log || { cat build/wheel.log; exit 1; }
	@$(BIN)/python -m venv --without-pip $(INSTALLED)
	@$(BIN)/python -m pip --python $(INSTALLED)/bin/python install --quiet --no-deps dist/*.whl
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
	  >"$$($(INSTALLED)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/tools.pth"
	cd build && ../$(BIN)/mypy --config-file ../pyproject.toml --python-executable installed/bin/python -p trio_agent
	@# This option of pyright knows an environment by its place on the PATH only.
	cd build && PATH="$$PWD/installed/bin:$$PATH" ../$(BIN)/pyright --verifytypes trio_agent --ignoreexternal
	cd build && ../$(BIN)/mypy --config-file ../pyproject.toml --python-executable installed/bin/python $(TYPED)
	cd build && ../$(BIN)/pyright --pythonpath installed/bin/python $(TYPED)
	cd build && ../$(BIN)/pyright --pythonpath installed/bin/python ../docs/examples
	@# Examples of two pages may have the same name: mypy is given those of one page at a time.
	cd build && for page in ../docs/examples/*/; do ../$(BIN)/mypy --config-file ../pyproject.toml \
	  --python-executable installed/bin/python $$page || exit 1; done
	$(BIN)/python -m pytest -q tests/test_layers.py

audit: $(READY)  ## Ask for known vulnerabilities of what is installed. Needs the network.
	@$(call PIP,install pip-audit)
	@$(BIN)/pip-audit --skip-editable --progress-spinner off

docs: $(DOCS)  ## The documentation, into docs/_build; warnings are errors.
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build
	@echo "open docs/_build/index.html"

serve: $(LOCAL)  ## Serve the default agent on port 8000.
	@$(BIN)/trio-agent serve

bench: $(READY)  ## Measure against a bare proxy; takes some minutes.
	@$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* build dist docs/_build .coverage .coverage.* .hypothesis \
	  .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(READY): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) (once; a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(call PIP,--upgrade 'pip>=25.1')
	@$(call PIP,--editable . --group dev)
	@touch $@

$(LOCAL): $(READY)
	@$(call PIP,--editable '.[local]')
	@touch $@

$(DOCS): $(READY)
	@$(call PIP,--group docs)
	@touch $@
