# Everything a developer does; each line is one call into tools or pytest.
# `make demo` and `make test` set up a fresh Debian 12 or Ubuntu 24.04 machine by themselves.

BIN := .venv/bin
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
DEMO_OPTIONS ?= --for 60
FUZZ_SECONDS ?= 900
SOURCES := pyproject.toml requirements.lock tools/setup.sh tools/build_bpf.py \
           $(wildcard player/*.c player/*.h player/*.def player/Makefile) $(wildcard src/peerwatch/sources/usdt/*.bpf.c src/peerwatch/sources/usdt/*.h)

.PHONY: install demo test check fix docs bench soak test-kernel fuzz clean

install: .venv/.ready  ## the command at .venv/bin/peerwatch, the BPF object, the tracepoint player

.venv/.ready: $(SOURCES)
	tools/setup.sh
	@touch $@

demo: install  ## trace the player with the real kernel, see an attack and its alert
	$(AS_ROOT) $(BIN)/peerwatch demo $(DEMO_OPTIONS)

check: install  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: check  ## everything that must pass before a change lands, in about ten minutes
	$(BIN)/pytest -n auto -m "not kernel and not node and not soak"
	$(BIN)/pytest -m "node and not soak"
	$(BIN)/pytest -m "kernel and not soak"

soak: install  ## the long forms of the tests
	$(BIN)/pytest -m soak --timeout 7200

fuzz: install  ## look for bytes that are read wrongly, half an hour unless FUZZ_SECONDS says otherwise; docs/howto/fuzz.md
	$(BIN)/python tests/fuzz/run.py messages --seconds $(FUZZ_SECONDS)
	$(BIN)/python tests/fuzz/run.py capture --seconds $(FUZZ_SECONDS)

test-kernel: install  ## the kernel tests under Debian's own kernels, in qemu
	tools/test_kernel/run.sh

bench: install  ## speed, cost and memory; docs/benchmarks.md records them
	$(BIN)/python bench/run.py

docs: install  ## write the generated reference pages anew
	$(BIN)/python tools/gen_docs.py

fix: install  ## format and repair what can be repaired by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist src/peerwatch/sources/usdt/trace.bpf.o
