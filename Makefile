# make demo   the main job on examples/: a finished shot, a contact sheet, a summary
# make test   the tests
# make lint   style, types, import directions
# make knobs  the generated forms of the knob table
# make ofx    the OpenFX node, into build/ofx (semblance install-host installs it)
# make lock   the exact versions and hashes of all packages, into requirements.lock and -dev.lock
# make licences, make sbom   what is installed, and under which licence: docs/licences.md, out/sbom.json
# make clean  remove what these made
PYTHON ?= python3
BIN := .venv/bin
PLATE := examples/plate.\#\#\#\#.exr
OUT := out/demo

.PHONY: demo test lint knobs ofx lock licences sbom clean

demo: .venv/ready
	$(BIN)/semblance apply "$(PLATE)" -m examples/likeness.onnx -t examples/track.json \
	    --trust examples/trust/kestrel-estate.pub -o "$(OUT)/result.####.exr"
	$(BIN)/semblance review "$(PLATE)" "$(OUT)/result.####.exr" -m examples/likeness.onnx \
	    -t examples/track.json --truth "examples/truth.####.exr" --mask "examples/mask.####.exr" \
	    -o $(OUT)/contact.png

test: .venv/ready-test
	$(BIN)/python -m pytest

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

knobs: .venv/ready
	$(BIN)/python -m semblance.forms .
	$(BIN)/python gizmos/make_gizmos.py

# A CMake of the environment serves where the machine has none.
ofx:
	PATH="$$PATH:$(CURDIR)/$(BIN)" cmake -S plugin/ofx -B build/ofx
	PATH="$$PATH:$(CURDIR)/$(BIN)" cmake --build build/ofx

LOCKED = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --quiet \
    --universal --python-version 3.11 --generate-hashes --no-emit-index-url

# One file for every system and Python. The last command sees that pip takes it.
lock: .venv/ready-supply
	$(LOCKED) --output-file requirements.lock
	$(LOCKED) --extra train --extra panel --extra dev -o requirements-dev.lock
	$(BIN)/python -m pip install --quiet --dry-run --require-hashes -r requirements-dev.lock

licences: .venv/ready-test
	$(BIN)/python docs/make_licences.py

sbom: .venv/ready-supply
	mkdir -p out
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	    --output-file out/sbom.json $(BIN)/python

clean:
	rm -rf .venv out build

.venv/ready: pyproject.toml core/semblance/kernels.c
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Semblance needs Python 3.11 or newer; name one: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/ready-test: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[train,dev]"
	touch $@

.venv/ready-supply: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[supply]"
	touch $@
