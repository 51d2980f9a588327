# Needs make and Python 3.11 or newer; everything else is fetched when the machine lacks it.

# The first Python on PATH that runs and is new enough. (A version manager's shim may do neither.)
define BOOTSTRAP
@for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		exec $$python -m dev.bootstrap; \
	fi; \
done; \
echo 'error: Rejoin needs Python 3.11 or newer on PATH, as python3 or python3.N.' >&2; exit 1
endef

PYTHON := .venv/bin/python
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo 'Options for the command behind a target go into ARGS: make test-unit ARGS="-k lease"'

.PHONY: setup
setup: ## Make or renew the Python environment .venv (every target does)
	$(BOOTSTRAP)

.PHONY: demo
demo: setup ## Run everything on this machine and print the page's address; Ctrl-C stops it
	@$(PYTHON) -m dev.demo $(ARGS)

.PHONY: secrets
secrets: ## Make .env with the secrets that docker compose needs
	@sh deploy/secrets.sh

.PHONY: smoke
smoke: ## Bring the stack up with docker compose, talk, kill agents, look, remove it
	@sh deploy/smoke.sh $(ARGS)

.PHONY: test
test: setup ## Run all tests, in a real browser too
	@$(PYTHON) -m dev.checks test $(ARGS)

.PHONY: test-fast
test-fast: setup ## Run the unit tests, and the contract in memory: within a minute, at each save
	@$(PYTHON) -m dev.checks test-fast

.PHONY: test-unit
test-unit: setup ## Run the tests that need no server and no browser
	@$(PYTHON) -m dev.checks test-unit $(ARGS)

.PHONY: test-versions
test-versions: setup ## Run the binding's tests on the oldest and the newest livekit-agents
	@$(PYTHON) -m dev.checks test-versions

.PHONY: test-e2e
test-e2e: setup ## Run the tests of the whole demo in a real browser
	@$(PYTHON) -m dev.checks test-e2e $(ARGS)

.PHONY: chaos
chaos: setup ## Run the chaos tests in their long form: kills, stalls and cuts, each several times
	@REJOIN_LONG=1 $(PYTHON) -m pytest tests/chaos tests/e2e/test_spoken_words.py $(ARGS)

.PHONY: soak
soak: setup ## Run the other tests that have a long form: an hour of random operations, long absences
	@REJOIN_LONG=1 $(PYTHON) -m pytest tests/contract tests/e2e $(ARGS)

.PHONY: lint
lint: setup ## Check style, types, the direction of imports, and plain English
	@$(PYTHON) -m dev.checks lint

.PHONY: format
format: setup ## Format the Python code, and fix what can be fixed
	@$(PYTHON) -m ruff check --fix-only --quiet
	@$(PYTHON) -m ruff format

.PHONY: bench-resume
bench-resume: setup ## Measure how long it takes to resume a conversation
	@$(PYTHON) -m benchmarks.resume $(ARGS)

.PHONY: bench-takeover
bench-takeover: setup ## Measure how long a participant waits after an agent or a worker was killed
	@$(PYTHON) -m benchmarks.takeover $(ARGS)

.PHONY: bench-capacity
bench-capacity: setup ## Measure how many conversations a core and a gigabyte hold
	@$(PYTHON) -m benchmarks.capacity $(ARGS)

.PHONY: bench-others
bench-others: setup ## Kill and leave agents that other people wrote: ARGS="--agents FOLDER --python PYTHON"
	@$(PYTHON) -m benchmarks.others $(ARGS)

.PHONY: bench-store
bench-store: setup ## Compare the store with a plain pipeline and with openai-agents' sessions
	@$(PYTHON) -m benchmarks.store $(ARGS)

.PHONY: lock
lock: setup ## Compile requirements/*.txt again (ARGS=--upgrade for newer versions)
	@$(PYTHON) -m dev.lock $(ARGS)

.PHONY: clean
clean: ## Delete what was built: the page, packages, caches
	rm -rf web/dist dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

.PHONY: clean-tools
clean-tools: ## Delete what was fetched: .venv, the page's packages, tools such as LiveKit
	rm -rf .venv web/node_modules .rejoin/tools

.PHONY: clean-data
clean-data: setup ## Delete what the demo remembers: conversations and keys
	@$(PYTHON) -m dev.clean_data
