package rootfs

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/debian"
)

// testPackages is what tests of Go projects commonly expect beside Debian's minimal base.
var testPackages = []string{"ca-certificates", "gcc", "git", "libc6-dev", "openssh-client", "pkg-config", "tzdata"}

// Tests returns the compressed tar file that holds the Debian root in which tests run. Unlike a layout it is unpacked once by a
// cached command, which costs a run less than importing so much anew. The error wraps [debian.ErrUnavailable] when this
// machine cannot assemble one; tests then run without the race detector.
func Tests(ctx context.Context, o Options) (string, error) {
	suite, arch, err := debian.Host(ctx)
	if err != nil {
		return "", err
	}
	file := filepath.Join(o.Cache, "rootfs", fmt.Sprintf("debian-%s-%s-%.4x.tar.gz", suite, arch, sha256.Sum256([]byte(strings.Join(testPackages, " ")))))
	return Once(ctx, file, func(out string) error {
		o.Progress("assembling the Debian root for tests (" + suite + ", " + strings.Join(testPackages, " ") + ")")
		plain := out + ".plain"
		if err := debian.Write(ctx, debian.Spec{Suite: suite, Arch: arch, Packages: testPackages}, plain); err != nil {
			return err
		}
		return compress(plain, out)
	})
}

// compress writes a file anew, compressed.
func compress(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	zipped, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(zipped, in)
		err = errors.Join(err, zipped.Close())
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}
