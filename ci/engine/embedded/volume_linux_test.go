package embedded_test

import (
	"fmt"
	"syscall"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/internal/hosttest"
)

// Cache volumes are the Go build cache of every run: an engine that was stopped or killed has them still, and containers
// can go on using them at the same time.
func TestCacheVolumesSurvive(t *testing.T) {
	for name, end := range map[string]func(*testing.T, embedded.Options){
		"a stop": func(t *testing.T, opts embedded.Options) { require.NoError(t, embedded.Stop(t.Context(), opts)) },
		"a kill": func(t *testing.T, opts embedded.Options) {
			before := hosttest.Family(status(t, opts).Supervisor)
			require.NoError(t, syscall.Kill(status(t, opts).Engine, syscall.SIGKILL))
			hosttest.RequireGone(t, before)
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := newEngine(t)
			helper := buildHelper(t)
			use(t, ensure(t, opts), helper, [2]string{"first", "first"})
			if name == "a kill" { // while the volume is in use
				startClient(t, ensure(t, opts), opts)
			}
			end(t, opts)
			endpoint := ensure(t, opts)
			use(t, endpoint, helper, [2]string{"second", "first"})
			use(t, endpoint, helper, [2]string{"left", "right"}, [2]string{"right", "left"})
		})
	}
}

// use runs one container for each pair of names, all at once, on the same cache volume: each writes its own name and waits
// for the other's.
func use(t *testing.T, endpoint embedded.Endpoint, helper string, names ...[2]string) {
	t.Helper()
	client := connect(t, endpoint)
	defer client.Close()
	var group errgroup.Group
	for _, pair := range names {
		container := client.Container().
			WithFile("/helper", client.Host().File(helper)).
			WithMountedCache("/shared", client.CacheVolume("shared"), dagger.ContainerWithMountedCacheOpts{Sharing: dagger.CacheSharingModeShared}).
			WithEnvVariable("RUN", fmt.Sprint(endpoint, pair)).
			WithExec([]string{"/helper", "meet", "/shared", pair[0], pair[1]})
		group.Go(func() error {
			_, err := container.Sync(t.Context())
			return err
		})
	}
	require.NoError(t, group.Wait())
}
