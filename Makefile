# Everything a developer or CI calls. Needs Python 3.11+ and make; Node only for the playground.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Hashes are checked while installing; the sole unhashed thing is this folder itself.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
PACKAGES := carillon schema resolvers domain workers infra cluster
# Checks with data of others, as the schemas of Dapr's and Strimzi's resources; may be absent.
VALIDATOR ?= ../shared/k8s
PLAYGROUND_SOURCES := $(shell [ -d playground ] && find playground -type f \
	-not -path '*/node_modules/*' -not -path '*/dist/*')

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "%-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed playground/dist/.built tests/clients/node_modules/.installed ## Make .venv from the locks, and the playground where Node is there

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Carillon needs Python 3.11 or newer: make setup PYTHON=python3.11" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PIP) install --require-hashes --requirement requirements-dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

playground/dist/.built: $(PLAYGROUND_SOURCES)
	@if [ ! -f playground/package-lock.json ]; then :; \
	elif ! command -v npm >/dev/null; then \
		echo "No Node here: the playground is left out, everything else works."; \
	else cd playground && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build \
		&& touch dist/.built; fi

tests/clients/node_modules/.installed: tests/clients/package-lock.json
	@if command -v npm >/dev/null; then cd tests/clients && npm ci --no-audit --no-fund --loglevel=error \
		&& touch node_modules/.installed; fi

.PHONY: lock
lock: $(VENV)/.installed ## Resolve the dependencies anew into the hashed lock files
	$(COMPILE) --upgrade --output-file requirements.txt
	$(COMPILE) --upgrade --group dev --constraint requirements.txt --output-file requirements-dev.txt

.PHONY: run
run: setup ## Start Carillon with its own PostgreSQL at http://127.0.0.1:8000/graphql
	@exec $(BIN)/carillon serve

.PHONY: cluster
cluster: parts ## Start the distributed profile: two replicas, relay, workers, Dapr, Kafka
	@exec $(BIN)/python -m cluster up

.PHONY: check
check: setup ## Lint, types, import rules, lock files, schema snapshot
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-lock
	$(BIN)/carillon schema --check
	$(BIN)/carillon settings --check
	@if command -v npm >/dev/null; then npm --prefix playground run --silent check \
		&& npm --prefix playground test --silent; fi

.PHONY: check-lock
check-lock: $(VENV)/.installed ## Refuse lock files that no longer answer pyproject.toml
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	cp requirements.txt requirements-dev.txt "$$fresh"; \
	$(COMPILE) --output-file "$$fresh/requirements.txt" >/dev/null; \
	$(COMPILE) --group dev --constraint requirements.txt --output-file "$$fresh/requirements-dev.txt" >/dev/null; \
	for lock in requirements.txt requirements-dev.txt; do diff -u $$lock "$$fresh/$$lock" \
		|| { echo "$$lock does not answer pyproject.toml: make lock" >&2; exit 1; }; done

.PHONY: parts
parts: setup ## Get Dapr, Kafka and PgBouncer into the cache, once (needs Go, Maven and Java)
	@$(BIN)/python -m cluster parts

.PHONY: test
test: check ## Check, then run every test
	@$(MAKE) --no-print-directory parts || echo "The tests that need it are skipped, with the reason."
	$(BIN)/pytest --numprocesses 2 --dist loadgroup

.PHONY: unit
unit: setup ## Run the tests that need no server, in seconds
	$(BIN)/pytest tests/unit

.PHONY: bench
bench: setup ## Measure and print figures, as ratios of things run side by side
	$(BIN)/python -m bench

.PHONY: schema
schema: setup ## Write schema/schema.graphql from the code
	$(BIN)/carillon schema --write

.PHONY: docs
docs: setup ## Write docs/settings.md from the code
	$(BIN)/carillon settings --write

.PHONY: manifests
manifests: setup ## Render each overlay and check it (needs kubectl)
	$(BIN)/pytest --quiet tests/contract/test_manifests.py tests/contract/test_dapr_manifests.py
	@if [ -f $(VALIDATOR)/validate.py ]; then $(BIN)/python -m cluster validate $(VALIDATOR); \
	else echo "No validator in $(VALIDATOR): schemas of custom resources are not checked."; fi

.PHONY: image
image: ## Build the image carillon:local and see it serve (needs Docker)
	docker build --tag carillon:local .
	@box=$$(docker run --detach --publish 127.0.0.1::8000 carillon:local); \
	trap 'docker rm --force "$$box" >/dev/null' EXIT; \
	url=http://$$(docker port "$$box" 8000/tcp)/readyz; \
	for _ in {1..60}; do curl --fail --silent "$$url" && exit; sleep 1; done; \
	docker logs "$$box"; exit 1

.PHONY: check-image
check-image: playground ## Build the image without a registry and run it hardened (needs root)
	@if [ -f $(VALIDATOR)/image/build_image.sh ]; then .ci/check-image $(VALIDATOR)/image; \
	else echo "No build_image.sh in $(VALIDATOR)/image: the image is not checked."; fi

.PHONY: migrate
migrate: setup ## Bring the configured database to the newest schema
	$(BIN)/carillon migrate

.PHONY: playground
playground: playground/dist/.built ## Build the playground (needs Node)

.PHONY: clean
clean: ## Remove what was built; data folders stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist playground/dist playground/node_modules
	find $(PACKAGES) tests -type d -name __pycache__ -prune -exec rm -rf {} +
