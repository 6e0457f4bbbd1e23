package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

// inputMode lets Filebeat read its input under any account, and nobody but root write it: otherwise Filebeat refuses it.
const inputMode = fs.FileMode(0o644)

// inputFile is an input for Filebeat as it is on disk.
type inputFile struct {
	there bool
	ours  bool
	text  string
	mode  fs.FileMode
}

// inputName is the file of a service among Filebeat's inputs.
func inputName(service string) string { return service + ".yml" }

// readInput reads an input. What is no regular file is somebody else's.
func readInput(inputs disk, service string) (inputFile, error) {
	info, err := inputs.Lstat(inputName(service))
	if errors.Is(err, fs.ErrNotExist) {
		return inputFile{}, nil
	}
	if err != nil {
		return inputFile{}, fmt.Errorf("look at Filebeat's input: %w", err)
	}
	if !info.Mode().IsRegular() {
		return inputFile{there: true}, nil
	}
	text, err := inputs.ReadFile(inputName(service))
	if err != nil {
		return inputFile{}, fmt.Errorf("read Filebeat's input: %w", err)
	}
	ours := strings.HasPrefix(string(text), protocol.FilebeatMark(service))
	return inputFile{there: true, ours: ours, text: string(text), mode: info.Mode().Perm()}, nil
}

// openInputs opens the directory in which Filebeat looks for inputs. The caller closes it.
func (m *machine) openInputs(dir string) (disk, error) {
	info, err := os.Stat(m.path(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, refuse(fmt.Sprintf("install Filebeat, or create the directory and let Filebeat read it (filebeat.config.inputs in filebeat.yml, with path: %s/*.yml)", dir),
			"%s, in which Filebeat is to find its input, is not there", dir)
	case err != nil:
		return nil, fmt.Errorf("look at Filebeat's inputs: %w", err)
	case !info.IsDir():
		return nil, refuse("correct the path (filebeat)", "%s, in which Filebeat is to find its input, is no directory", dir)
	}
	return openDisk(m.path(dir))
}

// inputFits says what keeps an input of ours out of a directory: that is not there, or has somebody else's file of that name.
func (m *machine) inputFits(service, dir string) error {
	inputs, err := m.openInputs(dir)
	if err != nil {
		return err
	}
	defer inputs.Close()
	_, err = ourInput(inputs, service, dir)
	return err
}

// ourInput is the input that is there or is to be there. It refuses somebody else's.
func ourInput(inputs disk, service, dir string) (inputFile, error) {
	file, err := readInput(inputs, service)
	if err == nil && file.there && !file.ours {
		return file, refuse("move that file away, or name another directory (filebeat)", "%s is there, and slipway did not write it", filepath.Join(dir, inputName(service)))
	}
	return file, err
}

// filebeatProblems is inputFits as facts tell it.
func (m *machine) filebeatProblems(service, dir string) []protocol.Problem {
	if dir == "" {
		return nil
	}
	if err := m.inputFits(service, dir); err != nil {
		return []protocol.Problem{told(err)}
	}
	return nil
}

// checkFilebeat refuses an input that we would not know again as ours, or that is none of the service's.
func checkFilebeat(service string, f *protocol.Filebeat) error {
	switch {
	case f == nil:
		return nil
	case !filepath.IsAbs(f.Dir) || filepath.Clean(f.Dir) != f.Dir:
		return refuse("", "%q is no directory for Filebeat's inputs", f.Dir)
	case !strings.HasPrefix(f.Input, protocol.FilebeatMark(service)):
		return refuse("", "Filebeat's input does not say that it is of %s", service)
	}
	return nil
}

// setInput makes Filebeat's inputs those of a release: its own, and none that another release had elsewhere.
func (s *service) setInput(r manifest) error {
	wanted := ""
	if r.Filebeat != nil {
		wanted = r.Filebeat.Dir
		if err := s.writeInput(*r.Filebeat); err != nil {
			return err
		}
	}
	list, err := s.releases()
	if err != nil {
		return err
	}
	for _, other := range list {
		if other.Filebeat == nil || wanted != "" && s.same(other.Filebeat.Dir, wanted) {
			continue
		}
		if err := s.removeInput(other.Filebeat.Dir); err != nil {
			return err
		}
	}
	return nil
}

// same says whether two paths are one directory: one may be a link to the other.
func (m *machine) same(one, other string) bool {
	a, err := os.Stat(m.path(one))
	if err != nil {
		return one == other
	}
	b, err := os.Stat(m.path(other))
	return err == nil && os.SameFile(a, b)
}

// writeInput writes an input unless it is there already: Filebeat would begin anew with one that was touched.
func (s *service) writeInput(f protocol.Filebeat) error {
	inputs, err := s.openInputs(f.Dir)
	if err != nil {
		return err
	}
	defer inputs.Close()
	current, err := ourInput(inputs, s.name, f.Dir)
	if err != nil || current.text == f.Input && current.mode == inputMode {
		return err
	}
	if err := replace(inputs, inputName(s.name), inputMode, []byte(f.Input)); err != nil {
		return fmt.Errorf("put Filebeat's input into %s: %w", f.Dir, err)
	}
	return nil
}

// removeInput removes an input of ours. What is not there, or is somebody else's, is left as it is.
func (s *service) removeInput(dir string) error {
	if info, err := os.Stat(s.path(dir)); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // Filebeat was removed, and the input with it
	}
	inputs, err := openDisk(s.path(dir))
	if err != nil {
		return err
	}
	defer inputs.Close()
	current, err := readInput(inputs, s.name)
	if err != nil || !current.ours {
		return err
	}
	if err := inputs.Remove(inputName(s.name)); err != nil {
		return fmt.Errorf("remove Filebeat's input from %s: %w", dir, err)
	}
	return syncDir(inputs, ".")
}
