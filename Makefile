# `make quickstart` and `make test` do all the set-up they need, and do nothing twice.
VENV ?= .venv
PYTHON ?= python3.11
# Tests that run at once; each may take 10 GiB of memory.
JOBS ?= 1
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# CPU builds of torch that pip does not find by itself lie here.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PARALLEL := $(if $(filter-out 1,$(JOBS)),--numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

.PHONY: quickstart test test-fast lint clean

quickstart: $(READY)
	$(BIN)/mrsearch quickstart

test: $(READY)
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: $(READY)
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

# torch first: where no CPU build is at hand, PyTorch's own index has it.
$(READY): requirements/cpu.txt requirements/dev.txt requirements/vllm/pyproject.toml pyproject.toml
	@echo "Making the environment in $(VENV); this takes a few minutes."
	$(PYTHON) -m venv $(VENV)
	$(PIP) "$$(grep ^torch== requirements/cpu.txt)" 2>/dev/null \
		|| $(PIP) --index-url $(TORCH_INDEX) "$$(grep ^torch== requirements/cpu.txt)"
	$(PIP) -r requirements/cpu.txt -r requirements/dev.txt
	$(PIP) --no-build-isolation ./requirements/vllm --editable .
	rm -rf requirements/vllm/build requirements/vllm/*.egg-info
	@touch $(READY)
