package embedded_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/engine/embedded"
	"github.com/slipway-ci/slipway/internal/hosttest"
)

// newEngine returns options for an engine of the test's own. It shares built layers with the user's: they never change.
func newEngine(t *testing.T) embedded.Options {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an engine: not with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("starts an engine: needs root")
	}
	cache := os.Getenv("SLIPWAY_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		require.NoError(t, err)
		cache = filepath.Join(dir, "slipway")
	}
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	opts := embedded.Options{Cache: cache, Instance: fmt.Sprintf("t%d-%.20s", os.Getpid(), strings.TrimPrefix(name, "test")),
		Getenv: os.Getenv, Progress: func(text string) { t.Log(text) }}
	opts.Instance = strings.Trim(opts.Instance, "-")
	t.Cleanup(func() {
		opts.Progress = nil
		ctx := context.Background() // the test's own has ended
		assert.NoError(t, embedded.Stop(ctx, opts))
		state, err := embedded.Status(ctx, opts)
		if assert.NoError(t, err) && strings.Contains(state.Directory, opts.Instance) {
			assert.NoError(t, os.RemoveAll(state.Directory))
		}
	})
	return opts
}

func ensure(t *testing.T, opts embedded.Options) embedded.Endpoint {
	t.Helper()
	endpoint, err := embedded.Ensure(t.Context(), opts)
	require.NoError(t, err)
	return endpoint
}

func status(t *testing.T, opts embedded.Options) embedded.State {
	t.Helper()
	state, err := embedded.Status(t.Context(), opts)
	require.NoError(t, err)
	return state
}

