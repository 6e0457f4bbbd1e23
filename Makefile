# The uniform entry. "make ship" and "make test" do everything, set-up included, on a bare Debian machine with Go, git and make.

ARGS ?=
SLIPWAY = bin/slipway
# What the machine must have beside Go, git and make: a tool that assembles Debian roots, and a C compiler for go test -race.
COMMANDS = mmdebstrap gcc
PACKAGES = mmdebstrap gcc libc6-dev

.PHONY: ship verify build package image smoke test test-short setup doctor clean $(SLIPWAY)

ship verify build package image smoke doctor: setup $(SLIPWAY)
	@$(SLIPWAY) $@ $(ARGS)

test: setup $(SLIPWAY)
	@hack/test $(ARGS)

test-short:
	go test -short ./...

# Installs what is missing, and says so. It does nothing where nothing is missing.
setup:
	@hack/setup "$(COMMANDS)" "$(PACKAGES)"

$(SLIPWAY):
	@CGO_ENABLED=0 go build -trimpath -o $@ ./cmd/slipway

clean:
	rm -rf bin dist
