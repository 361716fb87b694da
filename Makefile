# Two commands set everything up on a fresh machine with Python 3.11: make demo, make test.
PYTHON ?= python3.11
BIN := .venv/bin
# One device, float32: what a laptop has.
export JAX_PLATFORMS ?= cpu
# Two processes of tests: most of the time goes to compiling, on one core each. Files in their order: by the number of
# their tests the longest would come last, and leave one of the two idle.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: env demo test test-full fuzz bench lint clean

env: .venv/ready

.venv/ready: requirements.lock setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: env
	$(BIN)/python -m condfoley_jax.demo --out out/demo

test: env
	$(BIN)/python -m pytest $(TWO)

test-full: env
	$(BIN)/python -m pytest $(TWO) -m "slow or not slow"

fuzz: env
	$(BIN)/python -m tests.data_pipelines.media.fuzz

bench: env
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BIN)/python -m benchmarks --out out/bench

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv out build dist *.egg-info
