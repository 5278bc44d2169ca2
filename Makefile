GO            ?= go
# The linter keeps results by checkout: a cache shared by two names files of the other.
export GOLANGCI_LINT_CACHE ?= $(CURDIR)/$(BIN)/lint-cache
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
BIN           ?= bin
comma         := ,

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this text
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## Build orchis, orchestrator and worker into bin/
	$(GO) build -trimpath -o $(BIN)/ ./cmd/...

.PHONY: test
test: which-redis ## Run the tests of all packages (no Redis needed; a real one is used when there is one)
	$(GO) test ./...

.PHONY: which-redis
which-redis:
	@if command -v redis-server >/dev/null; then \
	  echo "tests run on the embedded Redis and on $$(redis-server --version | cut -d' ' -f3)"; \
	elif [ "$$CI" = true ]; then echo "CI=true and there is no redis-server on PATH" >&2; exit 1; \
	else echo "tests run on the embedded Redis only: there is no redis-server on PATH"; fi

.PHONY: check
check: fmt-check lint build race manifests ## All that must pass before a commit

.PHONY: race
race: which-redis
	$(GO) test -race ./...

.PHONY: race-core
race-core: which-redis ## Run the tests of the packages with the most goroutines under the race detector
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m ./internal/orchestrator ./internal/redisstore ./pkg/worker ./pkg/client ./internal/api

.PHONY: manifests
manifests: ## Hold the manifests of Kubernetes, KEDA and the release against the types of those who read them
	cd deploy/validate && $(GO) vet ./... && $(GO) test -count=1 ./...

.PHONY: lint
lint: ## Run the linters
	$(GOLANGCI_LINT) run ./...
	$(GO) mod tidy -diff

.PHONY: fmt
fmt: ## Format the code
	$(GOLANGCI_LINT) fmt ./...

.PHONY: fmt-check
fmt-check:
	$(GOLANGCI_LINT) fmt --diff ./...

.PHONY: e2e
e2e: ## Run the end-to-end tests: real processes on a real Redis; TOPOLOGY=cluster or sentinels
	CI=true ORCHIS_E2E_TOPOLOGY=$(TOPOLOGY) $(GO) test -count=1 -v ./e2e/... ./deploy/...

.PHONY: chaos
chaos: ## Harm processes, links and Redis under load, and write docs/reliability.md; CHAOS_RUNS=120 runs (12 a seed) or SEEDS=10 is how often, SEED=1 the first
	CI=true ORCHIS_REPORT=$(CURDIR)/docs/reliability.md ORCHIS_CHAOS=$(or $(SEEDS),10) ORCHIS_CHAOS_RUNS=$(CHAOS_RUNS) ORCHIS_CHAOS_SEED=$(or $(SEED),1) $(GO) test -count=1 -timeout 5h -run Chaos -v ./e2e/...
	for topology in cluster sentinels; do \
	  CI=true ORCHIS_REPORT=$(CURDIR)/docs/reliability.md ORCHIS_CHAOS_TOPOLOGY=$$topology ORCHIS_CHAOS=$(or $(FAILOVERS),2) ORCHIS_CHAOS_SEED=$(or $(SEED),1) $(GO) test -count=1 -timeout 60m -run Chaos -v ./e2e/... || exit 1; \
	done
	CI=true ORCHIS_FAULTS=all $(GO) test -count=1 -run AnyReply ./internal/orchestrator

.PHONY: simulate
simulate: ## Simulate crashes, lost replies and the like on a model of Redis; SEEDS=20000 is how many, SEED=1 the first
	ORCHIS_REPORT=$(CURDIR)/docs/reliability.md $(GO) test -count=1 -timeout 60m -v -run 'Simulation$$' ./internal/orchestrator -args -seeds $(or $(SEEDS),20000) -first $(or $(SEED),1)
	$(GO) test -count=1 -timeout 60m -v -run AllHistories ./internal/orchestrator -args -histories 0

.PHONY: screenshots
screenshots: ## Take pictures of every page of the dashboard into SCREENSHOTS=bin/screenshots (needs chromium)
	mkdir -p $(or $(SCREENSHOTS),bin/screenshots)
	CI=$(CI) ORCHIS_SCREENSHOTS=$(abspath $(or $(SCREENSHOTS),bin/screenshots)) $(GO) test -count=1 -v -run 'Browser|Large' ./internal/web

