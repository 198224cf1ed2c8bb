# One command each; `make` alone lists them.  Nothing is needed but Python 3.11 or later, and a C
# compiler if the fast modules are wanted.  Everything is installed into $(VENV) with plain pip.

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
H2O := $(VENV)/bin/h2o-otel
PYTEST := $(PY) -m pytest $(PYTEST_ARGS)
# For a part of the suite: make test-pure PYTEST_ARGS="-k hpack -x"
PYTEST_ARGS ?=
# How many runs of the suite `make test` has at the same time: two processes on two cores take half the
# time, and share nothing but ports and two folders (tests/support/alone.py).  pytest-xdist was measured:
# workers that collect and report take 70 % more processor time for the same tests.
TEST_JOBS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ "$$cores" -ge 2 ] && echo 2 || echo 1)
# Each run prints as a whole; old versions of make cannot, and mix the lines.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
FUZZ_SECONDS ?= 1800
SEEDS ?= 5000
SOAK_HOURS ?= 8

# What makes the compiled modules old: the .pxd files and the sources beside them.
HEADERS := $(sort $(shell find h2o_otel -name '*.pxd' 2>/dev/null))
COMPILED := $(strip $(HEADERS) $(sort $(wildcard $(HEADERS:.pxd=.py))) setup.py)
LISTED := $(shell echo '$(COMPILED)' | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo check format generate test test-compiled test-pure test-versions test-pythons test-checked test-sanitized compat rfc bench ablation dashboards up down clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | awk -F'|' '{ printf "%-22s %s\n", $$1, $$2 }'

setup: $(VENV)/.compiled-dev ## make .venv with everything a developer needs, compiled

demo: $(VENV)/.compiled-demo ## see it work: a service, a load and the console, in one command
	@$(H2O) demo $(DEMO_ARGS)

check: setup ## format, lint, types, import order, generated files, plain words
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/unit/test_import_order.py
	$(PY) scripts/generate.py --check
	$(PY) scripts/check_words.py

format: setup ## format the sources and mend what lint can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

generate: setup ## write the generated files again
	$(PY) scripts/generate.py

test: check ## everything a change must pass: check, the suite compiled and pure (at once; TEST_JOBS=1: in turn), a part on other Pythons
	@echo "==> the suite, $(TEST_JOBS) at a time; each prints when it ends"
	@$(MAKE) --no-print-directory --jobs=$(TEST_JOBS) $(SYNC) test-compiled test-pure
	@$(MAKE) --no-print-directory test-versions

# Two halves of about the same length.
QUICK_SERVICES := $(wildcard tests/unit/telemetry tests/unit/server tests/unit/client)
.PHONY: quick quick-services quick-engine
quick: setup ## unit tests and RFCs without peers, for the change at hand; H2O_OTEL_PURE=1 make quick: on the sources
	@$(MAKE) --no-print-directory --jobs=$(TEST_JOBS) $(SYNC) quick-services quick-engine

quick-services: setup
	$(PYTEST) -q -m "not slow" $(QUICK_SERVICES)

quick-engine: setup
	$(PYTEST) -q -m "not slow" $(addprefix --ignore=,$(QUICK_SERVICES)) tests/unit $(wildcard tests/rfc*) tests/test_requirements.py

test-compiled: setup ## the suite on the compiled modules
	@mkdir -p build
	H2O_OTEL_EXPECT=compiled $(PYTEST) -o cache_dir=build/pytest-compiled --junitxml=build/test-compiled.xml tests \
	  || { test -n "$$CI" && H2O_OTEL_EXPECT=compiled $(PY) scripts/test_again.py build/pytest-compiled tests; }

test-pure: setup ## the suite on the sources (the same installation, H2O_OTEL_PURE=1)
	@mkdir -p build
	H2O_OTEL_PURE=1 H2O_OTEL_EXPECT=pure $(PYTEST) -o cache_dir=build/pytest-pure --junitxml=build/test-pure.xml tests \
	  || { test -n "$$CI" && H2O_OTEL_PURE=1 H2O_OTEL_EXPECT=pure $(PY) scripts/test_again.py build/pytest-pure tests; }

test-versions: setup ## a part of the suite on every other Python of 3.11 to 3.14 that is here, in three minutes
	$(PY) scripts/test_pythons.py

test-pythons: setup ## the whole suite, compiled, on each of them
	$(PY) scripts/test_pythons.py --all $(if $(PYTEST_ARGS),-- $(PYTEST_ARGS))

test-checked: setup ## the engine's tests on a build that aborts on any access outside a buffer
	$(PY) scripts/test_variant.py checked $(PYTEST_ARGS)

test-sanitized: setup ## the engine's tests under AddressSanitizer
	$(PY) scripts/test_variant.py sanitized $(PYTEST_ARGS)

compat: setup ## the h2 library's own tests on our façade, and what differs, with the reasons
	$(PY) tests/compat/run_h2_suite.py

.PHONY: interop
interop: $(VENV)/.compiled-interop ## our server behind real proxies (Envoy, HAProxy, Caddy from PyPI, Apache of the system)
	H2O_OTEL_EXPECT=compiled H2O_OTEL_REQUIRE_PEERS=1 $(PYTEST) tests/interop tests/docs/test_proxies.py

soak: setup ## eight hours of simulated traffic with churn and abuse, and what memory does meanwhile (SOAK_HOURS)
	$(PY) -m tests.simulation.soak --hours $(SOAK_HOURS)

rfc: setup ## the conformance tests, one file per section
	H2O_OTEL_EXPECT=compiled $(PYTEST) $(wildcard tests/rfc*)

bench: $(VENV)/.compiled-bench ## HPACK, the engine, the server and the client, each beside its peers
	@mkdir -p build
	@for file in hpack engine server client; do \
	  if [ -e benchmarks/$$file.py ]; then $(PY) benchmarks/$$file.py $(BENCH_ARGS) --json build/bench-$$file.json || exit 1; fi; \
	done

ablation: $(VENV)/.compiled-bench ## every optimisation on and off on the same work, beside its estimate
	@mkdir -p build
	$(PY) -m benchmarks.ablation --json build/ablation.json $(BENCH_ARGS)

# The proof of the engine that takes longer than a change's tests.
.PHONY: fuzz simulate
fuzz: $(VENV)/.compiled-fuzz ## fuzz HPACK and both roles, the sources with coverage and compiled under AddressSanitizer (FUZZ_SECONDS each)
	H2O_OTEL_PURE=1 $(PY) -m fuzz all --engine atheris --seconds $(FUZZ_SECONDS)
	$(PY) scripts/test_variant.py sanitized --fuzz all --seconds $(FUZZ_SECONDS)

simulate: setup ## simulated connections with faults over many seeds (SEEDS)
	$(PY) -m tests.simulation --seeds $(SEEDS)

.PHONY: findings
findings: ## show what other software does, each finding by a script of its own; needs the package index
	@failed=0; for script in findings/*.sh; do [ -x $$script ] || continue; \
	  echo "==> $$script"; $$script; status=$$?; [ $$status = 0 ] || [ $$status = 77 ] || { failed=1; echo "==> FAILED: $$script"; }; \
	done; exit $$failed

.PHONY: docs
docs: build/docs/.installed ## build the documentation site into site/, strictly, and check its links
	build/docs/bin/python scripts/build_site.py

# The generator reads the sources, so nothing is compiled or installed but itself.
build/docs/.installed: pyproject.toml
	$(PYTHON) -m venv build/docs
	build/docs/bin/pip install --quiet $$($(PYTHON) scripts/build_site.py --requirements)
	@touch $@

dashboards: setup ## build the Grafana dashboards, alert and recording rules
	$(H2O) dashboards build

up: ## the whole stack in Docker: collector, Prometheus, Tempo, Loki, Grafana, demo and load
	docker compose up --build --detach --wait
	@echo "Grafana: http://127.0.0.1:3000"

down: ## stop it and drop its data
	docker compose down --volumes

clean: ## remove builds, caches and .venv
	rm -rf build dist site *.egg-info $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find h2o_otel tests scripts -name '*.so' -delete -o -name '_compiled-*.json' -delete -o -name '__pycache__' -prune -exec rm -rf {} +

# The dependencies of an extra; this compiles too.
$(VENV)/.installed-%: pyproject.toml scripts/setup_venv.py
	@$(PYTHON) scripts/setup_venv.py $(VENV) $*
	@touch $@
	@echo "$(LISTED)" > $(VENV)/.compiled-$*

# Again after an edit; only the modules whose input really changed are compiled.  The stamp holds a
# sum of the list of files, because one that was removed leaves no time behind.
$(VENV)/.compiled-%: $(VENV)/.installed-% $(COMPILED) always
	@if [ "$$(cat $@)" != "$(LISTED)" ] || [ -n "$$(find $(COMPILED) -newer $@)" ]; then \
		$(PYTHON) scripts/setup_venv.py $(VENV) $* --only-build && echo "$(LISTED)" > $@; fi

.PHONY: always
always:

.PRECIOUS: $(VENV)/.installed-%
