# Everything starts here: `make` alone says what there is.
PORT ?= 8087
PYTHON ?=
ARGS ?=
BIN = .venv/bin
RUN_FILES = requirements/base.txt requirements/embedded.txt requirements/bootstrap.txt
TEST_FILES = $(RUN_FILES) requirements/mongodb.txt requirements/test.txt requirements/dev.txt

.DEFAULT_GOAL = help
.PHONY: help demo run drill test test-mongodb test-313 check types insecure bench bench-recorder bench-lifecycle bench-api contract validate-deploy image-root image-recorder sbom faults pictures clean

help: ## What there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

demo: .venv/.installed-run ## Record, archive, verify, export; half a minute
	@$(BIN)/python manage.py demo

run: .venv/.installed-run ## The whole stack at http://127.0.0.1:8087 (PORT=...), until Ctrl-C
	@$(BIN)/python manage.py run --port $(PORT)

drill: .venv/.installed-run ## Lose an installation on purpose and restore it (ARGS="--sessions 20")
	@$(BIN)/python manage.py drill $(ARGS)

test: .venv/.installed-test ## All tests, three at a time (ARGS=... goes to pytest; -n 0 one at a time)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder --max-worker-restart 0 $(ARGS)

test-mongodb: .venv/.installed-test ## All tests on a real MongoDB instead of SQLite (ARGS=... goes to pytest)
	@$(BIN)/python -m tests.servers mongod -- $(BIN)/python -m pytest $(ARGS)

test-313: .venv/.installed-test ## The fast part on Python 3.13, the images' (ARGS=tests/api: another part)
	@deploy/scripts/test-313 $(ARGS)

check: .venv/.installed-test ## Format, lint, types, imports, insecure calls, tests: the one gate
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types insecure
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

types:
	@$(BIN)/mypy lucid_sessions recorder tasks manage.py

insecure:
	@$(BIN)/bandit -q -ll -r lucid_sessions recorder tasks manage.py

bench: .venv/.installed-test ## The figures, with the machine
	@$(BIN)/python -m benchmarks $(ARGS)

bench-lifecycle: .venv/.installed-test ## Backup, check, restore beside restic and borg; nothing new over 100,000
	@$(BIN)/python -m benchmarks.lifecycle --blobs 10000 --size 215000 $(ARGS)
	@$(BIN)/python -m benchmarks.lifecycle --many 100000

bench-recorder: .venv/.installed-test ## What recording costs, beside ffmpeg (ARGS=--quick)
	@$(BIN)/python -m benchmarks.recorder $(ARGS)

validate-deploy: .venv/.installed-test ## Every deployment file by its own checker
	@deploy/scripts/validate

image-root: .venv/.installed-test ## The images' content as var/image/root, without an engine (as root)
	@rm -rf var/image && mkdir -p var/image
	@PATH="$(CURDIR)/$(BIN):$(PATH)" deploy/docker/make-root runtime var/image/root

image-recorder: .venv/.installed-test ## The recorder's image content, tried: it records an RDP desktop (as root)
	@$(BIN)/python -m pytest -q tests/deploy/check_recorder_root.py $(ARGS)

sbom: image-root ## CycloneDX list of what is in it: var/image/sbom.json
	@deploy/docker/sbom.py var/image/root lucid-sessions > var/image/sbom.json
	@echo var/image/sbom.json

contract: .venv/.installed-test ## schemathesis: 500 cases an operation against a live API (ARGS="-n 50")
	@$(BIN)/python -m tests.api.live.contract $(ARGS)

bench-api: .venv/.installed-test ## The REST API under load, beside a bare view (needs wrk)
	@$(BIN)/python -m benchmarks.api $(ARGS)
	@$(BIN)/python -m tests.servers mongod -- $(BIN)/python -m benchmarks.api $(ARGS)

faults: .venv/.installed-test ## The fault matrix: what was tried, what was lost (ARGS=--full: hours)
	@$(BIN)/python -m tests.faults $(ARGS)

pictures: .venv/.installed-test ## The two pictures of the player in docs/images, recorded and played anew
	@LUCID_RENEW_PICTURES=1 $(BIN)/python -m pytest -q tests/console/test_player.py -k behind_its_gap
	@$(BIN)/python -m tests.console.rdp_picture

clean: ## Remove the environment, caches and the demonstration; recordings in var/ stay
	rm -rf .venv .venv-3.13 var/demo var/image .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed-run: $(RUN_FILES) deploy/scripts/setup
	@PYTHON="$(PYTHON)" deploy/scripts/setup run

.venv/.installed-test: $(TEST_FILES) deploy/scripts/setup
	@PYTHON="$(PYTHON)" deploy/scripts/setup test
