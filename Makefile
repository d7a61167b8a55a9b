# The module is plain `go build ./...`; this file is for what needs more than Go.

GOLANGCI_LINT_VERSION := v2.15.0
# Compiled once and kept in a folder that git ignores, named by version so that a new pin is a new file.
GOLANGCI_LINT := .cache/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

# A hang is a finding: the stacks of all goroutines are worth more than a killed job.
TEST_TIMEOUT ?= 15m
FUZZTIME ?= 3s

export LC_ALL := C.UTF-8

.DEFAULT_GOAL := help
.PHONY: help build demo test test-go test-examples test-unprivileged otp-releases \
	test-matrix test-matrix-long compatibility lint fmt fuzz-short fuzz-long soak soak-wire soak-health soak-sync bench scale clean

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

build: ## Build bin/beamctl, one static binary
	CGO_ENABLED=0 go build -trimpath -o bin/beamctl ./cmd/beamctl

demo: ## Start, check and stop the example cluster (installs Erlang and Elixir if missing)
	scripts/demo.sh

test: build ## Run everything, against real OTP nodes (installs what is missing)
	scripts/install-deps.sh test
	$(MAKE) --no-print-directory otp-releases
	go vet ./...
	$(MAKE) --no-print-directory test-go test-examples

test-go:
	CGO_ENABLED=1 go test -race -shuffle=on -timeout=$(TEST_TIMEOUT) ./...

test-examples: ## Run the examples' own unit tests
	cd examples/erlang-kv && erl -make && erlc -o ebin test/kv_tests.erl && \
		erl -noinput -pa ebin -eval 'halt(case eunit:test(kv_tests, [verbose]) of ok -> 0; _ -> 1 end).'
	cd examples/elixir-counter && mix format --check-formatted && mix test --warnings-as-errors

test-unprivileged: ## Run the tests that start clusters as a user that is not root
	scripts/install-deps.sh test
	scripts/test-unprivileged.sh $(TEST_TIMEOUT)

otp-releases: ## Unpack the OTP releases that the matrix tests, under .cache
	scripts/install-deps.sh test
	mkdir -p .cache/otp
	scripts/otp-releases.sh >.cache/otp/releases

# More at once than there are CPUs: much of the time is waiting.
CONFORMANCE = CGO_ENABLED=1 go test -race -count=1 -parallel=8 -timeout=$(TEST_TIMEOUT) ./node/conformance \
	-releases=$(CURDIR)/.cache/otp/releases

test-matrix: otp-releases ## Run the conformance suite, code pushes and remote shells with every supported OTP release, and all of them as one cluster
	$(CONFORMANCE)
	CGO_ENABLED=1 go test -race -count=1 -timeout=$(TEST_TIMEOUT) ./node/codesync -releases=$(CURDIR)/.cache/otp/releases
	CGO_ENABLED=1 go test -race -count=1 -timeout=$(TEST_TIMEOUT) ./node/remsh -releases=$(CURDIR)/.cache/otp/releases
	go test -count=1 -tags=matrix -run='^Test(MixedReleases|MixTLS)$$' ./cmd/beamctl -releases=$(CURDIR)/.cache/otp/releases
	go test -count=1 -tags=matrix -run='^TestReleases$$' ./checks/doctor -releases=$(CURDIR)/.cache/otp/releases

test-matrix-long: otp-releases ## The same, with connections that are idle for five minutes
	$(CONFORMANCE) -long=5m

compatibility: otp-releases ## Write the table of docs/compatibility.md, which the suite makes
	$(CONFORMANCE) -update

lint: $(GOLANGCI_LINT) ## Lint, check formatting, and that all compiles on macOS, the wire packages elsewhere
	$(GOLANGCI_LINT) run ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	for os in freebsd windows; do \
		GOOS=$$os go build ./dist ./dist/etf ./epmd ./node ./node/codesync ./node/remsh && \
		GOOS=$$os go vet ./dist ./dist/etf ./epmd ./node || exit; done

fmt: $(GOLANGCI_LINT) ## Format with gofumpt
	$(GOLANGCI_LINT) fmt ./...

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/.cache/bin CGO_ENABLED=0 \
		go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv .cache/bin/golangci-lint $@

fuzz-short: ## Run every fuzz target for FUZZTIME (3s)
	scripts/fuzz.sh $(FUZZTIME)

fuzz-long: ## Run every fuzz target for ten minutes
	scripts/fuzz.sh 10m

SOAK ?= 200
SEED ?= 0
soak: ## SOAK=200 cycles of start, health and stop, each disturbed (kill -9, SIGSTOP, stolen names and ports, full disk); SEED=n repeats one
	go test -run='^TestSoak$$' -v -count=1 -timeout=4h ./cmd/beamctl -soak=$(SOAK) -seed=$(SEED)

soak-wire: ## Ten minutes of a thousand calls a second to a node that is paused, killed and restarted
	go test -run='^TestSoak$$' -v -timeout=20m ./node -soak=10m

soak-health: otp-releases ## A thousand health checks of a node, which has to be as it was before the first
	go test -count=1 -run='^TestFlat$$' -v -timeout=30m ./checks/health -flat.runs=1000

soak-sync: ## A thousand code pushes, and a thousand that are refused, to a node whose atoms, processes and memory are counted
	go test -run='^TestSoak$$' -v -timeout=20m ./node/codesync -soak=1000

BENCHTIME ?= 9x
bench: build ## Compare with epmd, erl, erl_call and a C node, by turns in one run; BENCHTIME=9x is the number of rounds
	go test -run='^$$' -bench='Call|Bulk' -benchtime=$(BENCHTIME) ./node
	taskset -c 0 go test -run='^$$' -bench=Call -benchtime=$(BENCHTIME) ./node
	go test -run='^$$' -bench=. -benchtime=$(BENCHTIME) -timeout=1h ./node/codesync
	go test -run='^$$' -bench=. -skip=Scale -benchtime=$(BENCHTIME) -timeout=1h ./cmd/beamctl
	go test -run='^$$' -bench=. -benchmem ./dist/etf ./epmd

SCALE ?= 50
scale: ## Start a cluster of SCALE=50 nodes, look at it and stop it, with figures
	go test -run='^$$' -bench=Scale -benchtime=1x -timeout=20m ./cmd/beamctl -scale=$(SCALE)

clean: ## Remove what was built; running clusters are not touched
	rm -rf bin examples/*/_build examples/*/ebin/*.beam
