# Everything a newcomer needs: `make demo`, `make test`, `make lint`, `make bench`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/complete

.PHONY: demo venv test lint format bench bench-quick protos check-agent check-tflite-runtime constraints clean

# A search for fast and robust networks on this machine, start to finish; resumes if it was broken off.
demo: venv
	@if [ -e runs/digits/log.jsonl ]; then $(BIN)/gauntlet search --resume runs/digits; \
	else $(BIN)/gauntlet search examples/digits.yaml; fi

venv: $(STAMP)

# torch goes in first, pinned: an unpinned torch would bring gigabytes of GPU libraries along.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lab,dev]'
	touch $(STAMP)

# Most tests wait for processes: several at once, whoever is done takes from the others. WORKERS=0 for one at a time.
WORKERS ?= 3
test: venv
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	cd protos && ../$(BIN)/buf lint
	$(BIN)/python tools/check_breaking.py
	$(BIN)/python tools/generate_protos.py --check

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Figures as ratios in one run; see benchmarks/README.md. `make bench-quick` only shows that none of them rots.
bench: venv
	$(BIN)/python -m benchmarks

bench-quick: venv
	$(BIN)/python -m benchmarks --quick

protos: venv
	$(BIN)/python tools/generate_protos.py

# The base install in a fresh environment, on the oldest Python there is: the agent starts and its tests pass.
check-agent:
	$(PYTHON) tools/check_agent.py

# The runtimes' tests on tflite-runtime, which wants an environment of its own.
check-tflite-runtime: venv
	$(BIN)/python tools/check_tflite_runtime.py

# The tested set, for the next release of the lock file.
constraints: venv
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -v ' @ ' > constraints.txt

clean:
	rm -rf $(VENV) .venv-* *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
