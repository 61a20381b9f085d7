# Thin: every target is one or two commands that can be typed as well. `make demo` and `make test` need Python >= 3.10 and Java 17.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LAKE ?= lake
BUILT_FROM := setup.py udfs/kernels/native/deflate_sizes.c

.PHONY: demo test test-all check bench wheel zip clean

demo: $(VENV)/local
	$(BIN)/lakesift run zipfit_code --lake $(LAKE) --report --html $(LAKE).html || test $$? -eq 3
	@echo "the report as a page, for a browser: $(LAKE).html"

test: $(VENV)/dev check
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile --no-loadscope-reorder

# And the long tests, one by one: some four hours on two cores; stopped, it goes on where it was (tests/go_on.py). Minutes of
# two processes: 100 sequences of changes 115, 30 of files 20; made input: columns 30, recipes 18, sources 8, ids and names 2;
# signals 18. A file or a -k of it takes its share.
test-all: $(VENV)/dev check
	$(BIN)/python -m pytest -p tests.go_on -m "not long" -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/python -m pytest -p tests.go_on -m long -n 2 --dist load

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.types

bench: $(VENV)/dev
	$(BIN)/python -m tests.bench

# setuptools packs whatever an earlier build left in build/lib, modules that are gone as well.
wheel: $(VENV)/dev
	rm -rf dist/lakesift-*.whl build/lib* build/bdist.*
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# For --py-files: the wheel without native code, as it is. Spark gives workers .zip, .egg and .jar, and leaves out .whl.
zip: $(VENV)/dev
	rm -rf dist/lakesift-*-none-any.whl build/lib* build/bdist.*
	LAKESIFT_PURE=1 $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	cp dist/lakesift-*-none-any.whl dist/lakesift.zip

$(VENV)/local: $(BUILT_FROM)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[local,html]'
	touch $@

$(VENV)/dev: $(BUILT_FROM)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[local,dev]'
	touch $@ $(VENV)/local

clean:
	rm -rf build dist .mypy_cache .ruff_cache .links
