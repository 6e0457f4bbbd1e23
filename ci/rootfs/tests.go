package rootfs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/debian"
	"github.com/slipway-ci/slipway/ci/oci"
)

// testPackages is what tests of Go projects commonly expect beside Debian's minimal base.
var testPackages = []string{"ca-certificates", "gcc", "git", "libc6-dev", "openssh-client", "pkg-config", "tzdata"}

// Tests returns the file that holds the Debian root in which tests run. The error wraps [debian.ErrUnavailable] when this
// machine cannot assemble one; tests then run without the race detector.
func Tests(ctx context.Context, o Options) (string, error) {
	suite, arch, err := debian.Host(ctx)
	if err != nil {
		return "", err
	}
	file := filepath.Join(o.Cache, "rootfs", fmt.Sprintf("debian-%s-%s-%.4x.tar", suite, arch, sha256.Sum256([]byte(strings.Join(testPackages, " ")))))
	return once(ctx, file, func() error {
		o.Progress("assembling the Debian root for tests (" + suite + ", " + strings.Join(testPackages, " ") + ")")
		plain := file + ".plain"
		defer os.Remove(plain)
		if err := debian.Write(ctx, debian.Spec{Suite: suite, Arch: arch, Packages: testPackages}, plain); err != nil {
			return err
		}
		return oci.WriteRootfs(file, v1.Platform{OS: "linux", Architecture: arch}, func() (io.ReadCloser, error) { return os.Open(plain) })
	})
}
