# mcplb: `make run` demonstrates it, `make test` tests it. Needs Go and make.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.8.0
GOTESTSUM   = gotest.tools/gotestsum@v1.13.0
FUZZTIME   ?= 30s
TESTFLAGS  ?= -timeout 30m
PACKAGES   ?= ./...
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
BIN        ?= bin
# The same program for this machine, if BIN is for another.
HERE       ?= $(BIN)
# With RERUNS=1, as .ci/run has it, a test that failed is run once more, and the run says so.
GOTEST      = $(if $(RERUNS),go run $(GOTESTSUM) --format pkgname --rerun-fails=$(RERUNS) --rerun-fails-max-failures=10 --rerun-fails-run-root-test --packages='$(PACKAGES)' --,go test $(PACKAGES))
# Debian's zsh looks elsewhere for what packages bring.
ZSHDIR      = $(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)

.DEFAULT_GOAL := help
.PHONY: run tour test build lint race fuzz bench conformance slowhttp http2 http2cost http2peers chaos load stress replaced peers plots pictures prove-100k install install-files uninstall release deb test-release test-deb test-image test-manifests help

run: build ## four MCP nodes and the balancer on this machine, until Ctrl-C
	$(BIN)/mcpcluster run

tour: build ## what mcplb does, in half a minute: a cluster, a node that dies, drain, reload, upgrade, a flood (needs bash, curl)
	docs/tour.sh

test: ## every test
	$(GOTEST) $(TESTFLAGS)

build: ## mcplb, mcpnode, mcpcluster, mcpload in BIN (bin)
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./cmd/...

