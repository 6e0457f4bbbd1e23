package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout"
)

// Record appends to the history, which is a file of this machine.
func (d *Driver) Record(record rollout.Record) error {
	unlock, err := d.alone()
	if err != nil {
		return err
	}
	defer unlock()
	history, err := d.History()
	if err != nil {
		return err
	}
	record.Seq, record.At = uint64(len(history))+1, time.Now().UTC().Format(time.RFC3339)
	text, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	file, err := os.OpenFile(d.historyFile(), os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	_, err = file.Write(append(separator(file), append(text, '\n')...))
	return errors.Join(err, file.Sync(), file.Close())
}

// separator ends a last line that was cut off.
func separator(file *os.File) []byte {
	info, err := file.Stat()
	last := make([]byte, 1)
	if err != nil || info.Size() == 0 {
		return nil
	}
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return nil
	}
	return []byte{'\n'}
}

// History is what was recorded, the newest last. A last line that a crash cut off counts for nothing.
func (d *Driver) History() ([]rollout.Record, error) {
	text, err := os.ReadFile(d.historyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var all []rollout.Record
	for line := range strings.Lines(string(text)) {
		var record rollout.Record
		if json.Unmarshal([]byte(line), &record) == nil {
			all = append(all, record)
		}
	}
	return all, nil
}

func (d *Driver) historyFile() string { return filepath.Join(d.State, "history.jsonl") }
