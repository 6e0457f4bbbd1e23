package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/proxy/settings"
	"github.com/slipway-ci/slipway/proxy/traffic"
)

type pool struct{}

func (pool) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}
func (pool) CloseIdleConnections() {}

// newAPI is a proxy without clients. Reload fails when the settings name the domain "bad.example.org".
func newAPI(t testing.TB) (a *API, reloads *[]settings.Settings, retired *[]time.Duration) {
	reloads, retired = &[]settings.Settings{}, &[]time.Duration{}
	a = &API{
		Binary: "build", Traffic: traffic.New(func(string) traffic.Pool { return pool{} }), File: settings.File{Path: filepath.Join(t.TempDir(), "state.json")},
		Reload: func(s settings.Settings) error {
			*reloads = append(*reloads, s)
			if len(s.Domains) > 0 && s.Domains[0] == "bad.example.org" {
				return errors.New("this domain is bad")
			}
			return nil
		},
	}
	a.Retire = func(d time.Duration) {
		a.Traffic.Retire()
		*retired = append(*retired, d)
	}
	if err := a.Resume(settings.State{Version: settings.Version, Settings: settings.Settings{}.Normal()}); err != nil {
		t.Fatal(err)
	}
	return a, reloads, retired
}

func ask(t testing.TB, a *API, method, path, body string, change ...func(*http.Request)) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	var result map[string]any
	if w.Header().Get("Content-Type") == "application/json" {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &result), w.Body.String())
	}
	return w.Code, result
}

const split = `{"upstreams":[{"name":"blue","address":"127.0.0.1:20001","weight":90},{"name":"green","address":"127.0.0.1:20002","weight":10}],"domains":[],"tls":"off","cert":"","key":"","health":"/health"}`

func TestPut(t *testing.T) {
	a, reloads, _ := newAPI(t)
	code, got := ask(t, a, "PUT", "/slipway/v1", split)
	require.Equal(t, 200, code, got)
	assert.EqualValues(t, 1, got["version"])
	assert.EqualValues(t, 1, got["sequence"])
	assert.Equal(t, "build", got["binary"])
	assert.Equal(t, "/health", got["config"].(map[string]any)["health"])
	blue := got["upstreams"].([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"name": "blue", "address": "127.0.0.1:20001", "weight": 90.0, "draining": false, "active": 0.0, "requests": 0.0, "errors": 0.0, "cut": 0.0, "p50": "0s", "p99": "0s"}, blue)
	assert.Len(t, *reloads, 1, "a split reloads nothing")

	_, again := ask(t, a, "PUT", "/slipway/v1", split)
	assert.Equal(t, got, again)
	_, told := ask(t, a, "GET", "/slipway/v1", "")
	assert.Equal(t, got, told)
	state, warning := a.File.Load()
	require.NoError(t, warning)
	assert.EqualValues(t, 1, state.Sequence)
	assert.Equal(t, 90, state.Settings.Upstreams[0].Weight)

	code, got = ask(t, a, "PUT", "/slipway/v1", `{"upstreams":[]}`)
	require.Equal(t, 200, code)
	assert.Empty(t, got["upstreams"])
	_, ok := a.Traffic.Begin()
	assert.False(t, ok)
}

// A proxy that starts has its split before it listens: its sockets have clients already.
func TestResume(t *testing.T) {
	a, _, _ := newAPI(t)
	reload := a.Reload
	a.Reload = func(s settings.Settings) error {
		_, ok := a.Traffic.Begin()
		assert.True(t, ok)
		return reload(s)
	}
	require.NoError(t, a.Resume(settings.State{Version: settings.Version, Sequence: 7, Settings: settings.Settings{Upstreams: []settings.Upstream{{Name: "blue", Address: "127.0.0.1:1", Weight: 100}}}.Normal()}))
	_, got := ask(t, a, "GET", "/slipway/v1", "")
	assert.EqualValues(t, 7, got["sequence"])
}

