# Every target is one script or one command; the scripts work without make too.

.DEFAULT_GOAL := help
# Two targets at once (make -j) must not both install.
.NOTPARALLEL:
.PHONY: help demo run test lint chaos fuzz bench bench-anatomy bench-backlog bench-recovery bench-connections bench-docs docs format venv clean distclean docker-build docker-run docker-simulate docker-clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' Makefile

demo: ## send 1,000 real tasks through a manager and two workers and audit every result
	@scripts/demo

run: ## start a manager and a pool of workers; Ctrl-C stops both (ARGS="--load my.module" for qmworker)
	@scripts/run $(ARGS)

test: lint ## check style and types, then run all tests (ARGS="-k audit" for some)
	@scripts/test $(ARGS)

lint: ## check style and types
	@scripts/lint

chaos: venv ## kill, stop and cut everything for two minutes under load, then audit (ARGS="--duration 20m --kills 200")
	@.venv/bin/qmsimulator --chaos $(or $(ARGS),--duration 2m)

fuzz: ## throw bytes at what reads bytes from others, a minute for each target (ARGS="600 verbs")
	@scripts/fuzz $(ARGS)

RUNS ?= 5
bench: venv ## measure, and other task queues beside it (PEERS="redis huey" RUNS=5 ARGS="--json FILE --svg FILE")
	@.venv/bin/python -m benchmarks --runs $(RUNS) --peers "$(PEERS)" $(ARGS)

bench-backlog: venv ## measure add, take and status at 10k, 100k, 1M and 5M waiting (ARGS="--most 1000000")
	@.venv/bin/python -m benchmarks.backlog $(ARGS)

bench-anatomy: venv ## measure where the time of one call goes, half a minute
	@.venv/bin/python -m benchmarks.anatomy $(ARGS)

bench-recovery: venv ## measure how long a task stays away when its worker dies, three minutes (ARGS="--times 5")
	@.venv/bin/python -m benchmarks.recovery $(ARGS)

bench-connections: venv ## measure what connections cost, and calls beside a crowd of them (ARGS="--idle 5000")
	@.venv/bin/python -m benchmarks.connections $(ARGS)

bench-docs: venv ## write docs/measured/*.json into the documents and README's chart
	@.venv/bin/python -m benchmarks.documents

docs: venv ## write the parts of the documentation that the code knows best
	@.venv/bin/python scripts/docs

format: venv ## lay out all files and repair what can be repaired safely
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format --quiet .

venv: ## make .venv; does nothing while pyproject.toml is as it was
	@scripts/bootstrap

clean: ## remove caches and what builds left
	@rm -rf build dist qmanager.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find qm tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv too
	@rm -rf .venv

docker-build: ## build the Docker image with the four programs (ARGS="--build-arg PYTHON=3.12")
	@scripts/docker-build $(ARGS)

docker-run: ## start a manager and a pool of workers in containers (ARGS="--processes 4" for qmworker)
	@scripts/docker-run $(ARGS)

docker-simulate: ## send random tasks to them and check the results (ARGS="--count 1000 --delay 0 --audit")
	@scripts/docker-simulate $(ARGS)

docker-clean: ## remove the containers and their network (ARGS="--volumes" for the tasks and the key too)
	@scripts/docker-clean $(ARGS)
