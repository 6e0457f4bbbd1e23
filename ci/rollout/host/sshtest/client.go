package sshtest

import (
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Home is a home directory of a client that knows servers and may log in to them.
type Home struct{ Dir string }

// NewHome makes a home directory for servers. The first one's key is its id_ed25519.
func NewHome(t testing.TB, servers ...*Server) Home {
	t.Helper()
	h := Home{Dir: t.TempDir()}
	require.NoError(t, os.MkdirAll(h.file(""), 0o700))
	var known, config strings.Builder
	for i, s := range servers {
		for _, key := range s.HostKeys {
			fmt.Fprintln(&known, knownhosts.Line([]string{s.Host()}, key.PublicKey()))
		}
		block, err := ssh.MarshalPrivateKey(s.secret, "")
		require.NoError(t, err)
		name := "id_ed25519"
		if i > 0 {
			name = fmt.Sprintf("id_%d", i)
		}
		h.Write(t, name, string(pem.EncodeToMemory(block)))
		fmt.Fprintf(&config, "IdentityFile ~/.ssh/%s\n", name)
	}
	h.Write(t, "known_hosts", known.String())
	h.Write(t, "config", config.String())
	return h
}

// Write writes a file of .ssh.
func (h Home) Write(t testing.TB, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(h.file(name), []byte(text), 0o600))
}

// Read reads a file of .ssh.
func (h Home) Read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(h.file(name))
	require.NoError(t, err)
	return string(data)
}

func (h Home) file(name string) string { return filepath.Join(h.Dir, ".ssh", name) }
