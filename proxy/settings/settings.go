// Package settings is what a proxy is told to do, and the file that it keeps that in.
package settings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What TLS may be.
const (
	Off   = "off"   // plain HTTP
	Auto  = "auto"  // certificates for Domains from an ACME authority
	Files = "files" // Cert and Key
)

const (
	maxUpstreams = 16
	maxDomains   = 100
)

// Settings are what one proxy is told.
type Settings struct {
	Upstreams []Upstream `json:"upstreams"`
	Domains   []string   `json:"domains"`
	TLS       string     `json:"tls"`
	Cert      string     `json:"cert"`   // PEM, or the absolute path of a file that this program may read
	Key       string     `json:"key"`    // likewise
	Health    string     `json:"health"` // kept for who asks; the proxy itself asks no instance
}

// Upstream is an instance and its share of the requests in percent.
type Upstream struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Weight  int    `json:"weight"`
}

// Normal is the same settings in the form that all others are compared with: upstreams by name, because a split has no order.
func (s Settings) Normal() Settings {
	if s.TLS == "" {
		s.TLS = Off
	}
	s.Upstreams = append([]Upstream{}, s.Upstreams...)
	slices.SortStableFunc(s.Upstreams, func(a, b Upstream) int { return strings.Compare(a.Name, b.Name) })
	s.Domains = append([]string{}, s.Domains...)
	return s
}

// Equal tells whether two settings say the same.
func (s Settings) Equal(o Settings) bool {
	return slices.Equal(s.Upstreams, o.Upstreams) && s.SameFront(o) && s.Health == o.Health
}

// SameFront tells whether two settings differ in nothing that clients connect to: then only pointers change.
func (s Settings) SameFront(o Settings) bool {
	return slices.Equal(s.Domains, o.Domains) && s.TLS == o.TLS && s.Cert == o.Cert && s.Key == o.Key
}

// Names of systemd's credentials that hold the files of Cert and Key, which this program itself may not read.
const (
	certCredential = "tls-cert"
	keyCredential  = "tls-key"
)

// Located is the same settings with paths that this program may read: those in the directory of systemd's credentials, where it
// has one.
func (s Settings) Located(credentials string) Settings {
	if credentials == "" || s.TLS != Files || IsPEM(s.Cert) {
		return s
	}
	s.Cert, s.Key = filepath.Join(credentials, certCredential), filepath.Join(credentials, keyCredential)
	return s
}

// Check finds everything that is wrong.
func (s Settings) Check() error {
	return errors.Join(slices.Concat(s.checkUpstreams(), s.checkDomains(), s.checkTLS())...)
}

func (s Settings) checkUpstreams() []error {
	if len(s.Upstreams) > maxUpstreams {
		return []error{fmt.Errorf("there are %d upstreams: at most %d are possible", len(s.Upstreams), maxUpstreams)}
	}
	var problems []error
	total := 0
	for i, u := range s.Upstreams {
		if !validName(u.Name) {
			problems = append(problems, fmt.Errorf("upstream name %q: it may have 1 to 63 of a-z, 0-9 and -", u.Name))
		}
		if slices.ContainsFunc(s.Upstreams[:i], func(o Upstream) bool { return o.Name == u.Name || o.Address == u.Address }) {
			problems = append(problems, fmt.Errorf("upstream %s at %s is there twice", u.Name, u.Address))
		}
		if address, err := netip.ParseAddrPort(u.Address); err != nil || !address.Addr().IsLoopback() || address.Addr().Zone() != "" || address.Port() == 0 {
			problems = append(problems, fmt.Errorf("address %q of upstream %s: it looks like 127.0.0.1:20001; only instances on this machine get requests", u.Address, u.Name))
		}
		if u.Weight < 0 || u.Weight > 100 {
			problems = append(problems, fmt.Errorf("weight %d of upstream %s: it is 0 to 100", u.Weight, u.Name))
		}
		total += u.Weight
	}
	if len(s.Upstreams) > 0 && total != 100 {
		problems = append(problems, fmt.Errorf("the weights add up to %d: they are percent, and add up to 100", total))
	}
	return problems
}

func (s Settings) checkDomains() []error {
	if len(s.Domains) > maxDomains {
		return []error{fmt.Errorf("there are %d domains: at most %d are possible", len(s.Domains), maxDomains)}
	}
	var problems []error
	for i, domain := range s.Domains {
		if !validDomain(domain) {
			problems = append(problems, fmt.Errorf("domain %q: it looks like www.example.org, in lower case", domain))
		}
		if slices.Contains(s.Domains[:i], domain) {
			problems = append(problems, fmt.Errorf("domain %q is there twice", domain))
		}
	}
	return problems
}

func (s Settings) checkTLS() []error {
	switch {
	case s.TLS == Auto && len(s.Domains) == 0:
		return []error{errors.New("tls auto needs a domain, for which it gets a certificate")}
	case s.TLS == Files && (s.Cert == "" || s.Key == ""):
		return []error{errors.New("tls files needs cert and key")}
	case s.TLS == Files:
		return s.checkFiles()
	case !slices.Contains([]string{"", Off, Auto}, s.TLS):
		return []error{fmt.Errorf("tls %q: there are %s, %s and %s", s.TLS, Off, Auto, Files)}
	case s.Cert != "" || s.Key != "":
		return []error{fmt.Errorf("cert and key are for tls %s", Files)}
	}
	return nil
}

// checkFiles never shows what a text holds: it may be a private key.
func (s Settings) checkFiles() []error {
	if IsPEM(s.Cert) != IsPEM(s.Key) {
		return []error{errors.New("cert and key are both PEM, or both paths")}
	}
	if IsPEM(s.Cert) {
		if _, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key)); err != nil {
			return []error{fmt.Errorf("read cert and key: %w", err)}
		}
		return nil
	}
	if !filepath.IsAbs(s.Cert) || !filepath.IsAbs(s.Key) || strings.Contains(s.Cert+s.Key, "\x00") {
		return []error{errors.New("cert and key are PEM, or absolute paths")}
	}
	if _, err := tls.LoadX509KeyPair(s.Cert, s.Key); err != nil {
		return []error{fmt.Errorf("read cert and key: %w", err)}
	}
	return nil
}

// IsPEM tells a text in PEM from a path.
func IsPEM(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") }

func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name)
}

func validDomain(name string) bool {
	return len(name) <= 253 && regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name) &&
		regexp.MustCompile(`[a-z]`).MatchString(name)
}
