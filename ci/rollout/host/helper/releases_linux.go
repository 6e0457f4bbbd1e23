package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// manifestFile is written last into a release's directory, which is then renamed into place.
const manifestFile = "manifest.json"

// credentials are files that only root reads; systemd hands them to the service.
const credentials = "credentials"

// manifest is a release as it is kept, with its place in the order in which releases came.
type manifest struct {
	protocol.Release
	Order int `json:"order"`
}

// single says whether a service has one instance, which is ended before the next one starts.
func single(r protocol.Release) bool {
	_, blue := r.Slots[rollout.Blue]
	return blue && len(r.Slots) == 1
}

func (s *service) releaseFile(sum string, parts ...string) string {
	return s.file(append([]string{"releases", sum}, parts...)...)
}

// release reads a release that is on the machine.
func (s *service) release(digest string) (manifest, error) {
	sum, err := checkDigest(digest)
	if err != nil {
		return manifest{}, err
	}
	data, err := s.store.ReadFile(s.releaseFile(sum, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, fmt.Errorf("the release %.12s is not on this machine: deploy it again", sum)
	}
	if err != nil {
		return manifest{}, fmt.Errorf("read release: %w", err)
	}
	var found manifest
	if err := json.Unmarshal(data, &found); err != nil {
		return manifest{}, fmt.Errorf("read release %.12s: %w", sum, err)
	}
	return found, nil
}

// releases are all on the machine, the newest last.
func (s *service) releases() ([]manifest, error) {
	found, err := names(s.store, s.file("releases"))
	if err != nil {
		return nil, err
	}
	var list []manifest
	for _, name := range found {
		if checkSum(name) != nil {
			continue // one that is being put together
		}
		r, err := s.release("sha256:" + name)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b manifest) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Digest, b.Digest)) })
	return list, nil
}

// checkRelease refuses what would get out of the release's directory, or is not what it says.
func (s *service) checkRelease(r protocol.Release) error {
	if r.Release.Digest() != r.Digest {
		return refuse("", "the release %q has another digest than its parts: %s", r.Digest, r.Release.Digest())
	}
	if r.Service != s.name {
		return refuse("", "the release is of service %q, and not of %q", r.Service, s.name)
	}
	for _, f := range r.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || f.Path == manifestFile || f.Path == proxyFile || f.Mode&^0o777 != 0 {
			return refuse("", "the file %q with mode %o is none that a release can have", f.Path, f.Mode)
		}
		if err := checkSum(f.SHA256); err != nil {
			return err
		}
	}
	for slot, instance := range r.Slots {
		if slot != rollout.Blue && slot != rollout.Green || instance.Port < 0 || instance.Port > 65535 || instance.Unit == "" {
			return refuse("", "the slot %q with port %d is none that a service can have", slot, instance.Port)
		}
	}
	if _, blue := r.Slots[rollout.Blue]; !blue {
		return refuse("", "the release has no slot %s", rollout.Blue)
	}
	if err := checkFilebeat(s.name, r.Filebeat); err != nil {
		return err
	}
	return checkTraffic(s.name, r.Traffic)
}

func checkTraffic(name string, t protocol.Traffic) error {
	if t.Proxy == nil {
		return nil
	}
	for unit := range t.Proxy.Units {
		if !strings.HasPrefix(unit, name+"-proxy") || strings.Contains(unit, "/") {
			return refuse("", "the unit %q is none of the proxy of %s", unit, name)
		}
	}
	return checkSum(t.Proxy.Binary)
}

// stage puts a release's directory together beside the others and renames it: it is there whole, or not at all.
func (s *service) stage(ctx context.Context, r protocol.Release) error {
	if err := s.checkRelease(r); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, stateLock, patience)
	if err != nil {
		return err
	}
	defer unlock()
	if there, err := s.release(r.Digest); err == nil {
		return s.restage(there, r)
	}
	list, err := s.releases()
	if err != nil {
		return err
	}
	next := manifest{Release: r, Order: 1}
	if len(list) > 0 {
		next.Order = list[len(list)-1].Order + 1
	}
	sum, _ := checkDigest(r.Digest)
	temporary := s.releaseFile(".staging-" + sum)
	if err := s.build(temporary, next); err != nil {
		s.store.RemoveAll(temporary)
		return err
	}
	if err := s.store.Rename(temporary, s.releaseFile(sum)); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	return syncDir(s.store, s.file("releases"))
}

