# `make` alone lists what there is. It works with GNU make 3.81 (macOS) and newer.

GO       ?= go
PKG      ?= ./...
LINTER   := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
LINT_VER := v2.15.0
VULN     := golang.org/x/vuln/cmd/govulncheck
VULN_VER := v1.9.0
SBOM     := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
SBOM_VER := v1.10.0

# Inside a checkout that belongs to somebody else git refuses to answer, and go build stops at that. The version is then
# left out of the binary.
ifneq ($(shell git rev-parse HEAD >/dev/null 2>&1 && echo yes),yes)
buildvcs := -buildvcs=false
endif

# dev adds the commands that are for development only; nomsgpack leaves out the formats of gin that nobody uses here. What
# make starts is built with both, what serves in production with RELEASE.
RELEASE := nomsgpack
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS 2>/dev/null) $(buildvcs) -tags=dev,$(RELEASE))

# Go keeps what it has built and fetched below $HOME, and Homeroom what it runs with. Without a home that can be written to
# (a system user, some containers) all of it goes to a private folder in the temporary one.
SCRATCH := $(or $(TMPDIR),/tmp)/homeroom-$(shell id -u)
scratch = $(shell mkdir -p -m 700 "$(SCRATCH)" && [ -O "$(SCRATCH)" ] && echo "$(SCRATCH)/$(1)")
writable = $(shell d="$(filter /%,$(1))"; while [ -n "$$d" ] && [ ! -e "$$d" ]; do d=$$(dirname "$$d"); done; [ -n "$$d" ] && [ -w "$$d" ] && echo yes)
ifneq ($(call writable,$(shell $(GO) env GOCACHE 2>/dev/null)),yes)
export GOCACHE := $(call scratch,build)
endif
ifneq ($(call writable,$(shell $(GO) env GOMODCACHE 2>/dev/null)),yes)
export GOMODCACHE := $(call scratch,mod)
endif
ifneq ($(call writable,$(or $(XDG_STATE_HOME),$(HOME))),yes)
export XDG_STATE_HOME := $(call scratch,state)
endif

.PHONY: help ui run build release test browser soak bench fuzz lint vuln sbom notices fmt disposable elements check-go

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make test RUN=TestBegin PKG=./signup ARGS='-v -count=1'   runs some tests, and hands ARGS to go test"

# Each tenth module that is fetched, and each hundredth package that is compiled, is told. Errors are left to go build.
fetch = $(GO) mod download -x 2>&1 | awk '/^\# get .*\.zip: 200/ && ++n % 10 == 0 { print "  " n " modules fetched"; fflush() }' || true
compile = all=$$($(GO) list -deps ./cmd/homeroom 2>/dev/null | wc -l); $(GO) build -v -o bin/homeroom ./cmd/homeroom 2>&1 | \
	awk -v all=$$all '/^[a-z0-9.]+(\/|$$)/ && ++n % 100 == 0 { print "  " n " of at most " all+0 " packages compiled"; fflush() }' || true

# The scripts of the pages are built where there is npm. Without them the pages work without a script.
UI := ui/dist/app/manifest.json
$(UI): ui/package-lock.json ui/vite.config.ts docs/openapi.json $(shell find ui/src -type f ! -name api.d.ts 2>/dev/null)
	@if ! command -v npm >/dev/null; then \
		echo "npm is not installed, so the pages have no script. Debian, Ubuntu: apt-get install nodejs npm    macOS: brew install node"; \
	else \
		echo "Building the pages' scripts"; \
		(cd ui && npm ci --no-audit --no-fund --silent && npm run -s types >/dev/null && npm run -s build -- --logLevel warn) || \
			echo "The pages' scripts were not built: the pages have none. Try again with: make ui"; \
	fi

ui: $(UI) ## Build the scripts of the pages

run: build ## Build Homeroom and run all of it on this machine: Postgres, an Auth0 simulator, the service
	@exec bin/homeroom dev

build: check-go $(UI) ## Build bin/homeroom, with the commands for development
	@test -e bin/homeroom || { echo "Building bin/homeroom. The first time this takes some minutes."; $(fetch); $(compile); }
	@$(GO) build -o bin/homeroom ./cmd/homeroom

OUT ?= bin/release/homeroom
release: check-go $(UI) ## Build bin/release/homeroom, for production: static, without the commands for development
	CGO_ENABLED=0 $(GO) build -trimpath -tags $(RELEASE) -ldflags="-s -w" -o $(OUT) ./cmd/homeroom

# -parallel: most tests of whole processes wait, for a lease to end or a server to start, and need no core for that.
test: check-go ## Run all tests, with the race detector where there is a C compiler
	@if [ -z "$$HOMEROOM_TEST_POSTGRES_URL$$HOMEROOM_PG_BIN" ] && ! command -v postgres >/dev/null && \
		! ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /opt/homebrew/opt/postgresql* \
		/usr/local/opt/postgresql* /Applications/Postgres.app 2>/dev/null | grep -q .; then \
		echo "No Postgres is installed here. The tests fetch its binaries once; to use your own instead:"; \
		echo "  Debian, Ubuntu: apt-get install postgresql    macOS: brew install postgresql@18"; \
		echo "  elsewhere: HOMEROOM_PG_BIN=<folder of postgres and initdb> make test"; \
	fi
	@race=-race; \
	if [ "$$($(GO) env CGO_ENABLED)" != 1 ] || ! command -v $$($(GO) env CC) >/dev/null; then \
		race=; \
		echo "Without the race detector: it needs cgo and a C compiler (apt-get install gcc libc6-dev, or xcode-select --install)."; \
	fi; \
	set -x; $(GO) run ./internal/testrun $$race -parallel 8 -timeout 20m $(if $(RUN),-run '$(RUN)') $(ARGS) $(PKG)

