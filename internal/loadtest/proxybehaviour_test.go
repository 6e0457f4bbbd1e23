package loadtest_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upgraded speaks a protocol of its own after an upgrade, as WebSockets do: it says everything back.
func upgraded(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// events sends one event at once, and no end.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: hello\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// talk opens a connection that speaks after an upgrade, and says something on it.
func (s *site) talk() (conn net.Conn, say func() error) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address(0))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	require.NoError(s.t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusSwitchingProtocols, response.StatusCode)
	return conn, func() error {
		require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			return err
		}
		line, err := reader.ReadString('\n')
		if err == nil && line != "hello\n" {
			return fmt.Errorf("said %q", line)
		}
		return err
	}
}

// Streams outlive a switch. A drain waits for them, cuts them when its time is over and not before, and says how many.
func TestStreamsAreDrained(t *testing.T) {
	s := newSite(t, 1)
	s.start("a")
	more := map[string]http.HandlerFunc{"/talk": upgraded, "/events": events}
	blue, green := newInstance(t, "blue", more), newInstance(t, "green", more)
	s.split(map[*instance]int{blue: 100})
	_, say := s.talk()
	require.NoError(t, say())
	response, err := http.Get(s.url("/events"))
	require.NoError(t, err)
	defer response.Body.Close()
	stream := bufio.NewReader(response.Body)
	line, err := stream.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "data: hello\n", line)

	s.split(map[*instance]int{green: 100})
	require.NoError(t, say(), "a switch cuts nothing")
	assert.EqualValues(t, 2, s.figures(blue)["active"], "both are in flight")
	code, answer := call(t, s.run+"/proxy.sock", "POST", "/slipway/v1/drain", map[string]any{"name": "green", "timeout": "1s"})
	assert.Equal(t, 409, code, answer)
	began := time.Now()
	assert.Equal(t, map[string]any{"active": 0.0, "cut": 2.0}, s.control("POST", "/slipway/v1/drain", map[string]any{"name": "blue", "timeout": "1s"}))
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
	assert.Error(t, say(), "it was cut")
	_, err = io.ReadAll(stream)
	assert.Error(t, err, "and so was the other, in a way that a client notices")

	_, say = s.talk()
	require.NoError(t, say())
	assert.EqualValues(t, 1, s.figures(green)["active"])
	assert.EqualValues(t, 0, s.figures(green)["errors"])
}

// A proxy that retires keeps its streams until its time is over.
func TestStreamsOutliveTheirProxy(t *testing.T) {
	s := newSite(t, 1)
	first := s.start("a")
	s.split(map[*instance]int{newInstance(t, "blue", map[string]http.HandlerFunc{"/talk": upgraded}): 100})
	conn, say := s.talk()
	s.start("b")
	code, answer := call(t, first.socket, "POST", "/slipway/v1/retire", map[string]any{"timeout": "30s"})
	require.Equal(t, 200, code)
	assert.EqualValues(t, 1, answer["active"])
	require.NoError(t, say())
	code, _ = call(t, first.socket, "PUT", "/slipway/v1", map[string]any{"upstreams": []any{}})
	assert.Equal(t, 409, code, "its successor is told")
	require.NoError(t, conn.Close())
	require.NoError(t, first.ends(), "it ends when the last stream does")
}

// A successor that does not live leaves the socket to the one before.
func TestTheNameComesBack(t *testing.T) {
	s := newSite(t, 1)
	s.start("a")
	blue := newInstance(t, "blue", nil)
	s.split(map[*instance]int{blue: 100})
	second := s.start("b")
	require.NoError(t, second.cmd.Process.Kill())
	require.Error(t, second.ends())
	name := filepath.Join(s.run, "proxy.sock")
	require.Eventually(t, func() bool {
		to, err := os.Readlink(name)
		return err == nil && to == "proxy-a.sock"
	}, patience, 50*time.Millisecond)
	assert.EqualValues(t, 100, s.figures(blue)["weight"])
}