// restage keeps a release that is there. How it is watched, drained and reached may be said anew: that is not part of its digest.
func (s *service) restage(there manifest, r protocol.Release) error {
	sum, _ := checkDigest(r.Digest)
	text, err := json.MarshalIndent(manifest{Release: r, Order: there.Order}, "", "  ")
	if err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	for _, f := range r.Files {
		if _, err := s.store.Lstat(s.releaseFile(sum, filepath.FromSlash(f.Path))); err != nil {
			return fmt.Errorf("stage release: %s of %.12s is gone from this machine: %w", f.Path, sum, err)
		}
		if err := s.widenTo(sum, filepath.FromSlash(f.Path)); err != nil {
			return err
		}
	}
	if old, err := s.store.ReadFile(s.releaseFile(sum, manifestFile)); err == nil && string(old) == string(text) {
		return nil
	}
	return replace(s.store, s.releaseFile(sum, manifestFile), 0o600, text)
}

// widenTo opens the directories of a release on the way to a file, but that of the secrets.
func (s *service) widenTo(sum, file string) error {
	dirs := []string{s.releaseFile(sum)}
	for dir := filepath.Dir(file); dir != "."; dir = filepath.Dir(dir) {
		if top, _, _ := strings.Cut(filepath.ToSlash(dir), "/"); top != credentials {
			dirs = append(dirs, s.releaseFile(sum, dir))
		}
	}
	return widen(s.store, dirs...)
}

func (s *service) build(dir string, next manifest) error {
	if err := s.store.RemoveAll(dir); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	if err := s.store.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	touched := map[string]bool{dir: true}
	for _, f := range next.files() {
		name := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := s.place(dir, name, f); err != nil {
			return err
		}
		touched[filepath.Dir(name)] = true
	}
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	if err := write(s.store, filepath.Join(dir, manifestFile), 0o600, text); err != nil {
		return err
	}
	for name := range touched {
		if err := syncDir(s.store, name); err != nil {
			return err
		}
	}
	return nil
}

// proxyFile is our proxy's program in a release, so that it is there when somebody goes back to that.
const proxyFile = "proxy/" + proxyName

// files are all that a release keeps.
func (r manifest) files() []protocol.File {
	if r.Traffic.Proxy == nil {
		return r.Files
	}
	return append(slices.Clone(r.Files), protocol.File{Path: proxyFile, SHA256: r.Traffic.Proxy.Binary, Mode: 0o755})
}

// place links a content into a release. One that another release has with another mode is copied: the mode is the content's.
func (s *service) place(dir, name string, f protocol.File) error {
	top, _, _ := strings.Cut(filepath.ToSlash(f.Path), "/")
	mode, parents := os.FileMode(f.Mode), os.FileMode(0o755)
	if top == credentials {
		mode, parents = 0o400, 0o700
	}
	if err := s.store.MkdirAll(filepath.Dir(name), parents); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	blob := filepath.Join(blobs, f.SHA256)
	info, err := s.store.Lstat(blob)
	if err != nil {
		return fmt.Errorf("stage release: the content of %s is not on this machine yet: send it again", f.Path)
	}
	if links(info) > 1 && info.Mode().Perm() != mode {
		return s.copy(blob, name, mode)
	}
	if err := s.store.Link(blob, name); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	if err := s.store.Chmod(name, mode); err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	return nil
}

func (s *service) copy(from, to string, mode os.FileMode) error {
	source, err := s.store.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	defer source.Close()
	f, err := s.store.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("stage release: %w", err)
	}
	if _, err := io.Copy(f, source); err != nil {
		f.Close()
		return fmt.Errorf("stage release: %w", err)
	}
	return finish(f, to, mode)
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