func buildHelper(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helper")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./testdata/helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

func connect(t *testing.T, endpoint embedded.Endpoint) *dagger.Client {
	t.Helper()
	t.Setenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST", endpoint.Address)
	t.Setenv("_EXPERIMENTAL_DAGGER_CLI_BIN", endpoint.CLI)
	t.Setenv("DO_NOT_TRACK", "1")
	client, err := dagger.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// startClient starts a program that runs a container without end, in a process group of its own.
func startClient(t *testing.T, endpoint embedded.Endpoint, opts embedded.Options) {
	t.Helper()
	helper := buildHelper(t)
	cmd := exec.Command(os.Args[0], clientArgument, helper)
	cmd.Env = append(os.Environ(), "_EXPERIMENTAL_DAGGER_RUNNER_HOST="+endpoint.Address, "_EXPERIMENTAL_DAGGER_CLI_BIN="+endpoint.CLI, "DO_NOT_TRACK=1", "DAGGER_NO_NAG=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	supervisor := status(t, opts).Supervisor
	require.Eventually(t, func() bool {
		for _, p := range hosttest.Family(supervisor) {
			if argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); strings.HasPrefix(string(argv), "/helper\x00wait") {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "the container does not run")
}

// The host is as it was, while the engine runs and after it, with forwarding off to begin with.
func TestEngineLeavesTheHostAlone(t *testing.T) {
	opts := newEngine(t)
	endpoint := ensure(t, opts) // builds, which is not what is measured here
	require.NoError(t, embedded.Stop(t.Context(), opts))
	before := hosttest.State(t)

	endpoint = ensure(t, opts)
	assert.True(t, endpoint.Started)
	client := connect(t, endpoint)
	out, err := client.Container().WithFile("/helper", client.Host().File(buildHelper(t))).WithExec([]string{"/helper", "status"}).Stdout(t.Context())
	require.NoError(t, err)
	assert.Contains(t, out, "Seccomp:\t2")
	client.Close()                             // its session listens for the program
	hosttest.RequireSame(t, before, "cgroups") // one of its own, while it runs

	processes := hosttest.Family(status(t, opts).Supervisor)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	hosttest.RequireGone(t, processes)
	hosttest.RequireSame(t, before)
	assert.Equal(t, embedded.PhaseStopped, status(t, opts).Phase)
}

// E1: whichever process is killed while a container runs, everything goes, nothing stays, and the next call starts anew.
func TestKillAnyProcess(t *testing.T) {
	victims := map[string]func(embedded.State) int{
		"engine":     func(s embedded.State) int { return s.Engine },
		"supervisor": func(s embedded.State) int { return s.Supervisor },
		"network":    func(s embedded.State) int { return s.Network },
	}
	for name, victim := range victims {
		t.Run(name, func(t *testing.T) {
			opts := newEngine(t)
			before := hosttest.State(t)
			endpoint := ensure(t, opts)
			startClient(t, endpoint, opts)
			state := status(t, opts)
			assert.Positive(t, state.Connections)
			processes := hosttest.Family(state.Supervisor)
			require.Greater(t, len(processes), 4, "supervisor, engine, network, dnsmasq, container")

			require.NoError(t, syscall.Kill(victim(state), syscall.SIGKILL))
			hosttest.RequireGone(t, processes)
			next := ensure(t, opts)
			assert.True(t, next.Started)
			require.NoError(t, embedded.Stop(t.Context(), opts))
			hosttest.RequireSame(t, before)
		})
	}
}

// The namespace's first process and the supervisor are also killed before the engine is there.
func TestKillWhileStarting(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	before := hosttest.State(t)
	for _, generation := range []string{"supervisor", "child"} {
		for range 4 { // the moment differs from one to the next
			processes, err := killStarting(t, opts, generation)
			if err != nil { // else the engine was there before the kill, or the child was one with which Go tries out clone
				assert.ErrorContains(t, err, "start the engine", generation)
				hosttest.RequireGone(t, processes)
			}
			require.NoError(t, embedded.Stop(t.Context(), opts))
		}
	}
	assert.True(t, ensure(t, opts).Started)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	hosttest.RequireSame(t, before)
}

// killStarting starts an engine and kills one of its first processes. It returns what was there then, and what Ensure said.
func killStarting(t *testing.T, opts embedded.Options, generation string) (processes []hosttest.Process, err error) {
	t.Helper()
	result := make(chan error, 1)
	go func() { _, err := embedded.Ensure(t.Context(), opts); result <- err }()
	require.Eventually(t, func() bool {
		pid := lockHolder(opts)
		if pid == 0 {
			return false
		}
		processes = hosttest.Family(pid)
		if generation == "supervisor" && len(processes) > 0 {
			return syscall.Kill(pid, syscall.SIGKILL) == nil
		}
		child := slices.IndexFunc(processes, hosttest.Process.InOtherNamespace)
		return child > 0 && syscall.Kill(processes[child].PID, syscall.SIGKILL) == nil
	}, 30*time.Second, time.Millisecond)
	return processes, <-result
}

// lockHolder is the process that the lock file names, if it lives.
func lockHolder(opts embedded.Options) int {
	content, err := os.ReadFile(filepath.Join(opts.Cache, "engine", opts.Instance+"-"+embedded.Version, "supervisor.lock"))
	if err != nil {
		return 0
	}
	var pid int
	var started string
	if _, err := fmt.Sscan(string(content), &pid, &started); err != nil {
		return 0
	}
	if s, ok := hosttest.StatOf(pid); !ok || s.Started != started || s.Zombie {
		return 0
	}
	return pid
}

// E4: ten programs at once, one engine, and it works for each of them.
func TestParallelCallersShareOneEngine(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	endpoints := make([]embedded.Endpoint, 10)
	var wg sync.WaitGroup
	for i := range endpoints {
		wg.Go(func() {
			out, err := exec.Command(os.Args[0], ensureArgument, opts.Cache, opts.Instance).Output()
			if assert.NoError(t, err) {
				assert.NoError(t, json.Unmarshal(out, &endpoints[i]))
			}
		})
	}
	wg.Wait()
	started := 0
	for _, endpoint := range endpoints {
		assert.Equal(t, endpoints[0].Address, endpoint.Address)
		if endpoint.Started {
			started++
		}
	}
	assert.Equal(t, 1, started)
}

func TestJoiningIsFast(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	fastest := time.Hour
	for range 10 {
		begin := time.Now()
		assert.False(t, ensure(t, opts).Started)
		fastest = min(fastest, time.Since(begin))
	}
	assert.Less(t, fastest, 20*time.Millisecond)
	t.Logf("joined in %s", fastest)
}

// E5: what a dead engine left is replaced.
func TestStaleSocketsAndLocksAreReplaced(t *testing.T) {
	opts := newEngine(t)
	dir := status(t, opts).Directory
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sock"), 0o700))
	for _, name := range []string{"engine.sock", "control.sock"} {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "sock", name)})
		require.NoError(t, err)
		listener.SetUnlinkOnClose(false)
		require.NoError(t, listener.Close())
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "supervisor.lock"), fmt.Appendf(nil, "%d 1\n", os.Getpid()), 0o600))
	assert.True(t, ensure(t, opts).Started)
}

