package embedded

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// launch is all that a supervisor must know. It travels on the supervisor's standard input.
type launch struct {
	Group    string // begins the names of this instance's cgroups
	ID       string // of this start
	Version  string
	Dir      string   // the instance
	Layers   string   // their directory
	Lower    []string // names of layers, uppermost first; the last is Debian's root
	Sockets  string
	Config   []byte // engine.json
	Env      []string
	CAs      []byte
	Idle     time.Duration
	Insecure bool
}

// report is what a supervisor tells its starter, once, on file descriptor 3.
type report struct {
	Error string `json:"error,omitempty"`
}

// engineConfig is dagger's engine.json, see engine/config in its source.
type engineConfig struct {
	LogLevel string         `json:"logLevel"`
	GC       gcConfig       `json:"gc"`
	Security securityConfig `json:"security"`
}

type gcConfig struct {
	Enabled       bool   `json:"enabled"`
	ReservedSpace string `json:"reservedSpace"`
	MaxUsedSpace  string `json:"maxUsedSpace"`
	MinFreeSpace  string `json:"minFreeSpace"`
}

type securityConfig struct {
	InsecureRootCapabilities bool `json:"insecureRootCapabilities"`
}

func engineJSON(gc GC, insecure bool) ([]byte, error) {
	config := engineConfig{
		LogLevel: "warn",
		GC: gcConfig{Enabled: true, ReservedSpace: cmp.Or(gc.Reserved, defaultReserved), MaxUsedSpace: cmp.Or(gc.MaxUsed, defaultMaxUsed),
			MinFreeSpace: cmp.Or(gc.MinFree, defaultMinFree)},
		Security: securityConfig{InsecureRootCapabilities: insecure},
	}
	content, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write engine.json: %w", err)
	}
	return content, nil
}

// engineEnv is the engine's whole environment: ours, and the proxies of this machine for the engine's own downloads.
func engineEnv(getenv func(string) string) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		"DO_NOT_TRACK=1",
		"DAGGER_NO_NAG=1",
	}
	for _, key := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "GOPROXY", "GONOSUMDB", "GOSUMDB", "GONOPROXY", "GOPRIVATE"} {
		for _, name := range []string{key, strings.ToLower(key)} {
			if value := getenv(name); value != "" {
				env = append(env, name+"="+value)
			}
		}
	}
	return env
}

// loopbackProxy names a proxy setting that points at this machine's loopback, which the engine's network cannot reach.
func loopbackProxy(getenv func(string) string) (name string, found bool) {
	for _, key := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		value := getenv(key)
		for _, host := range []string{"//127.", "//localhost", "//[::1]", "@127.", "@localhost"} {
			if strings.Contains(value, host) {
				return key, true
			}
		}
	}
	return "", false
}

// HostCAs is the machine's own bundle of roots; nil without one: the engine then has Debian's.
func HostCAs(getenv func(string) string) []byte {
	paths := []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}
	if getenv != nil {
		paths = append([]string{getenv("SSL_CERT_FILE")}, paths...)
	}
	for _, path := range paths {
		if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
			return content
		}
	}
	return nil
}