browser: build ## Test the pages in a browser: needs npm and Chromium
	@cd ui && npm ci --no-audit --no-fund --silent && npm run -s test

# The test is built first, and run where its package is, so that it can print while it runs.
SOAK ?= 10m
soak: check-go ## Crash everything for SOAK=10m: pairs of kill points, then sign-ups in a storm (ARGS='-seed 7 -sagas 5000')
	@$(GO) test -c -tags dev,$(RELEASE),soak -o bin/homeroom-soak ./cmd/homeroom
	@cd cmd/homeroom && ../../bin/homeroom-soak -test.run '^TestSoak$$' -test.timeout 0 -test.parallel 64 -for $(SOAK) $(ARGS)

# The seeds of all fuzz targets, and the inputs in testdata/fuzz, run with every go test; this looks for new ones.
FUZZ ?= 30s
fuzz: check-go ## Fuzz each parser of what comes from outside for FUZZ=30s
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$$file"); do \
			$(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ) || exit 1; \
		done; \
	done

bench: check-go ## Measure sign-ups, start-up and fleet migrations, as ratios to bare Postgres
	@$(GO) run ./bench $(ARGS)

lint: check-go ## Run golangci-lint, the installed one where its version is ours
	@if golangci-lint version 2>/dev/null | grep -q "version v\{0,1\}$(LINT_VER:v%=%) "; then \
		golangci-lint run $(ARGS); \
	else \
		echo "golangci-lint $(LINT_VER) is not installed. Building it, which takes some minutes the first time."; \
		$(GO) run $(LINTER)@$(LINT_VER) run $(ARGS); \
	fi

vuln: check-go ## Look for known vulnerabilities in what the program calls; needs the database at vuln.go.dev
	@$(GO) run $(VULN)@$(VULN_VER) ./...

sbom: check-go ## Write bin/homeroom.cdx.json, the modules in the program with their licences (CycloneDX)
	@mkdir -p bin && GOFLAGS=-tags=$(RELEASE) $(GO) run $(SBOM)@$(SBOM_VER) app -json -licenses -main cmd/homeroom -output bin/homeroom.cdx.json .

# Each module that the program is built from, with the texts that its licence wants to be passed on. The modules are at their paths.
NOTICES ?= bin/THIRD_PARTY_NOTICES.txt
notices: check-go ## Write bin/THIRD_PARTY_NOTICES.txt, the licences of all modules in the program
	@mkdir -p "$$(dirname "$(NOTICES)")"
	@$(GO) list -tags $(RELEASE) -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/homeroom | sort -u | \
		while read -r path version dir; do \
			files=$$(find "$$dir" -maxdepth 1 -type f \( -iname 'license*' -o -iname 'licence*' -o -iname 'copying*' -o -iname 'notice*' \) | sort); \
			[ -n "$$files" ] || { echo "$$path has no licence" >&2; exit 1; }; \
			printf '\n==== %s %s ====\n\n' "$$path" "$$version"; cat $$files; \
		done >"$(NOTICES)"
	@printf '\n==== @stoplight/elements ====\n\n' | cat - internal/httpapi/elements/LICENSE >>"$(NOTICES)"

fmt: check-go ## Format the Go files
	@gofmt -w $$($(GO) list -f '{{.Dir}}' ./...)

# The list is kept by the project disposable-email-domains, and dedicated to the public (CC0). npm has a copy of each version.
disposable: ## Fetch today's list of disposable e-mail domains into signup/disposable.txt
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd "$$dir" && \
		npm pack --silent disposable-email-domains-js >/dev/null && tar xzf *.tgz && { \
			echo "# Domains that give e-mail addresses away for minutes: the list of disposable-email-domains (CC0 1.0), as of"; \
			echo "# disposable-email-domains-js $$(node -p 'require("./package/package.json").version'). make disposable fetches a newer one."; \
			node -p 'Array.from(new Set(require("./package/dist/dict/disposable_email_blocklist.json"))).sort().join("\n")'; \
		} >list.txt && [ "$$(wc -l <list.txt)" -gt 1000 ] && \
		mv list.txt "$(CURDIR)/signup/disposable.txt" && wc -l "$(CURDIR)/signup/disposable.txt"

# Stoplight Elements draws the page of the API. It is a web component: one script and one style sheet, kept compressed.
ELEMENTS_VER := 9.0.25
elements: ## Fetch what draws the page of the API into internal/httpapi/elements
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && to="$(CURDIR)/internal/httpapi/elements" && cd "$$dir" && \
		npm pack --silent @stoplight/elements@$(ELEMENTS_VER) >/dev/null && tar xzf *.tgz && mkdir -p "$$to" && \
		gzip -9nc package/web-components.min.js >"$$to/elements.js.gz" && gzip -9nc package/styles.min.css >"$$to/elements.css.gz" && \
		{ echo "Stoplight Elements $(ELEMENTS_VER) (Apache-2.0), and what its script holds of others:"; \
		cat package/web-components.min.js.LICENSE.txt; echo; cat package/LICENSE; } >"$$to/LICENSE" && ls -l "$$to"

# What is missing is said in a sentence, before the tools say it in theirs.
check-go:
	@command -v $(GO) >/dev/null || { \
		echo "Go is not installed. Get $$(awk '$$1 == "go" { print $$2 }' go.mod) or newer from https://go.dev/dl/." >&2; exit 1; }
	@$(GO) list -m >/dev/null || { \
		echo "This Go does not work here: go.mod needs $$(awk '$$1 == "go" { print $$2 }' go.mod) or newer, from https://go.dev/dl/," >&2; \
		echo "or any Go from 1.21 on that may fetch it by itself (go env -w GOTOOLCHAIN=auto)." >&2; exit 1; }
