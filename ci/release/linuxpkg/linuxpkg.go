// Package linuxpkg makes deb, rpm and apk packages of an app, for package
// managers that install, upgrade and remove it.
//
// A package has the binary in /usr/bin. That of a service also has:
//
//   - its hardened unit (see [systemd.Unit]); on Alpine, where there is no
//     systemd, an OpenRC script;
//   - an account of its own, made when the package is installed. It stays when
//     the package is removed: files may belong to it;
//   - /etc/NAME/NAME.env, its configuration. An upgrade keeps what was changed
//     there.
//
// Installing a deb starts the service and upgrading restarts it, as Debian's
// own packages do; an administrator's "systemctl disable" or "mask" is
// respected. An rpm follows its distribution's presets, which rarely start
// anything; upgrading restarts what runs. What the service stored in
// /var/lib/NAME is never removed.
//
// Packages are deterministic: the same app, binary and date give the same
// bytes, on any machine, in any directory, at any time. They are not signed:
// repositories sign their lists.
package linuxpkg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/ci/systemd"
	"github.com/slipway-ci/slipway/ci/target"
)

// Format is a kind of package.
type Format string

// The formats.
const (
	Deb Format = "deb" // Debian, Ubuntu
	RPM Format = "rpm" // Fedora, RHEL, SUSE
	APK Format = "apk" // Alpine
)

// Formats lists all of them.
func Formats() []Format { return []Format{Deb, RPM, APK} }

// App is what is packaged.
type App struct {
	Name        string    // a-z, 0-9 and -; of the package, the unit and the account
	Binary      string    // what it is called in /usr/bin; "" means Name
	Version     string    // such as 1.2.3, 1.2.3-rc.1, 1.2.3-4-gabc1234, 1.2.3+build.7
	Date        time.Time // of the commit; it is the date of every file
	Description string    // the first line is the summary; "" means Name
	Homepage    string
	License     string // SPDX: Apache-2.0
	Maintainer  string // Ada Lovelace <ada@example.org>
	Service     *Service
}

// Service is how the app runs when it is one.
type Service struct {
	Args        []string
	Port        int // which it is told as PORT; 0 means that it listens nowhere
	Notify      bool
	Start       time.Duration
	Grace       time.Duration      // from SIGTERM to SIGKILL
	Environment []systemd.Variable // the configuration file, to begin with
	Limits      systemd.Limits
	Relax       []systemd.Relaxation
}

// Binary is the app, built for one target.
type Binary struct {
	Target target.Target
	Path   string
	Libc   bool // it is linked to glibc (cgo)
}

// Package is one that was made.
type Package struct {
	File    string // its name in the directory: greeter_1.2.3_linux_amd64.deb
	Format  Format
	Target  target.Target
	Version string // as its package manager writes it
}

// Packages are those that were made, and why others were not.
type Packages struct {
	Made    []Package
	Without []string
}

// Write makes a package of each format for each linux binary and puts it into
// a directory, complete or not at all.
func Write(ctx context.Context, dir string, app App, binaries []Binary, formats ...Format) (Packages, error) {
	specs, without, err := plan(app, binaries, formats)
	if err != nil {
		return Packages{}, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0)) // it compresses all the time
	for _, s := range specs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := s.write(dir); err != nil {
				return fmt.Errorf("make %s: %w", s.File, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Packages{}, err
	}
	all := Packages{Without: without}
	for _, s := range specs {
		all.Made = append(all.Made, s.Package)
	}
	return all, nil
}

// plan decides all packages, and says why there are no others.
func plan(app App, binaries []Binary, formats []Format) (specs []spec, without []string, err error) {
	if len(formats) == 0 {
		formats = Formats()
	}
	for _, binary := range binaries {
		if binary.Target.OS != "linux" {
			continue
		}
		for _, format := range formats {
			s, err := specify(app, binary, format)
			if lacking, ok := asUnsupported(err); ok {
				without = append(without, lacking.Error())
				continue
			}
			if err != nil {
				return nil, nil, err
			}
			specs = append(specs, s)
		}
	}
	return specs, without, nil
}

// write makes one package in a directory of its own and moves it to its place.
func (s spec) write(dir string) error {
	work, err := os.MkdirTemp(dir, ".package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	info, err := s.stage(work)
	if err != nil {
		return err
	}
	part := filepath.Join(work, "package")
	if err := pack(s.Format, info, part); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, s.File))
}

func known(f Format) bool { return slices.Contains(Formats(), f) }
