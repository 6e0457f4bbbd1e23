# The uniform entry. "make ship" and "make test" do everything, set-up included, on a bare Debian machine with Go, git and make.

ARGS ?=
SLIPWAY = bin/slipway
.PHONY: ship verify build package image smoke publish test test-short fuzz soak setup setup-test doctor figures bench clean $(SLIPWAY)

ship verify build package image smoke publish doctor: setup $(SLIPWAY)
	@$(SLIPWAY) $@ $(ARGS)

deploy-%: setup $(SLIPWAY) # make deploy-prod: to the environment prod of slipway.yaml
	@$(SLIPWAY) deploy $* $(ARGS)

rollback-%: setup $(SLIPWAY)
	@$(SLIPWAY) rollback $* $(ARGS)

test: setup setup-test $(SLIPWAY)
	@hack/test $(ARGS)

soak: setup setup-test $(SLIPWAY) # faults and rollouts, many times over; hours
	@hack/soak $(ARGS)

test-short:
	go test -short ./...

fuzz: # every fuzz target, EXECUTIONS each; docs/fuzz.md has the figures of a long run
	@hack/fuzz $(EXECUTIONS)

# What the machine must have beside Go, git and make. Nothing happens where nothing is missing; else it is said.
setup: # a tool that assembles the Debian root in which tests run
	@hack/setup mmdebstrap mmdebstrap

setup-test: # a C compiler, for go test -race on this machine, and programs that tests compare with or use as people do
	@hack/setup gcc "gcc libc6-dev"
	@hack/setup ssh openssh-client
	@hack/setup rsync rsync
	@hack/setup ansible-playbook ansible-core
	@hack/setup curl curl
	@hack/setup ip iproute2

$(SLIPWAY):
	@test -x $@ || echo "building $@" >&2
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $@ ./cmd/slipway

figures: # of the README, measured here
	@hack/figures

bench: setup # against go build and GoReleaser, into docs/bench.md
	@go run ./bench $(ARGS)

clean:
	rm -rf bin dist
