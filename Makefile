# make run    the chat on this machine            make test   everything that is tested in minutes
# make check  linters and types                   make slow   what takes longer
# make bench  what is measured                    make lock   lock files from pyproject.toml (needs uv)
# make sam-local   what `sam local` needs: a build, an AWS, and the functions' environment
# make sam         the tests that run SAM CLI with a container engine; `make test` has them too, where one answers

PYTHON ?= python3
PORT ?= 3000
ARGS ?=
TESTS ?= not slow
# Tests of parts that run at once.
JOBS ?= 2
# Of the functions' version: it compiles the package of `sam build`.
RUNTIME_PYTHON ?= python3.13
export RUNTIME_PYTHON
# A command under which a container engine answers, if the machine's own does not.
SAM_ENGINE ?=
BIN := .venv/bin
# The lock files are complete, so nothing is left to resolve.
PIP := -m pip --disable-pip-version-check install --quiet --no-input --no-deps --require-hashes
# Without the user's keys: nothing here is sent to AWS, and looking for a role to take costs ten seconds.
SAM := env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam
BUNDLES := src/web/socket.io.esm.min.js src/web/lean-qr.min.js
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.DELETE_ON_ERROR:
.PHONY: run test slow check bench sam sam-build sam-local lock browsers clean

run: .venv/run.stamp $(BUNDLES)
	@$(BIN)/python -m gateway template.yaml --port $(PORT) --parameter-overrides PublicUrl=http://localhost:$(PORT) $(ARGS)

# What is marked so runs by itself. 5 is: there are none.
test: .venv/dev.stamp .venv-sam/stamp $(BUNDLES) browsers
	$(BIN)/python -m pytest -m "($(TESTS)) and not alone" -n $(JOBS) --dist loadfile $(ARGS) || [ $$? = 5 ]
	$(BIN)/python -m pytest -m "($(TESTS)) and alone" $(ARGS) || [ $$? = 5 ]

slow: .venv/dev.stamp $(BUNDLES) browsers
	$(BIN)/python -m pytest -m slow $(ARGS)

check: .venv/dev.stamp .venv-sam/stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cfn-lint template.yaml
	$(SAM) validate --lint

bench: .venv/dev.stamp $(BUNDLES) browsers
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.connect
	PYTHONPATH=src $(BIN)/python -m bench.page

# What has to be fetched is fetched here: where the engine is, there may be no network.
sam: .venv/dev.stamp browsers sam-build
	$(SAM_ENGINE) $(BIN)/python -m pytest -m sam $(ARGS) || [ $$? = 77 ]

sam-build: .venv/run.stamp .venv-sam/stamp $(BUNDLES)
	@"$(RUNTIME_PYTHON)" -c '' 2>/dev/null || echo "No $(RUNTIME_PYTHON) to compile the functions: each cold start will (say where one is with RUNTIME_PYTHON=…)." >&2
	@PYTHON="$(CURDIR)/$(BIN)/python" $(SAM) build

sam-local: sam-build
	@$(BIN)/python -m gateway template.yaml --port $(PORT) --sam-env .aws-sam/env.json --aws-port 3003 --parameter-overrides PollHold=0.2 $(ARGS)

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which with PYTHON=…" >&2; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock | .venv/bin/python
	@echo "Installing Python packages (a minute) …"
	@$(BIN)/python $(PIP) -r $<
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/bin/python
	@echo "Installing Python packages for development (two minutes) …"
	@$(BIN)/python $(PIP) -r $<
	@touch $@ .venv/run.stamp

.venv-sam/stamp: requirements-sam.lock
	@echo "Installing SAM CLI into .venv-sam (a minute) …"
	@$(PYTHON) -m venv .venv-sam
	@.venv-sam/bin/python $(PIP) -r $<
	@touch $@

node_modules/stamp: package-lock.json package.json
	@node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' || { echo "Node 20 or newer is needed." >&2; exit 1; }
	@echo "Installing npm packages …"
	@npm ci --silent --no-audit --no-fund
	@touch $@

src/web/socket.io.esm.min.js: node_modules/stamp
	@cp node_modules/socket.io-client/dist/$(notdir $@) $@

src/web/lean-qr.min.js: node_modules/stamp
	@cp node_modules/lean-qr/nano.mjs $@

# The browser tests need these commands, each from Debian's package; root on Debian gets them here, anybody else is told.
BROWSERS := chromium:chromium firefox-esr:firefox-esr WebKitWebDriver:webkit2gtk-driver Xvfb:xvfb
browsers:
	@for each in $(BROWSERS); do \
	  command=$${each%:*}; package=$${each#*:}; \
	  command -v $$command >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { echo "Installing $$package …"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$package >/dev/null; } } || \
	    echo "No $$command: its tests are skipped. To run them: sudo apt-get install $$package"; \
	done

lock:
	$(UV) pyproject.toml --group dev -o requirements-dev.lock
	$(UV) pyproject.toml --group lambda --group terminal -c requirements-dev.lock -o requirements.lock
	$(UV) --group lambda -c requirements-dev.lock -o src/requirements.txt
	$(UV) --group sam -o requirements-sam.lock
	npm install --package-lock-only

clean:
	rm -rf .venv .venv-sam node_modules $(BUNDLES) .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