// E5: a supervisor that is stopped, not dead, is ended with its engine.
func TestWedgedSupervisorIsReplaced(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	state := status(t, opts)
	processes := hosttest.Family(state.Supervisor)
	require.NoError(t, syscall.Kill(state.Supervisor, syscall.SIGSTOP))
	assert.True(t, ensure(t, opts).Started)
	hosttest.RequireGone(t, processes)
}

// E5: somebody else, of another version, has taken the socket's name. Our engine is ended and started anew; the stranger lives.
func TestStrangerOnTheSocketIsReplaced(t *testing.T) {
	opts := newEngine(t)
	address := strings.TrimPrefix(ensure(t, opts).Address, "unix://")
	processes := hosttest.Family(status(t, opts).Supervisor)
	require.NoError(t, os.Remove(address))
	listener, err := net.Listen("unix", address)
	require.NoError(t, err)
	defer listener.Close()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	stranger := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		version := append([]byte("\x0a\x18github.com/dagger/dagger"), "\x12\x06v0.1.0"...)
		_, _ = w.Write(append([]byte{0, 0, 0, 0, byte(len(version))}, version...))
	})}
	go func() { _ = stranger.Serve(listener) }()
	assert.True(t, ensure(t, opts).Started)
	hosttest.RequireGone(t, processes)
	assert.False(t, ensure(t, opts).Started, "ours answers now")
}

func TestWedgedEngineCanBeStopped(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	state := status(t, opts)
	processes := hosttest.Family(state.Supervisor)
	require.NoError(t, syscall.Kill(state.Engine, syscall.SIGSTOP))
	require.NoError(t, embedded.Stop(t.Context(), opts))
	hosttest.RequireGone(t, processes)
}

// E2: nothing that is not the engine's is ever deleted.
func TestForeignFilesAreRefused(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	sentinel := filepath.Join(status(t, opts).Directory, "state", "root", "photos")
	require.NoError(t, os.WriteFile(sentinel, []byte("dear"), 0o600))
	_, err := embedded.Ensure(t.Context(), opts)
	require.ErrorContains(t, err, "photos")
	_, err = embedded.Prune(t.Context(), opts)
	require.ErrorContains(t, err, "photos")
	assert.FileExists(t, sentinel)
}

// E2: a database that does not open costs the cache, not the run.
func TestCorruptStateStartsClean(t *testing.T) {
	damage := map[string]func([]byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/3] },
		"zeroed":    func(b []byte) []byte { return make([]byte, len(b)) },
		"empty":     func([]byte) []byte { return nil },
	}
	for _, file := range []string{"cache.db", "worker/metadata_v2.db", "worker/containerdmeta.db", "worker/snapshots/metadata.db", "dagql-cache.db"} {
		for kind, hurt := range damage {
			t.Run(filepath.Base(file)+" "+kind, func(t *testing.T) {
				opts := newEngine(t)
				ensure(t, opts)
				require.NoError(t, embedded.Stop(t.Context(), opts))
				path := filepath.Join(status(t, opts).Directory, "state", "root", file)
				content, err := os.ReadFile(path)
				if os.IsNotExist(err) {
					t.Skip("the engine made no such file")
				}
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(path, hurt(content), 0o600))
				endpoint := ensure(t, opts)
				assert.True(t, endpoint.Started)
				assert.Equal(t, kind != "truncated" || file != "dagql-cache.db", endpoint.Reset, "who loses a cache is told")
			})
		}
	}
}