// What was not sent, or may be sent twice, goes to the other instance. What may have been done already does not.
func TestRetries(t *testing.T) {
	s := newSite(t, 1)
	s.start("a")
	var posts atomic.Int64
	reset := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}
	blue, green := newInstance(t, "blue", map[string]http.HandlerFunc{"/reset": reset}), newInstance(t, "green", nil)
	green.server.Config.Handler.(*http.ServeMux).HandleFunc("/reset", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts.Add(1)
		}
		_, _ = io.WriteString(w, "green")
	})
	s.split(map[*instance]int{blue: 50, green: 50})
	for range 10 {
		response, body := get(t, s.url("/reset"))
		assert.Equal(t, http.StatusOK, response.StatusCode)
		assert.Equal(t, "green", body)
	}
	assert.EqualValues(t, 5, s.figures(blue)["errors"], "they are counted all the same, and take no turns of others")
	assert.Contains(t, s.figures(blue)["lastError"], "reset")
	statuses := map[int]int{}
	for range 10 {
		response, err := http.Post(s.url("/reset"), "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		response.Body.Close()
		statuses[response.StatusCode]++
	}
	assert.Equal(t, map[int]int{200: 5, 502: 5}, statuses)
	assert.EqualValues(t, 10, posts.Load(), "none was sent twice")

	blue.server.Close() // from now on nothing is sent to it at all
	for range 10 {
		response, err := http.Post(s.url("/reset"), "text/plain", strings.NewReader("hello"))
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, http.StatusOK, response.StatusCode)
	}
	assert.EqualValues(t, 20, posts.Load())
}

// The instance learns who asked from the proxy, and not from who asked.
func TestHeadersAndLimits(t *testing.T) {
	s := newSite(t, 1)
	s.args = []string{"-max-body", "1000"}
	s.start("a")
	got := make(chan http.Header, 10)
	blue := newInstance(t, "blue", map[string]http.HandlerFunc{"/headers": func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }})
	s.split(map[*instance]int{blue: 100})
	get(t, s.url("/headers"), func(r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-IP", "Forwarded", "True-Client-IP"} {
			r.Header.Set(name, "for=6.6.6.6")
		}
		r.Header.Set("Connection", "X-Forwarded-For") // a way to make proxies drop what they set
		r.Host = "www.example.org"
	})
	header := <-got
	assert.Equal(t, "127.0.0.1", header.Get("X-Forwarded-For"))
	assert.Equal(t, "www.example.org", header.Get("X-Forwarded-Host"))
	assert.Equal(t, "http", header.Get("X-Forwarded-Proto"))
	for name, values := range header {
		assert.NotContains(t, strings.Join(values, ","), "6.6.6.6", name)
	}

	assert.Contains(t, s.raw("GET / HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 64<<10)+"\r\n\r\n"), "HTTP/1.1 431")
	for _, length := range []int64{1001, -1} { // announced, or found out
		request, err := http.NewRequest("POST", s.url("/"), strings.NewReader(strings.Repeat("x", 1001)))
		require.NoError(t, err)
		request.ContentLength = length
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	}
	assert.EqualValues(t, 0, s.figures(blue)["active"])
}

// raw sends a text, and returns what comes until the connection ends.
func (s *site) raw(text string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address(0))
	require.NoError(s.t, err)
	defer conn.Close()
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(patience)))
	go func() { _, _ = io.WriteString(conn, text) }() // what is refused is not read to its end
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// Whatever is made of lengths and encodings, an instance never sees a request that the proxy did not.
func TestNoRequestIsSmuggled(t *testing.T) {
	s := newSite(t, 1)
	s.start("a")
	var smuggled atomic.Int64
	s.split(map[*instance]int{newInstance(t, "blue", map[string]http.HandlerFunc{"/smuggled": func(http.ResponseWriter, *http.Request) { smuggled.Add(1) }}): 100})
	const inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
	for name, head := range map[string]string{
		"CL.TE":                  fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", 5+len(inner), inner),
		"TE.CL":                  "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk,
		"two lengths":            "Content-Length: 0\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"list of lengths":        fmt.Sprintf("Content-Length: 0, %d\r\n\r\n%s", len(inner), inner),
		"length with a sign":     fmt.Sprintf("Content-Length: +%d\r\n\r\n%s", len(inner), inner),
		"unknown encoding":       "Transfer-Encoding: xchunked\r\n\r\n" + chunk,
		"space before colon":     fmt.Sprintf("Content-Length : %d\r\n\r\n%s", len(inner), inner),
		"encoding with tab":      "Transfer-Encoding:\tchunked\r\n\r\n" + chunk,
		"encoding in two":        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk,
		"folded":                 "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"bare line feeds":        fmt.Sprintf("X: a\nContent-Length: %d\n\n%s", len(inner), inner),
		"carriage return inside": fmt.Sprintf("X: a\rContent-Length: %d\r\n\r\n", len(inner)),
		"NUL":                    "X: a\x00\r\nContent-Length: " + fmt.Sprint(len(inner)) + "\r\n\r\n" + inner,
		"chunk extension":        fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x;\n%s\r\n%s\r\n0\r\n\r\n", len(inner), "xx", inner),
	} {
		answer := s.raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head)
		assert.Regexp(t, "^HTTP/1.1 (200|4..|501) ", answer, name)
		_, _ = get(t, s.url("/")) // what was left on a connection to the instance would come now
		assert.Zero(t, smuggled.Load(), name)
	}
}

