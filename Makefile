# Everything here sets itself up: Python 3.11 or newer, make and a shell are enough.
#   make paper    theorem checks, W2 curves and figures at quick settings under results/, in minutes
#   make figures  the figures at full size
#   make validate every claim at full size, broken inputs too, and a report; stopped, it goes on where it was
#   make test     style, types and tests
#   make docs     the documentation under results/docs/, built without a network; warnings are errors
#   make setup    the environment, with what tests and documentation need, in .venv; activate it with:
#                 source .venv/bin/activate
#   make clean    removes what the other targets made

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
TOOLS  := $(VENV)/.ready-for-tests
OUT    ?= results
# Settings that the caller's shell might hold must not leak into the environment made here.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

.PHONY: help paper figures validate test test-long test-rest check docs setup clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(TOOLS)

# Python compiles modules when they are first imported, far fewer than pip would.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  v >= (3, 11) or sys.exit("meanfield needs Python 3.11 or newer, $(PYTHON) is %d.%d; run: make PYTHON=/path/to/python3" % v)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(TOOLS): $(STAMP)
	$(PIP) --editable '.[test,docs]'
	@touch $@

paper: $(STAMP)
	$(BIN)/python -m figures oscillator second_game figure1 figure2 figure3 --quick --out $(OUT)
	$(BIN)/python -m validation theorem1_fixed_point theorem1_if theorem2 theorem3 --quick --out $(OUT)/validation
	@echo "look at: $(OUT)/*.png, then $(OUT)/validation/report-quick.html (verdicts and their pictures)"

figures: $(STAMP)
	$(BIN)/python -m figures --out $(OUT)

validate: $(TOOLS)
	$(BIN)/python -m validation --full --sabotage --out $(OUT)/validation

check: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two halves of about the same time, side by side. Each has one thread for linear algebra: several would wait for
# one another in busy loops and take the processor from the other half.
LONG := $(addprefix tests/,test_validation.py test_check.py test_chord_transport.py test_cold_start.py test_cuda.py \
  test_cuda_ensemble.py test_docs.py test_executors.py test_figures.py test_shown.py test_sweep.py test_sweep_cli.py)
PYTEST := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:cacheprovider

test: check
	@$(MAKE) --no-print-directory -j2 test-long test-rest

test-long: $(TOOLS)
	$(PYTEST) $(LONG)

test-rest: $(TOOLS)
	$(PYTEST) $(addprefix --ignore=,$(LONG))

# With the runs of tutorials and gallery, about two minutes on two cores. `make test` builds every page
# and reference too, warnings being errors, but runs the scripts as tests instead (tests/test_docs.py).
docs: $(TOOLS)
	$(BIN)/python -m sphinx -q -W --keep-going -n -b html docs $(OUT)/docs
	@echo "open $(OUT)/docs/index.html"

clean:
	rm -rf $(VENV) results docs/generated docs/reference/toml.md docs/reference/command-line.md build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis meanfield_zerosum.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
