# The two commands of every day are `make run` and `make test`. All the work is done in scripts/.
PYTHON ?= python3
BOOTSTRAP = @$(PYTHON) scripts/bootstrap.py

.PHONY: help run test check bench fault fault-ci clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## set up and start the portal with a demo organisation; Ctrl-C stops it
	$(BOOTSTRAP) run

test: ## run the tests, on PostgreSQL and Redis where they are found (ARGS="-k name" for some)
	$(BOOTSTRAP) test $(ARGS)

check: ## lint, types, floors, migrations, deployment checks, templates, links in the docs
	$(BOOTSTRAP) check

bench: ## measure, and print the figures with the machine's
	$(BOOTSTRAP) bench $(ARGS)

fault: ## kill and starve real processes, many rounds
	$(BOOTSTRAP) fault $(ARGS)

fault-ci: ## the short form of it
	$(BOOTSTRAP) fault-ci $(ARGS)

clean: ## remove what set-up made, but not the data
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