// certificate is one that signs itself.
func certificate(t *testing.T, name string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), pool
}

// over asks a socket for a name, wherever the name leads.
func (s *site) over(socket int, url string, roots *x509.CertPool) (*http.Response, error) {
	s.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.address(socket))
		}}
	request, err := http.NewRequestWithContext(s.t.Context(), "GET", url, nil)
	require.NoError(s.t, err)
	response, err := transport.RoundTrip(request)
	if err == nil {
		s.t.Cleanup(func() { response.Body.Close() })
	}
	return response, err
}

// With a certificate one socket speaks TLS, and the other sends there.
func TestTLSFromFiles(t *testing.T) {
	s := newSite(t, 2)
	_, plainPort, err := net.SplitHostPort(s.address(0))
	require.NoError(t, err)
	_, securePort, err := net.SplitHostPort(s.address(1))
	require.NoError(t, err)
	cert, key, roots := certificate(t, "www.example.org")
	credentials := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "tls-cert"), []byte(cert), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "tls-key"), []byte(key), 0o600))
	s.args = []string{"-plain", plainPort}
	s.environment = []string{"CREDENTIALS_DIRECTORY=" + credentials}
	s.start("a")
	blue := newInstance(t, "blue", nil)
	upstreams := []any{map[string]any{"name": "blue", "address": blue.address(), "weight": 100}}
	s.control("PUT", "/slipway/v1", map[string]any{"upstreams": upstreams})
	response, err := s.over(1, "http://www.example.org/", nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode, "without TLS both sockets speak plain HTTP")

	for _, form := range []map[string]any{{"cert": "/etc/for/root/alone.pem", "key": "/etc/for/root/alone.key"}, {"cert": cert, "key": key}} {
		told := map[string]any{"upstreams": upstreams, "tls": "files", "cert": form["cert"], "key": form["key"], "domains": []string{"www.example.org"}}
		s.control("PUT", "/slipway/v1", told)
		response, err = s.over(1, "https://www.example.org/", roots)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		assert.Equal(t, "blue GET 0", string(body))
		assert.Equal(t, 2, response.ProtoMajor)
		response, err = s.over(0, "http://www.example.org/a?b=c", nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusPermanentRedirect, response.StatusCode)
		assert.Equal(t, "https://www.example.org:"+securePort+"/a?b=c", response.Header.Get("Location"))
		response, err = s.over(0, "http://other.example.org/", nil)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, response.StatusCode, "who asks on this machine may")
	}
	code, answer := call(t, s.run+"/proxy.sock", "PUT", "/slipway/v1", map[string]any{"upstreams": upstreams, "tls": "files", "cert": cert, "key": "-----BEGIN PRIVATE KEY-----\nnone", "domains": []string{"www.example.org"}})
	assert.Equal(t, 422, code, answer)
	response, err = s.over(1, "https://www.example.org/", roots)
	require.NoError(t, err, "what was refused changed nothing")
	assert.Equal(t, http.StatusOK, response.StatusCode)
}

// A proxy without sockets says who gives them.
func TestWithoutSystemd(t *testing.T) {
	s := newSite(t, 0)
	p, _ := s.launch("a")
	assert.Error(t, p.ends())
	assert.Contains(t, p.log.String(), "systemd starts this program")
}

// systemd hears that the proxy is well, again and again.
func TestWatchdog(t *testing.T) {
	s := newSite(t, 1)
	s.environment = []string{"WATCHDOG_USEC=300000"}
	_, states := s.launch("a")
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		select {
		case got := <-states:
			assert.Equal(t, want, got)
		case <-time.After(patience):
			require.FailNow(t, "nothing is heard", want)
		}
	}
}