.PHONY: soak
soak: ## Let an installation work for SOAK=5m and see that its memory does not grow; write docs/reliability.md
	CI=true ORCHIS_REPORT=$(CURDIR)/docs/reliability.md ORCHIS_SOAK=$(or $(SOAK),5m) $(GO) test -count=1 -timeout 25h -run Soak -v ./e2e/...

.PHONY: mutants
mutants: ## Take one guard after another out of the code; the tests must notice each
	ORCHIS_MUTANTS=all $(GO) test -count=1 -parallel 2 -timeout 30m -v ./internal/mutants

.PHONY: fuzz
fuzz: ## Fuzz all that reads what others write, FUZZTIME=30s each
	@for target in $$(grep -rhoE --include=fuzz_test.go '^func Fuzz[A-Za-z]+' pkg internal | cut -d' ' -f2); do \
	  dir=$$(dirname $$(grep -rlE --include=fuzz_test.go "^func $$target\(" pkg internal)); \
	  echo "$$dir $$target"; \
	  $(GO) test ./$$dir -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),30s) || exit 1; \
	done

.PHONY: repeat
repeat: ## Run the tests of all packages but e2e 50 times with the race detector
	$(GO) test -race -count=50 -timeout 60m $$($(GO) list ./... | grep -v /e2e)

.PHONY: bench
bench: ## Measure our processes beside the bare minimum and others; BENCH=full for all loads, and docs/performance.md; BASE=commit takes turns with another build
	cd bench && $(GO) build -o ../$(BIN)/bench . && ../$(BIN)/bench $(if $(BASE),-base $(BASE)) $(if $(filter full,$(BENCH)),-full -rounds 5 -most 10m -page ../docs/performance.md)

.PHONY: distance
distance: ## Measure hops and throughput with RTT=1ms,10ms,50ms between the processes and Redis
	cd bench && $(GO) build -o ../$(BIN)/bench . && ../$(BIN)/bench -distance $(if $(RTT),$(RTT),1ms$(comma)10ms$(comma)50ms)

.PHONY: large
large: ## Measure flows of 100,000 jobs, 10,000 runs at once, a million in the history, 200 workers, a Cluster, and write docs/performance.md; ONLY=flows,fair for some
	cd bench && $(GO) run ./large -only "$(ONLY)" $(if $(ONLY),,-report ../docs/performance.md)

.PHONY: microbench
microbench: ## Run the benchmarks of the engine, the language, expressions and the commit
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./pkg/...

.PHONY: docs
docs: ## Write docs/cli.md from the commands and docs/states.md from the tables of the engine
	$(GO) run ./cmd/orchis reference > docs/.cli.md && mv docs/.cli.md docs/cli.md
	$(GO) test -count=1 ./internal/engine -run TestStatesPage -update

.PHONY: run
run: ## Run the first recipe on the embedded Redis
	$(GO) run ./cmd/orchis run recipes/hello.yaml

COMPOSE = docker compose -f deploy/docker-compose.yml

.PHONY: up
up: ## Start Redis, an orchestrator and two workers with Docker Compose; PROFILE=observability adds Prometheus and Grafana
	@sh deploy/secrets.sh deploy/.env ORCHIS_API_TOKEN ORCHIS_SIGNING_KEY
	@$(COMPOSE) $(if $(PROFILE),--profile $(PROFILE)) up --build --detach --wait || { \
	  echo "It did not come up. Where a port is taken, others help: REDIS_PORT=6380 ORCHIS_PORT=8430 make up" >&2; \
	  echo "$(COMPOSE) logs tells the rest." >&2; exit 1; }
	@echo "dashboard: http://127.0.0.1:$${ORCHIS_PORT:-8420}/"
	@echo "token:     $${ORCHIS_API_TOKEN:-$$(sed -n 's/^ORCHIS_API_TOKEN=//p' deploy/.env | tail -n 1)}"
	@echo "a run:     $(COMPOSE) exec orchestrator orchis submit hello --wait"

.PHONY: down
down: ## Stop what up has started; the data stays
	@ORCHIS_API_TOKEN=none $(COMPOSE) --profile observability down