func TestPutThatIsRefusedChangesNothing(t *testing.T) {
	a, reloads, retired := newAPI(t)
	ask(t, a, "PUT", "/slipway/v1", split)
	_, before := ask(t, a, "GET", "/slipway/v1", "")
	unchanged := func() {
		t.Helper()
		_, after := ask(t, a, "GET", "/slipway/v1", "")
		assert.Equal(t, before, after)
		state, warning := a.File.Load()
		require.NoError(t, warning)
		assert.EqualValues(t, 1, state.Sequence)
		assert.Equal(t, 90, a.Traffic.Weight("blue"))
	}
	for want, body := range map[string]string{
		"400 read the request: unexpected EOF":                              `{"upstreams"`,
		`400 read the request: json: unknown field "x"`:                     `{"x":1}`,
		"400 read the request: there is more than one value":                `{} {}`,
		"400 read the request: http: request body too large":                `{"health":"` + strings.Repeat("x", maxBody) + `"}`,
		"422 the weights add up to 90: they are percent, and add up to 100": `{"upstreams":[{"name":"blue","address":"127.0.0.1:1","weight":90}]}`,
		"422 this domain is bad":                                            strings.Replace(split, `"domains":[]`, `"domains":["bad.example.org"]`, 1),
	} {
		code, got := ask(t, a, "PUT", "/slipway/v1", body)
		assert.Equal(t, want, strconv.Itoa(code)+" "+got["error"].(string))
		unchanged()
	}
	assert.Empty(t, (*reloads)[len(*reloads)-1].Domains, "it serves as before")

	require.NoError(t, os.Mkdir(a.File.Path+".next", 0o700)) // as a full disk would
	code, _ := ask(t, a, "PUT", "/slipway/v1", strings.Replace(strings.Replace(split, "90", "50", 1), `"weight":10`, `"weight":50`, 1))
	assert.Equal(t, 500, code)
	unchanged()

	require.NoError(t, os.Remove(a.File.Path+".next"))
	code, _ = ask(t, a, "POST", "/slipway/v1/retire", `{"timeout":"30s"}`)
	assert.Equal(t, 200, code)
	assert.Equal(t, []time.Duration{30 * time.Second}, *retired)
	code, _ = ask(t, a, "PUT", "/slipway/v1", `{}`)
	assert.Equal(t, 409, code, "a proxy that leaves would write over what its successor keeps")
}

func TestDrain(t *testing.T) {
	a, _, _ := newAPI(t)
	ask(t, a, "PUT", "/slipway/v1", split)
	code, got := ask(t, a, "POST", "/slipway/v1/drain", `{"name":"blue","timeout":"1ms"}`)
	assert.Equal(t, 409, code)
	assert.Equal(t, `"blue" has 90 % of the requests: take them away first`, got["error"])

	x, ok := a.Traffic.Begin()
	require.True(t, ok)
	name := x.Upstream().Name
	ask(t, a, "PUT", "/slipway/v1", `{"upstreams":[{"name":"new","address":"127.0.0.1:3","weight":100}]}`)
	code, got = ask(t, a, "POST", "/slipway/v1/drain", `{"name":"`+name+`","timeout":"1ms"}`)
	assert.Equal(t, 200, code)
	assert.Equal(t, map[string]any{"active": 0.0, "cut": 1.0}, got)
	_, got = ask(t, a, "POST", "/slipway/v1/drain", `{"name":"never-seen","timeout":"10s"}`)
	assert.Equal(t, map[string]any{"active": 0.0, "cut": 0.0}, got)
	for _, timeout := range []string{`"-1s"`, `"2h"`, `"x"`, `10`} {
		code, _ = ask(t, a, "POST", "/slipway/v1/drain", `{"name":"blue","timeout":`+timeout+`}`)
		assert.Equal(t, 400, code, timeout)
	}
}

