# mcplb: `make run` shows it working, `make test` tests it. Needs Go and make.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME   ?= 30s
PREFIX     ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: run test build lint race fuzz bench install help

run: build ## four MCP nodes and the balancer on this machine, until Ctrl-C
	bin/mcpcluster run

test: ## every test
	go test ./...

build: ## bin/mcplb, bin/mcpnode, bin/mcpcluster
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

lint: ## gofmt, vet, staticcheck, govulncheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./... ./testdata/leak
	go run $(STATICCHECK) ./... ./testdata/leak
	go run $(GOVULNCHECK) ./...

race: ## every test under the race detector
	go test -race ./...

fuzz: ## every fuzz target, for FUZZTIME each
	@go list -f '{{if .TestGoFiles}}{{.Dir}}{{end}}' ./... | while read dir; do \
	  grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go 2>/dev/null | cut -c6- | while read target; do \
	    echo "$$dir $$target"; (cd $$dir && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) .) || exit 1; \
	  done || exit 1; done

bench: ## benchmarks of the data path, with allocations
	go test -run '^$$' -bench . -benchmem ./...

install: build ## mcplb into PREFIX/bin (default /usr/local)
	install -D -m 755 bin/mcplb $(DESTDIR)$(PREFIX)/bin/mcplb

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
