package runtimebase

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	rootsPath = "/etc/ssl/certs/ca-certificates.crt"

	// rootsVersion is that of golang.org/x/crypto/x509roots/fallback in go.mod; a
	// test holds the two together. The newest ones need a newer Go line than ours.
	rootsVersion = "v0.0.0-20260413170323-a8e9237a216b"
)

// Roots are the certificate authorities that programs trust.
type Roots struct {
	PEM   []byte
	Count int
	// LeftOut names the authorities that Mozilla trusts only for certificates
	// made before some day. A PEM file cannot say so: it would trust them for all.
	LeftOut []string
}

func readRoots() (Roots, error) {
	var read Roots
	var out bytes.Buffer
	for root := range bundle.Roots() {
		certificate, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return Roots{}, fmt.Errorf("parse certificate: %w", err)
		}
		if root.Constraint != nil {
			read.LeftOut = append(read.LeftOut, certificate.Subject.String())
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return Roots{}, err
		}
		read.Count++
	}
	read.PEM = out.Bytes()
	return read, nil
}

// version is the day of the roots: 2026.04.13.
func version() string {
	day := strings.Split(rootsVersion, "-")[1]
	return day[:4] + "." + day[4:6] + "." + day[6:8]
}
