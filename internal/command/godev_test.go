package command_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// serveGo is go.dev for TestFixOfTheDoctorThatDownloadsGo, a process in its network: it writes the certificate of its authority into a file, and serves
// the go command and what it needs to say its version.
func serveGo() {
	if err := serveGoAt("127.0.0.1:443", os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveGoAt(address, authority, gocmd string) error {
	packed, err := packGo(filepath.Dir(filepath.Dir(gocmd))) // now: what hides /usr/local may hide it too
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "go.dev"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"go.dev"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	server := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/dl/go1.") || !strings.HasSuffix(r.URL.Path, ".linux-"+runtime.GOARCH+".tar.gz") {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(packed) // tar will complain
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return server.ServeTLS(listener, "", "")
}

// packGo packs what "go env" and "go version" need of a Go.
func packGo(root string) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	archive := tar.NewWriter(z)
	if err := archive.WriteHeader(&tar.Header{Name: "go/pkg/tool/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil { // by which a GOROOT is known
		return nil, err
	}
	for _, name := range []string{"bin/go", "VERSION", "go.env"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		if err := archive.WriteHeader(&tar.Header{Name: "go/" + name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			return nil, err
		}
		if _, err := archive.Write(content); err != nil {
			return nil, err
		}
	}
	err := errors.Join(archive.Close(), z.Close())
	return packed.Bytes(), err
}