func TestWhoMayAsk(t *testing.T) {
	a, _, _ := newAPI(t)
	for name, change := range map[string]func(*http.Request){
		"a page in a browser": func(r *http.Request) { r.Header.Set("Origin", "https://example.org") },
		"another name":        func(r *http.Request) { r.Host = "example.org" },
		"no name":             func(r *http.Request) { r.Host = "" },
	} {
		code, _ := ask(t, a, "GET", "/slipway/v1", "", change)
		assert.Equal(t, 403, code, name)
	}
	code, _ := ask(t, a, "DELETE", "/slipway/v1", "")
	assert.Equal(t, 405, code)
	code, _ = ask(t, a, "GET", "/config/", "")
	assert.Equal(t, 404, code, "nothing of Caddy's own is here")
}

// A private key that was told is not told again.
func TestKeysStay(t *testing.T) {
	a, _, _ := newAPI(t)
	a.state.Settings.Key = "-----BEGIN PRIVATE KEY-----\nhunter2"
	_, got := ask(t, a, "GET", "/slipway/v1", "")
	text, err := json.Marshal(got)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "hunter2")
}

func serve(t *testing.T, a *API) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "c")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	path = filepath.Join(dir, "proxy-a.sock")
	listener, err := Listen(path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return path
}

func TestSocketIsForItsOwnerAndRoot(t *testing.T) {
	a, _, _ := newAPI(t)
	path := serve(t, a)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, Publish(path, filepath.Join(filepath.Dir(path), "proxy.sock")))
	require.NoError(t, Publish(path, filepath.Join(filepath.Dir(path), "proxy.sock")), "again")
	answer, err := over(filepath.Join(filepath.Dir(path), "proxy.sock"), "GET /slipway/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	assert.Contains(t, answer, "200 OK")
	second, err := Listen(path)
	require.NoError(t, err, "one that was left behind is replaced")
	second.Close()
}

// Even where the file's mode would let others in, they are asked who they are.
func TestOtherUsersAreTurnedAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it becomes another user, which needs root")
	}
	a, _, _ := newAPI(t)
	path := serve(t, a)
	require.NoError(t, os.Chmod(path, 0o777))
	done := make(chan error, 1)
	go func() {
		// This thread ends with the goroutine, because it is locked: its user is its own.
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			done <- errno
			return
		}
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		}
		if err == nil {
			_, _ = syscall.Write(fd, []byte("GET /slipway/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
			buffer := make([]byte, 100)
			if n, _ := syscall.Read(fd, buffer); n > 0 {
				err = errors.New("was answered: " + string(buffer[:n]))
			}
			syscall.Close(fd)
		}
		done <- err
	}()
	require.NoError(t, <-done)
	answer, err := over(path, "GET /slipway/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	assert.Contains(t, answer, "200 OK", "its own user still gets in")
}

func over(path, text string) (string, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// FuzzControl: whatever is sent, nothing panics, and what is kept is always something that can be served.
func FuzzControl(f *testing.F) {
	f.Add("PUT", "/slipway/v1", []byte(split))
	f.Add("PUT", "/slipway/v1", []byte(`{"upstreams":[{"name":"a","address":"[::1]:1","weight":100}],"tls":"auto","domains":["a.org"]}`))
	f.Add("POST", "/slipway/v1/drain", []byte(`{"name":"blue","timeout":"1ns"}`))
	f.Add("POST", "/slipway/v1/retire", []byte(`{"timeout":"0s"}`))
	f.Add("GET", "/slipway/v1", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		r, err := http.NewRequest(method, "http://127.0.0.1/", bytes.NewReader(body))
		if err != nil || bytes.Contains(body, []byte("timeout")) && !bytes.Contains(body, []byte(`"1ns"`)) {
			return // it would wait
		}
		r.URL.Path, r.RequestURI = path, path
		a, _, _ := newAPI(t)
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		require.Less(t, w.Code, 500)
		state, warning := a.File.Load()
		require.NoError(t, warning)
		require.NoError(t, state.Settings.Check())
		total := 0
		for _, figures := range a.Traffic.Figures() {
			total += figures.Weight
		}
		require.Contains(t, []int{0, 100}, total)
	})
}
