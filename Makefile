# Needs Python 3.13 or newer, make and access to the package registries. Installs into .venv and .local beside this
# file and nowhere else.

HOST ?= stand-in
MAILS ?= 10000
SEED ?= 1
BIN := .venv/bin
RUN := $(BIN)/python
PIP := $(RUN) -m pip install --disable-pip-version-check --no-input --progress-bar off
INSTALLED := .venv/.installed

# The targets start dozens of processes. Without bytecode on disk each process would compile all modules again.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo unit format check test up lint fuzz drill chaos bench requirements clean

# The targets stand in the order of a day: see it, change it, check it, prove it, tidy up.
help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: $(INSTALLED)  ## Send mails through the whole system and check where each of them ended
	@$(RUN) -m local demo

up: $(INSTALLED)  ## Start the local stack and keep it until Ctrl-C (HOST=func: with Azure Functions Core Tools)
	@$(RUN) -m local up --host $(HOST)

unit: $(INSTALLED)  ## Run the unit tests: no sockets, seconds (ARGS= for pytest)
	@$(BIN)/pytest --numprocesses auto --quiet -m "not thorough" tests/unit $(ARGS)

format: $(INSTALLED)  ## Format the code and mend the findings that ruff can mend
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

check: lint unit  ## Run lint and unit: before every commit

test: $(INSTALLED)  ## Run all tests and print the branch coverage; with ARGS= run pytest with these arguments instead
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@rm -rf .local/test .local/coverage && mkdir -p .local/coverage
	@$(BIN)/coverage run -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report
endif

lint: $(INSTALLED)  ## Check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

fuzz: $(INSTALLED)  ## Fuzz every reader of foreign bytes under coverage guidance, half a minute each (Linux, macOS)
	@$(RUN) -m pip install --quiet atheris
	@$(RUN) -m tests.fuzz
	@$(RUN) -m tests.fuzz.costly

drill: $(INSTALLED)  ## Lose Postgres, the documents, and both, then move to another region; no mail may be lost or doubled
	@$(RUN) -m local drill

chaos: $(INSTALLED)  ## Send 10,000 mails under faults, kills and outages; no mail may be lost or doubled (MAILS=, SEED=)
	@$(RUN) -m tests.chaos --mails $(MAILS) --seed $(SEED) $(if $(GRAPH_BASE_URL),\
		--graph-base-url $(GRAPH_BASE_URL) $(if $(AUTHORITY_HOST),--authority-host $(AUTHORITY_HOST)) $(if $(SMTP),--smtp $(SMTP)))

bench: $(INSTALLED)  ## Measure every goal of speed, memory and cost, beside a loop written with O365 (ten minutes)
	@$(RUN) -m bench

requirements: $(INSTALLED)  ## Pin the newest versions of all packages named in requirements*.in
	$(RUN) -m pip install --quiet uv
	for name in requirements requirements-console requirements-dev; do \
		$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.13 --no-header \
			--no-emit-index-url --no-emit-find-links $$name.in --output-file $$name.txt || exit 1; \
	done

clean:  ## Remove all that was installed or stored here: .venv, .local, caches
	rm -rf .venv .local .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info local/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed anew only when the pinned versions change. pip's own lines go to a log; a counter shows the progress.
$(INSTALLED): requirements-dev.txt pyproject.toml
	@for candidate in $(PYTHON) python3 python3.13 python3.14 python; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.13 or newer is needed; python3 here is: $$(python3 --version 2>&1 || echo missing)."; \
		echo "Install it (python.org, your package manager, 'pyenv install 3.13' or 'uv python install 3.13'),"; \
		echo "then try again, or name it: make PYTHON=/path/to/python3.13 ..."; \
		exit 1; \
	fi; \
	echo "Installing into .venv with $$($$found --version): some minutes the first time, then only when versions change."; \
	$$found -m venv .venv && \
	{ $(PIP) -r requirements-dev.txt 2>&1 && $(PIP) --no-deps --editable . 2>&1 || echo FAILED; } | tee .venv/install.log | \
		awk -v total=$$(grep -c == requirements-dev.txt) ' \
			/^(Collecting|Requirement already satisfied)/ { seen++; printf "\r  %d of about %d packages", seen < total ? seen : total, total } \
			/^Installing collected/ { printf "\r  unpacking                    " } \
			{ fflush() } /^FAILED/ { failed = 1 } END { print ""; exit failed }' || \
	{ tail -n 20 .venv/install.log; echo "The whole log: .venv/install.log"; exit 1; }
	@touch $@
