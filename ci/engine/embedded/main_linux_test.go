package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"dagger.io/dagger"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
)

// The test's program is also the supervisor, the namespace's first process, and a few clients.
const (
	ensureArgument = "test-ensure!"
	clientArgument = "test-client!"
)

func TestMain(m *testing.M) {
	if handled, code := embedded.Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	if len(os.Args) > 2 && os.Args[1] == ensureArgument {
		os.Exit(ensureMain(os.Args[2], os.Args[3]))
	}
	if len(os.Args) > 2 && os.Args[1] == clientArgument {
		os.Exit(clientMain(os.Args[2]))
	}
	os.Exit(m.Run())
}

// ensureMain is one of many callers.
func ensureMain(cache, instance string) int {
	endpoint, err := embedded.Ensure(context.Background(), embedded.Options{Cache: cache, Instance: instance, Getenv: os.Getenv})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := useOnce(endpoint); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(endpoint)
	return 0
}

// useOnce has the engine do something that it must write down.
func useOnce(endpoint embedded.Endpoint) error {
	os.Setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", endpoint.Address)
	os.Setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", endpoint.CLI)
	client, err := dagger.Connect(context.Background())
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Directory().WithNewFile("caller", fmt.Sprint(os.Getpid())).Sync(context.Background())
	return err
}

// clientMain runs a container that does not end, as a user's program would.
func clientMain(helper string) int {
	ctx := context.Background()
	client, err := dagger.Connect(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = client.Container().WithFile("/helper", client.Host().File(helper)).WithEnvVariable("RUN", fmt.Sprint(os.Getpid())).
		WithMountedCache("/shared", client.CacheVolume("shared"), dagger.ContainerWithMountedCacheOpts{Sharing: dagger.CacheSharingModeShared}).
		WithExec([]string{"/helper", "wait"}).Sync(ctx)
	fmt.Fprintln(os.Stderr, err)
	return 1
}
