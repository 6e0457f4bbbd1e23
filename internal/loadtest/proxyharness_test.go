package loadtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/machinetest"
)

// patience is how long things may take on a machine that has much else to do.
const patience = time.Minute

// tick is how often something is looked at that is waited for.
const tick = 100 * time.Millisecond

// raced and plain are the proxy, built once with the race detector and once as it is on hosts.
var (
	raced = sync.OnceValues(func() (string, error) { return buildProxy("-race") })
	plain = sync.OnceValues(func() (string, error) { return buildProxy("-trimpath", "-ldflags=-s -w") })
)

func buildProxy(flags ...string) (string, error) {
	file := filepath.Join(scratch(), "slipway-proxy"+flags[0])
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", file, ".")...)
	cmd.Dir = filepath.Join("..", "..", "proxy")
	if flags[0] != "-race" {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the proxy: %w: %s", err, out)
	}
	return file, nil
}

// scratch is where the programs are. The engine's processes are copies of this program, and come here too: they make nothing.
func scratch() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("slipway-proxy-%d", os.Getpid()))
}

func TestMain(m *testing.M) {
	code := machinetest.Main(m)
	os.RemoveAll(scratch())
	os.Exit(code)
}

// site is what systemd is in production: it holds the sockets, and starts proxies on them.
type site struct {
	t           *testing.T
	listeners   []*net.TCPListener
	program     func() (string, error)
	state, run  string
	environment []string
	args        []string
}

// newSite listens on as many sockets.
func newSite(t *testing.T, count int) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds Caddy: run without -short")
	}
	dir := t.TempDir()
	s := &site{t: t, program: raced, state: filepath.Join(dir, "state"), run: filepath.Join(dir, "run")}
	require.NoError(t, os.Mkdir(s.state, 0o700))
	require.NoError(t, os.Mkdir(s.run, 0o755))
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { listener.Close() })
		s.listeners = append(s.listeners, listener.(*net.TCPListener))
	}
	return s
}

func (s *site) address(socket int) string { return s.listeners[socket].Addr().String() }
func (s *site) url(path string) string    { return "http://" + s.address(0) + path }

// process is one proxy.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	socket string
	log    *lockedBuffer
	done   chan struct{}
	err    error // after done
}

// lockedBuffer is written by a process and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a proxy as systemd does, and waits until it says that it is ready.
func (s *site) start(instance string) *process {
	s.t.Helper()
	p, ready := s.launch(instance)
	select {
	case state := <-ready:
		require.Equal(s.t, "READY=1", state)
	case <-p.done:
		require.FailNow(s.t, "the proxy ended", "%v\n%s", p.err, p.log)
	case <-time.After(patience):
		require.FailNow(s.t, "the proxy does not get ready", "%s", p.log)
	}
	return p
}

func (s *site) launch(instance string) (*process, <-chan string) {
	s.t.Helper()
	file, err := s.program()
	require.NoError(s.t, err)
	notify, ready := s.notifySocket()
	args := append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, file, "-instance", instance, "-state", s.state, "-run", s.run}, s.args...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = append(append(os.Environ(), "LISTEN_FDS="+strconv.Itoa(len(s.listeners)), "NOTIFY_SOCKET="+notify, "GORACE=halt_on_error=1"), s.environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, l := range s.listeners {
		file, err := l.File()
		require.NoError(s.t, err)
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	p := &process{t: s.t, cmd: cmd, socket: filepath.Join(s.run, "proxy-"+instance+".sock"), log: &lockedBuffer{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	require.NoError(s.t, cmd.Start())
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
		if s.t.Failed() {
			s.t.Logf("proxy %s:\n%s", instance, p.log)
		}
		assert.NotContains(s.t, p.log.String(), "DATA RACE")
	})
	return p, ready
}

// notifySocket is where a process tells how it is.
func (s *site) notifySocket() (string, <-chan string) {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "n") // paths of sockets are short
	require.NoError(s.t, err)
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "n")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	states := make(chan string, 100)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			states <- string(buffer[:n])
		}
	}()
	return path, states
}

// ends waits for the end of the process.
func (p *process) ends() error {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		require.FailNow(p.t, "the proxy does not end", "%s", p.log)
	}
	return p.err
}

// call asks a control socket.
func call(t *testing.T, socket, method, path string, body any) (int, map[string]any) {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, bytes.NewReader(data))
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var result map[string]any
	require.NoError(t, json.NewDecoder(response.Body).Decode(&result))
	return response.StatusCode, result
}

// control asks the newest proxy, and it must agree.
func (s *site) control(method, path string, body any) map[string]any {
	s.t.Helper()
	code, result := call(s.t, filepath.Join(s.run, "proxy.sock"), method, path, body)
	require.Equal(s.t, http.StatusOK, code, "%v", result)
	return result
}

// split gives the requests to instances, by percent.
func (s *site) split(weights map[*instance]int) map[string]any {
	s.t.Helper()
	list := []any{}
	for i, weight := range weights {
		list = append(list, map[string]any{"name": i.name, "address": i.address(), "weight": weight})
	}
	return s.control("PUT", "/slipway/v1", map[string]any{"upstreams": list, "tls": "off"})
}

// figures are what the proxy says of an instance.
func (s *site) figures(i *instance) map[string]any {
	s.t.Helper()
	for _, u := range s.control("GET", "/slipway/v1", nil)["upstreams"].([]any) {
		if u := u.(map[string]any); u["name"] == i.name && u["address"] == i.address() {
			return u
		}
	}
	return nil
}

// instance is one copy of a service.
type instance struct {
	name   string
	server *httptest.Server
}

// newInstance answers with its name, and what else a handler does for some paths.
func newInstance(t *testing.T, name string, more map[string]http.HandlerFunc) *instance {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "%s %s %d", name, r.Method, len(body))
	})
	for path, handler := range more {
		mux.HandleFunc(path, handler)
	}
	i := &instance{name: name, server: httptest.NewServer(mux)}
	t.Cleanup(i.server.Close)
	return i
}

func (i *instance) address() string { return strings.TrimPrefix(i.server.URL, "http://") }

// get asks the proxy as a client that keeps no connection.
func get(t *testing.T, url string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	require.NoError(t, err)
	for _, c := range change {
		c(request)
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}