// E2: a database that made the engine crash in the middle of its life would do so again.
func TestCrashedDatabaseIsNotTriedAgain(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	assert.False(t, ensure(t, opts).Reset)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	log, err := os.OpenFile(filepath.Join(status(t, opts).Directory, "engine.log"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = log.WriteString("panic: page 4 already freed\n\ngoroutine 7:\ngo.etcd.io/bbolt.(*freelist).free(0x1)\n")
	require.NoError(t, err)
	require.NoError(t, log.Close())
	var told []string
	opts.Progress = func(text string) { told = append(told, text) }
	assert.True(t, ensure(t, opts).Reset)
	assert.Contains(t, strings.Join(told, "\n"), "cache reset")
	require.NoError(t, embedded.Stop(t.Context(), opts))
	assert.False(t, ensure(t, opts).Reset, "once")
}

func TestIdleEngineStops(t *testing.T) {
	opts := newEngine(t)
	opts.Idle = time.Second
	endpoint := ensure(t, opts)
	conn, err := net.Dial("unix", strings.TrimPrefix(endpoint.Address, "unix://"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return status(t, opts).Connections == 1 }, 5*time.Second, 10*time.Millisecond)
	require.Never(t, func() bool { return status(t, opts).Phase != embedded.PhaseRunning }, 3*time.Second, 100*time.Millisecond)
	processes := hosttest.Family(status(t, opts).Supervisor)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return status(t, opts).Phase == embedded.PhaseStopped }, 20*time.Second, 50*time.Millisecond)
	hosttest.RequireGone(t, processes)
}

// A caller that meets an engine on its way down waits for it and starts another.
func TestCallerDuringStop(t *testing.T) {
	opts := newEngine(t)
	ensure(t, opts)
	stopped := make(chan error, 1)
	go func() { stopped <- embedded.Stop(t.Context(), opts) }()
	require.Eventually(t, func() bool { return status(t, opts).Phase == embedded.PhaseStopping }, 5*time.Second, time.Millisecond)
	quiet := opts
	quiet.Progress = nil
	assert.True(t, ensure(t, quiet).Started)
	require.NoError(t, <-stopped)
}

func TestPrivilegesAreRefused(t *testing.T) {
	opts := newEngine(t)
	client := connect(t, ensure(t, opts))
	_, err := client.Container().WithFile("/helper", client.Host().File(buildHelper(t))).
		WithExec([]string{"/helper", "status"}, dagger.ContainerWithExecOpts{InsecureRootCapabilities: true}).Sync(t.Context())
	require.ErrorContains(t, err, "insecure")
}

func TestPrivilegesForTests(t *testing.T) {
	opts := newEngine(t)
	opts.InsecureRootCapabilities = true
	client := connect(t, ensure(t, opts))
	out, err := client.Container().WithFile("/helper", client.Host().File(buildHelper(t))).
		WithExec([]string{"/helper", "status"}, dagger.ContainerWithExecOpts{InsecureRootCapabilities: true}).Stdout(t.Context())
	require.NoError(t, err)
	assert.Contains(t, out, "Seccomp:\t0")
	plain := opts
	plain.InsecureRootCapabilities = false
	_, err = embedded.Ensure(t.Context(), plain)
	require.ErrorContains(t, err, "security")
}

func TestPrune(t *testing.T) {
	opts := newEngine(t)
	endpoint := ensure(t, opts)
	client := connect(t, endpoint)
	_, err := client.Container().WithFile("/helper", client.Host().File(buildHelper(t))).WithExec([]string{"/helper", "status"}).Sync(t.Context())
	require.NoError(t, err)
	client.Close()
	t.Chdir(t.TempDir()) // where a module lies that cannot be loaded
	require.NoError(t, os.WriteFile("dagger.json", []byte(`{"name": "broken", "sdk": {"source": "go"}, "engineVersion": "`+embedded.Version+`"}`), 0o644))
	_, err = embedded.Prune(t.Context(), opts)
	require.NoError(t, err)
	require.NoError(t, embedded.Stop(t.Context(), opts))
	freed, err := embedded.Prune(t.Context(), opts)
	require.NoError(t, err)
	assert.Positive(t, freed)
	assert.True(t, ensure(t, opts).Started)
}

// The cache's path may be longer than a socket's may be.
func TestLongCachePath(t *testing.T) {
	opts := newEngine(t)
	endpoint := ensure(t, opts)
	long := filepath.Join(t.TempDir(), strings.Repeat("long,path:", 12))
	require.NoError(t, os.MkdirAll(filepath.Join(long, "engine"), 0o755))
	layers := filepath.Dir(filepath.Dir(endpoint.CLI))
	require.NoError(t, os.Symlink(layers, filepath.Join(long, "engine", "layers")))
	opts.Cache = long
	var sockets string // outside of the cache
	t.Cleanup(func() {
		assert.NoError(t, embedded.Stop(context.Background(), opts))
		assert.NoError(t, os.RemoveAll(sockets))
	})
	address := ensure(t, opts).Address
	sockets = filepath.Dir(strings.TrimPrefix(address, "unix://"))
	assert.Less(t, len(address), 108)
}
