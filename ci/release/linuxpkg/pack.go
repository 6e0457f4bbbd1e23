package linuxpkg

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/apk"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

// stage writes the texts of a package to files in a work directory, for nfpm
// reads nothing else, and describes the package to it. Everything that nfpm
// would take from the machine (the time, the host's name, modes) is said.
func (s spec) stage(work string) (*nfpm.Info, error) {
	date := s.app.Date.UTC().Truncate(time.Second)
	binary, err := filepath.EvalSymlinks(s.binary.Path) // nfpm would pack the link
	if err != nil {
		return nil, fmt.Errorf("find the binary: %w", err)
	}
	info := s.describe(date)
	info.Contents = files.Contents{content(binary, "/usr/bin/"+s.app.Binary, files.TypeFile, 0o755, date)}
	for i, f := range s.files {
		source := filepath.Join(work, fmt.Sprintf("file%d", i))
		if err := write(source, f.text, date); err != nil {
			return nil, err
		}
		kind := files.TypeFile
		if f.config {
			kind = files.TypeConfigNoReplace
			info.Contents = append(info.Contents, content("", filepath.Dir(f.path), files.TypeDir, 0o755, date))
		}
		info.Contents = append(info.Contents, content(source, f.path, kind, fs.FileMode(f.mode), date))
	}
	return info, s.stageScripts(work, info, date)
}

func (s spec) stageScripts(work string, info *nfpm.Info, date time.Time) error {
	places := map[script]*string{
		preInstall: &info.Scripts.PreInstall, postInstall: &info.Scripts.PostInstall, postUpgrade: &info.APK.Scripts.PostUpgrade,
		preRemove: &info.Scripts.PreRemove, postRemove: &info.Scripts.PostRemove,
	}
	for when, text := range s.scripts {
		path := filepath.Join(work, string(when))
		if err := write(path, text, date); err != nil {
			return err
		}
		*places[when] = path
	}
	return nil
}

func (s spec) describe(date time.Time) *nfpm.Info {
	app := s.app
	summary, rest, _ := strings.Cut(app.Description, "\n")
	info := &nfpm.Info{
		Name: app.Name, Arch: s.arch, Platform: "linux", Version: s.Version, VersionSchema: "none",
		Section: "misc", Priority: "optional", Description: strings.TrimSpace(summary + "\n" + strings.TrimSpace(rest)), Homepage: app.Homepage, License: app.License,
		Maintainer: cmp.Or(app.Maintainer, app.Name+" <"+app.Name+"@localhost.invalid>"), // Debian wants one
		MTime:      date, DisableGlobbing: true,
	}
	info.Depends = s.depends
	info.Deb.Arch, info.RPM.Arch, info.APK.Arch = s.arch, s.arch, s.arch
	info.RPM.BuildHost, info.RPM.Summary = "localhost", summary
	switch s.Format {
	case RPM:
		info.Release, info.License = "1", cmp.Or(app.License, "unknown") // it wants both
	case APK:
		info.Description = summary // one line is what it knows
	}
	if t := s.Target; s.Format == Deb && t.Arch == "amd64" && t.Variant != "" {
		info.Deb.Fields = map[string]string{"Architecture-Variant": "amd64" + t.Variant}
	}
	return info
}

func content(source, destination, kind string, mode fs.FileMode, date time.Time) *files.Content {
	return &files.Content{Source: source, Destination: destination, Type: kind,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: date}}
}

// write writes a file of a date: apk takes it over from there.
func write(path, text string, date time.Time) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, date, date)
}

// pack has nfpm make the package.
func pack(f Format, info *nfpm.Info, path string) error {
	packager := map[Format]nfpm.Packager{Deb: deb.Default, RPM: rpm.DefaultRPM, APK: apk.Default}[f]
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(packager.Package(info, out), out.Chmod(0o644), out.Close())
}
