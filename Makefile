# make demo   the main job on examples/: a finished shot, a contact sheet, a summary
# make test   the tests
# make lint   style, types, import directions
# make knobs  the generated forms of the knob table
# make ofx    the OpenFX node, into build/ofx (semblance install-host installs it)
# make clean  remove what these made
PYTHON ?= python3
BIN := .venv/bin
PLATE := examples/plate.\#\#\#\#.exr
OUT := out/demo

.PHONY: demo test lint knobs ofx clean

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
