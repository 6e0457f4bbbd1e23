package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secureServer is a registry with a certificate for a name and a time, and the
// file that holds its authority.
func secureServer(t *testing.T, name string, until time.Time) (address, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(registry.New(registry.Logger(discard())))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = discard()
	server.StartTLS()
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "https://"), ":")
	return "localhost:" + port, authority
}

// R5: who is not who it says is refused at once, and nothing is tried in its
// place.
func TestCertificates(t *testing.T) {
	next := time.Now().Add(time.Hour)
	good, authority := secureServer(t, "localhost", next)
	named, namedAuthority := secureServer(t, "other.example.org", next)
	expired, expiredAuthority := secureServer(t, "localhost", time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		host  string
		hosts map[string]Host
		want  string
	}{
		"unknown authority":         {good, nil, "of an authority that is not known here: put the certificate of its authority into a file"},
		"known for another host":    {good, map[string]Host{"example.org": {CAFile: authority}}, "of an authority that is not known here"},
		"another name":              {named, map[string]Host{named: {CAFile: namedAuthority}}, "is for another name"},
		"expired":                   {expired, map[string]Host{expired: {CAFile: expiredAuthority}}, "has expired or is not valid yet"},
		"named, with its authority": {good, map[string]Host{good: {CAFile: authority}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := New(Options{Hosts: c.hosts, OnRetry: func(r Retry) { t.Error(r) }})
			require.NoError(t, err)
			defer client.Close()
			_, err = client.Push(t.Context(), Request{Repository: c.host + "/app", Root: imageOf(t, 1, 10, 1), Tags: []Tag{{"a", true}}})
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			refused := isType[*HostError](t, err)
			assert.Equal(t, c.host, refused.Registry)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// R5: plain HTTP is for hosts that are named for it, and then nothing else is.
func TestPlainHTTP(t *testing.T) {
	var requests atomic.Int64
	backend := registry.New(registry.Logger(discard()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		backend.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = discard()
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	push := func(hosts map[string]Host) error {
		client, err := New(Options{Hosts: hosts, OnRetry: func(r Retry) { t.Error(r) }})
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Push(t.Context(), Request{Repository: address + "/app", Root: imageOf(t, 1, 10, 1)})
		return err
	}
	err := push(map[string]Host{"example.org": {PlainHTTP: true}})
	refused := isType[*HostError](t, err)
	assert.Equal(t, address, refused.Registry)
	assert.ErrorContains(t, err, "it speaks no TLS: have it speak TLS; if you mean it, name the host for plain HTTP")
	assert.Zero(t, requests.Load(), "not even for 127.0.0.1")

	require.NoError(t, push(map[string]Host{address: {PlainHTTP: true}}))
	assert.NotZero(t, requests.Load())
}

// R5: a registry over TLS that sends us to plain HTTP.
func TestDowngrade(t *testing.T) {
	for name, fault := range map[string]func(out http.ResponseWriter, r *http.Request) bool{
		"an upload": func(out http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			out.Header().Set("Location", "http://www."+host+"/v2/team/app/blobs/uploads/1")
			out.WriteHeader(http.StatusAccepted)
			return true
		},
		"a redirect": func(out http.ResponseWriter, r *http.Request) bool {
			http.Redirect(out, r, "http://"+host+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fault = fault
			_, err := w.client(Options{OnRetry: func(r Retry) { t.Error(r) }}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 10, 1)})
			isType[*HostError](t, err)
			assert.ErrorContains(t, err, "sends us to plain HTTP")
		})
	}
}

// A registry that does not know of the TLS before it names itself without: what
// we send still goes over TLS.
func TestUploadThatNamesItselfWithoutTLS(t *testing.T) {
	w := newWorld(t)
	w.fault = func(out http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			out.Header().Set("Location", "http://"+host+"/v2/team/app/blobs/uploads/"+r.RemoteAddr)
			out.WriteHeader(http.StatusAccepted)
			return true
		}
		assert.NotNil(t, r.TLS)
		return false
	}
	_, err := w.client(Options{Jobs: 1}).Push(t.Context(), Request{Repository: repository, Root: imageOf(t, 1, 10, 1)})
	assert.NoError(t, err)
}

// A name that no server knows is not waited for.
func TestNoSuchHost(t *testing.T) {
	client, err := New(Options{OnRetry: func(r Retry) { t.Error(r) }})
	require.NoError(t, err)
	_, err = client.Push(t.Context(), Request{Repository: "registry.invalid/team/app", Root: imageOf(t, 1, 10, 1)})
	assert.ErrorContains(t, err, "registry.invalid")
}
