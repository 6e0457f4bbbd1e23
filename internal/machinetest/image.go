package machinetest

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/oci"
)

//go:embed machine.sh
var entry string

// rootPackages make a minimal Debian a machine that people deploy to. rpm is there to try packages of other distributions.
var rootPackages = []string{"systemd", "systemd-sysv", "openssh-server", "dbus", "ca-certificates", "curl", "iproute2", "procps", "sudo", "rsync", "python3", "rpm"}

// image is the root of all machines, as a layout that the engine imports. It is made once and kept in the cache.
func image(t *testing.T) string {
	t.Helper()
	suite, arch, err := debian.Host(t.Context())
	require.NoError(t, err)
	cache, err := cacheDir()
	require.NoError(t, err)
	file := filepath.Join(cache, "rootfs", fmt.Sprintf("machine-%s-%s-%.4x.tar", suite, arch, sha256.Sum256([]byte(strings.Join(rootPackages, " ")))))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	work, err := os.MkdirTemp(filepath.Dir(file), ".machine-")
	require.NoError(t, err)
	defer os.RemoveAll(work)
	t.Log("assembling the machines' root (" + suite + ")")
	root := filepath.Join(work, "root.tar")
	require.NoError(t, debian.Write(t.Context(), debian.Spec{Suite: suite, Arch: arch, Packages: rootPackages}, root))
	layout := filepath.Join(work, "layout.tar")
	require.NoError(t, oci.WriteRootfs(layout, v1.Platform{OS: "linux", Architecture: arch}, func() (io.ReadCloser, error) { return os.Open(root) }))
	require.NoError(t, os.Rename(layout, file))
	return file
}

// Arch is Go's name for the machines' processor: that of this machine.
func Arch() string { return runtime.GOARCH }
