# The project's commands. `make` alone lists them; each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# $(call stage,title,command): runs the command under its title, and says how long it took
define stage
@printf '\n── %s\n' '$(1)'; begun=$$(date +%s); $(2); status=$$?; \
printf '   %s s%s\n' $$(($$(date +%s) - begun)) "$$([ $$status = 0 ] || echo ': $(1) FAILED')"; exit $$status
endef

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: demo
demo: setup control-plane ## the whole way, told as it happens: order, payment, certificate, revocation, expiry
	@$(BIN)/python -m tests.demo

.PHONY: dev
dev: setup control-plane ## the same world left running, and how to use kubectl on it
	@$(BIN)/python -m tests.demo --stay

.PHONY: test
test: check control-plane helm ## everything quick: lint, types, imports, CRDs, tests on a real API server
	$(call stage,tests,$(BIN)/pytest -q)

.PHONY: test-deep
test-deep: setup control-plane helm ## what takes longer, within 30 minutes
	$(call stage,deep tests,timeout --foreground --signal=INT 30m $(BIN)/pytest -q -m deep || [ $$? = 5 ])

.PHONY: check
check: setup ## lint, types, import contracts, CRDs in step with the models; no test
	$(call stage,lint,$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .)
	$(call stage,types,$(BIN)/mypy)
	$(call stage,import contracts,$(BIN)/lint-imports --no-logo)
	$(call stage,CRDs,$(BIN)/python -m sslorder.api.crd --check)

.PHONY: format
format: setup ## lay out the code, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: crds
crds: setup ## generate crds/ from the models
	$(BIN)/python -m sslorder.api.crd

.PHONY: docs
docs: setup ## fill in what the documents take from the code and the examples
	$(BIN)/python -m tests.documentation.generated

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command 'make lock' pyproject.toml

.PHONY: lock
lock: setup ## lock the dependencies that pyproject.toml asks for
	$(COMPILE) --output-file requirements/run.txt
	$(COMPILE) --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
	printf 'hatchling>=1.27\n' | $(subst pyproject.toml,,$(COMPILE)) --constraint requirements/dev.txt --output-file requirements/build.txt -

.PHONY: control-plane
control-plane: setup ## build etcd, the API server and kubectl, once per user
	@$(BIN)/python -m tests.controlplane build > /dev/null

.PHONY: helm
helm: setup ## build helm, which the chart's tests run, once per user
	@$(BIN)/python -m tests.chart.helm > /dev/null

.PHONY: simulate
simulate: setup ## years of contracts with fresh seeds, for MINUTES (default 10)
	@$(BIN)/python -m tests.simulation --minutes $(or $(MINUTES),10)

.PHONY: bench
bench: setup control-plane ## measure beside the limit: throughput, idling, cold start, ends (about an hour)
	@$(BIN)/python -m benchmarks

.PHONY: setup
setup: $(INSTALLED) ## a virtual environment with the locked dependencies

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(call stage,virtual environment,$(PYTHON) -m venv $(VENV))
	$(call stage,dependencies,$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
