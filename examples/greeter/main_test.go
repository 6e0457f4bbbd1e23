package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func noEnvironment(string) string { return "" }

// call runs the program to its end.
func call(t *testing.T, getenv func(string) string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), nil, args, getenv, &out, &err)
	return code, out.String(), err.String()
}

func TestVersion(t *testing.T) {
	code, stdout, stderr := call(t, noEnvironment, "--version")
	assert.Equal(t, 0, code)
	assert.Equal(t, "greeter dev (commit none, built unknown, "+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH+")\n", stdout)
	assert.Empty(t, stderr)
}

func TestHelp(t *testing.T) {
	code, stdout, stderr := call(t, noEnvironment, "--help")
	assert.Equal(t, 0, code)
	assert.Contains(t, stdout, "--addr")
	assert.Contains(t, stdout, "GREETER_ADDR")
	assert.Empty(t, stderr)
}

func TestConfigurationThatIsNotValid(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"GREETER_GRACE": "soon"}[name] }
	code, stdout, stderr := call(t, getenv, "--log-format=xml")
	assert.Equal(t, 2, code)
	assert.Empty(t, stdout)
	assert.Equal(t, `greeter: the configuration is not valid
--log-format: "xml" is not one of json, text
GREETER_GRACE: "soon" is not a duration such as 500ms, 8s or 1m
see greeter --help
`, stderr)
}

func TestAddressInUse(t *testing.T) {
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	code, _, stderr := call(t, noEnvironment, "--log-format=text", "--addr", taken.Listener.Addr().String())
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "listen tcp "+taken.Listener.Addr().String())
}

// The whole program: it starts, finds its dependency broken, and ends when asked.
func TestServeUntilAsked(t *testing.T) {
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	stop := make(chan struct{})
	logs, logged := io.Pipe()
	defer logged.Close()
	ended := make(chan int, 1)
	go func() {
		args := []string{"--addr=127.0.0.1:0", "--greeting=Moin", "--upstream", upstream.URL}
		ended <- run(context.Background(), stop, args, noEnvironment, io.Discard, logged)
	}()
	lines := bufio.NewScanner(logs)
	address := "http://" + listening(t, lines)
	go drain(lines)

	code, body := get(t, address+"/hello?name=Ada")
	assert.Equal(t, http.StatusOK, code)
	assert.Equal(t, "Moin, Ada!\n", body)
	code, body = get(t, address+"/health")
	assert.Equal(t, http.StatusServiceUnavailable, code)
	assert.Contains(t, body, `"upstream":{"status":"failing","error":"answered 404 Not Found"`)

	close(stop)
	assert.Equal(t, 0, <-ended)
}

// listening reads the log up to the line that names the address.
func listening(t *testing.T, log *bufio.Scanner) string {
	t.Helper()
	for log.Scan() {
		var line struct{ Msg, Addr string }
		require.NoError(t, json.Unmarshal(log.Bytes(), &line))
		if line.Msg == "listening" {
			return line.Addr
		}
	}
	require.FailNow(t, "the log ended before the server listened")
	return ""
}

func drain(log *bufio.Scanner) {
	for log.Scan() {
	}
}

func get(t *testing.T, address string) (code int, body string) {
	t.Helper()
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(data)
}