lint: ## gofmt, vet, staticcheck, govulncheck
	@test -z "$$(gofmt -l .)" || { echo "not gofmt-ed:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	@echo go run $(GOVULNCHECK) ./...; \
	  if found=$$(go run $(GOVULNCHECK) ./... 2>&1); then echo "$$found"; exit 0; fi; echo "$$found"; \
	  case $$found in *"govulncheck: fetching vulnerabilities:"*) echo "govulncheck SKIPPED: no vulnerability database is reachable" ;; *) exit 1 ;; esac

race: ## every test under the race detector (which needs a C compiler)
	go test -race -timeout 30m ./...

fuzz: ## every fuzz target, for FUZZTIME each
	@grep -ro '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | sed 's,/[^/]*:func , ,' | while read -r package target; do \
	  echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package || exit 1; done

bench: ## benchmarks of the data path, with allocations
	go test -run '^$$' -bench . -benchmem ./...

conformance: build ## the MCP conformance suite, the inspector and the SDKs' examples behind mcplb, MODE = plain, tls, h2 or all (needs npm and the network)
	go run ./internal/suites/conformance -mcplb $(BIN)/mcplb -mode $(or $(MODE),plain)

slowhttp: build ## attacks with slow heads, bodies and readers, while other clients are served (needs slowhttptest)
	go run ./internal/suites/slowhttp -mcplb $(BIN)/mcplb

http2: build ## attacks over HTTP/2, while other clients are served: CPU, memory, response times
	go run ./internal/suites/http2 -mcplb $(BIN)/mcplb

http2cost: build ## processor time and memory of HTTP/2 beside HTTP/1.1, HAProxy and nginx (needs h2load)
	go run ./internal/suites/http2cost -mcplb $(BIN)/mcplb

http2peers: build ## h2spec, undici, Node's fetch and Go's client over HTTP/2 (needs npm and the network)
	go run ./internal/suites/http2peers -mcplb $(BIN)/mcplb

chaos: build ## ten minutes of clients, servers and an operator who do everything at random, with the race detector (needs a C compiler)
	go build -race -trimpath -o bin/race/ ./cmd/mcplb
	go run ./internal/suites/chaos -mcplb bin/race/mcplb

load: build ## five benchmarks of a complete cluster: tables and plots in bin/load
	$(BIN)/mcpload bench -o bin/load all

stress: build ## the stress suite, with SIZE connections (1000)
	$(BIN)/mcpload stress -size $(or $(SIZE),1000)

replaced: build ## the haproxy.cfg and the nginx.conf that mcplb replaces, converted, with SIZE connections (1000), while a node dies (needs bash, openssl)
	testdata/convert/replaced.sh $(or $(SIZE),1000)

peers: build ## mcplb compared with HAProxy and nginx: tables and plots in bin/peers
	$(BIN)/mcpload peers -o bin/peers

plots: load peers ## the figures and plots of docs/benchmarks (half an hour, on a machine that does nothing else)
	cp bin/load/*.csv bin/load/failure-1.svg bin/peers/peers.csv bin/peers/peers-2.svg docs/benchmarks/

pictures: build ## the screenshot of docs/images (needs chromium)
	go run ./internal/suites/pictures -bin $(BIN) -o docs/images/page.png

prove-100k: ## 100,000 sessions through one mcplb, and the death of a node (VM_RUN: see testdata/vm/prove.sh)
	testdata/vm/prove.sh 100000

install: build ## install mcplb, its manual, completions, unit and settings below PREFIX (/usr/local) and SYSCONFDIR (/etc), all below DESTDIR
	@$(MAKE) --no-print-directory install-files

install-files: # what install does, with the binary of BIN
	install -D -m 755 $(BIN)/mcplb $(DESTDIR)$(PREFIX)/bin/mcplb
	sed -e 's,/usr/local/,$(PREFIX)/,' -e 's,/etc/mcplb/,$(SYSCONFDIR)/mcplb/,' packaging/systemd/mcplb.service | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/mcplb.service
	umask 022 && $(HERE)/mcplb man $(DESTDIR)$(PREFIX)/share/man/man1
	$(HERE)/mcplb completion bash | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mcplb
	$(HERE)/mcplb completion zsh | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_mcplb
	$(HERE)/mcplb completion fish | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mcplb.fish
	install -D -m 644 packaging/systemd/60-mcplb.conf $(DESTDIR)$(PREFIX)/lib/sysctl.d/60-mcplb.conf
	install -D -m 644 packaging/systemd/mcplb.logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/mcplb
	test -e $(DESTDIR)$(SYSCONFDIR)/mcplb/lb.toml || install -D -m 644 packaging/lb.toml $(DESTDIR)$(SYSCONFDIR)/mcplb/lb.toml

uninstall: ## remove what install has installed; SYSCONFDIR/mcplb, if it was changed, is the operator's and stays
	rm -f $(DESTDIR)$(PREFIX)/bin/mcplb $(DESTDIR)$(PREFIX)/lib/systemd/system/mcplb.service $(DESTDIR)$(PREFIX)/lib/sysctl.d/60-mcplb.conf
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/mcplb.1* $(DESTDIR)$(PREFIX)/share/man/man1/mcplb-*.1*
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mcplb $(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_mcplb $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mcplb.fish
	rm -f $(DESTDIR)$(SYSCONFDIR)/logrotate.d/mcplb
	! cmp -s packaging/lb.toml $(DESTDIR)$(SYSCONFDIR)/mcplb/lb.toml || rm -f $(DESTDIR)$(SYSCONFDIR)/mcplb/lb.toml
	@for directory in lib/systemd/system lib/systemd lib/sysctl.d share/man/man1 share/bash-completion/completions share/bash-completion \
	  share/zsh/$(ZSHDIR) share/zsh share/fish/vendor_completions.d share/fish; do rmdir $(DESTDIR)$(PREFIX)/$$directory 2> /dev/null || true; done
	@rmdir $(DESTDIR)$(SYSCONFDIR)/mcplb $(DESTDIR)$(SYSCONFDIR)/logrotate.d 2> /dev/null || true

release: ## a tarball with checksums and a list of modules in bin/release, the same bytes from the same commit
	packaging/release.sh bin/release

deb: ## a Debian package in bin/release
	packaging/deb.sh bin/release

test-release: ## release and Debian package, built twice in different surroundings: the same bytes
	packaging/reproducible.sh

test-deb: ## the Debian package in a fresh Debian root: install, reload, upgrade, stop, purge, lintian (needs root, debootstrap, lintian)
	packaging/deb/test.sh

test-image: ## the container image, and what mcpcluster compose writes, under Docker and podman (needs root, dockerd, docker-compose, podman, runc, the network)
	packaging/image/test.sh

test-manifests: ## the Kubernetes manifests against the schemas of Kubernetes and the prometheus-operator (needs the network)
	packaging/kubernetes/test.sh

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
