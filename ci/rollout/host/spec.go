package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/slipway-ci/slipway/ci/systemd"
)

// Spec is a service: what was built, and how it is to run on each host.
type Spec struct {
	Service  string             // app and environment, such as greeter-prod
	Binary   string             // the program's file name; "" means Service
	Programs map[string]Program // by Go's name of an architecture
	Version  string
	Commit   string

	Arguments   []string
	Environment []systemd.Variable // only root and the service can read it
	Secrets     []Secret
	Files       []File // configuration, below the release's directory
	Ports       Ports

	// Health is the path that tells whether an instance is well. "" for a service without one: that it runs counts.
	Health  string
	Timeout time.Duration // of one question
	Grace   time.Duration // from SIGTERM to SIGKILL
	Drain   time.Duration // how long requests in flight are waited for
	Keep    int           // releases to keep beside those in use

	State    bool     // it keeps data in /var/lib/<Service>, which all releases share
	Writable []string // paths beside that
	Notify   bool     // it tells systemd when it is ready
	Start    time.Duration
	Restart  systemd.Restart
	Limits   systemd.Limits
	Peers    []netip.Prefix
	Relax    []systemd.Relaxation
	LogFile  string // its output goes there, and no longer to the journal; the directory must exist
	// Filebeat has that log, or the journal, read by Filebeat.
	Filebeat *Filebeat

	Proxy  *Proxy   // ours, in front of the instances
	Switch []string // an argv of the user's that moves traffic instead
}

// Ports are where the instances listen, on 127.0.0.1. Without Green there is one instance, which is restarted in place.
type Ports struct{ Blue, Green int }

// Program is a compiled file, of which the digest is known.
type Program struct {
	Path   string
	SHA256 string // in hexadecimal
	Size   int64
}

// Secret is a value that nobody but the service may read. It is a file, $CREDENTIALS_DIRECTORY/Name. Environment makes it a
// variable too, for programs that read nothing else: then all that runs as the service's account can read it.
type Secret struct {
	Name        string
	Value       string
	Environment bool
}

// String hides the value, so that a Spec that is printed tells no secret.
func (s Secret) String() string { return fmt.Sprintf("{%s ***}", s.Name) }

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// File is a file of the configuration.
type File struct {
	Path    string // below the release's directory, with slashes: etc/greeter.yaml
	Content []byte
	Mode    os.FileMode
}

// Proxy is our proxy in front of a service.
type Proxy struct {
	Programs map[string]Program // by Go's name of an architecture
	Listen   []string           // ":80"
	Domains  []string
	TLS      string // off, auto, files
	Cert     string // path on the host
	Key      string
}

// Filebeat runs on the hosts, put there by others, and ships logs to where they are searched.
type Filebeat struct {
	Dir         string // where it reads its inputs, on the hosts
	Environment string // name, which each event gets beside the service's
}

// Blob is content, by its digest.
type Blob struct {
	SHA256  string
	Size    int64
	path    string
	content []byte
}

// Open reads the content.
func (b Blob) Open() (io.ReadCloser, error) {
	if b.path == "" {
		return io.NopCloser(bytes.NewReader(b.content)), nil
	}
	return os.Open(b.path)
}

func contentBlob(content []byte) Blob {
	sum := sha256.Sum256(content)
	return Blob{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content)), content: content}
}

func (p Program) blob() Blob { return Blob{SHA256: p.SHA256, Size: p.Size, path: p.Path} }
