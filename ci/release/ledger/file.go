package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLine is how long a line may be. What is longer is none of ours.
const maxLine = 64 << 10

// header is the first line.
type header struct {
	Ledger int `json:"slipway-ledger"`
}

// VersionError says that a newer Slipway wrote the ledger.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("it has version %d, and this Slipway knows up to %d: use a newer one, or move the file away", e.Version, Version)
}

// open reads the file, drops what is half-written at its end, and leaves it
// ready to be written on.
func (l *Ledger) open(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := l.load(file); err != nil {
		return errors.Join(err, file.Close())
	}
	l.file = file
	return nil
}

func (l *Ledger) load(file *os.File) error {
	data, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	read, err := parse(data)
	if err != nil {
		return err
	}
	for _, e := range read.entries {
		l.take(e)
	}
	l.damaged = read.damaged
	if err := file.Truncate(int64(read.whole)); err != nil {
		return err
	}
	if _, err := file.Seek(int64(read.whole), io.SeekStart); err != nil {
		return err
	}
	if read.whole == 0 {
		if err := writeLine(file, header{Version}); err != nil {
			return err
		}
		return syncDir(filepath.Dir(file.Name()))
	}
	return file.Sync()
}

// append writes one entry in one piece and waits for the disk. When that
// fails, the next entry shall not follow a half-written one.
func (l *Ledger) append(e Entry) error {
	end, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if err := writeLine(l.file, e); err != nil {
		_, seek := l.file.Seek(end, io.SeekStart)
		return errors.Join(err, l.file.Truncate(end), seek)
	}
	return nil
}

func writeLine(file *os.File, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	return file.Sync()
}

// syncDir makes the name of a new file last.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // directories cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// content is what a file holds.
type content struct {
	entries []Entry
	damaged int
	whole   int // bytes up to the end of the last whole line
}

// parse reads a ledger. What follows the last line break was half-written when
// the machine stopped.
func parse(data []byte) (content, error) {
	c := content{whole: bytes.LastIndexByte(data, '\n') + 1}
	lines := bytes.SplitAfter(data[:c.whole], []byte{'\n'})
	if c.whole == 0 {
		return c, checkTorn(data)
	}
	var h header
	if json.Unmarshal(lines[0], &h) != nil || h.Ledger < 1 {
		return c, errors.New("its first line is not that of a ledger: move the file away")
	}
	if h.Ledger > Version {
		return c, &VersionError{h.Ledger}
	}
	for _, line := range lines[1:] {
		if len(line) == 0 {
			continue
		}
		var e Entry
		if len(line) > maxLine || json.Unmarshal(line, &e) != nil || e.check() != nil {
			c.damaged++
			continue
		}
		c.entries = append(c.entries, e)
	}
	return c, nil
}

// checkTorn says that a file without any whole line may be a ledger whose
// first line was being written, or zeros that a file system left of it. Any
// other text is somebody's.
func checkTorn(data []byte) error {
	line, err := json.Marshal(header{Version})
	if err != nil {
		return err
	}
	if bytes.HasPrefix(line, data) || len(bytes.Trim(data, "\x00")) == 0 {
		return nil
	}
	return errors.New("it is no ledger: move the file away")
}

// check keeps a ledger one that can be read.
func (e Entry) check() error {
	for what, text := range map[string]string{"kind": string(e.Kind), "target": e.Target, "digest": e.Digest} {
		switch {
		case text == "":
			return errors.New("it has no " + what)
		case !utf8.ValidString(text), strings.ContainsFunc(text, unicode.IsControl), len(text) > 4096:
			return errors.New("its " + what + " is not one short line of text")
		}
	}
	if len(e.Run) > 4096 || len(e.Note) > 4096 {
		return errors.New("its note is too long")
	}
	return nil
}
