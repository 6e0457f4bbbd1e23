package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/slipway-ci/slipway/ci/rollout/host/protocol"
)

const historyFile = "history.jsonl"

// record appends to the history. An entry that came already, because its answer was lost, is not written again.
func (s *service) record(ctx context.Context, r protocol.Request) error {
	if r.Entry == nil {
		return refuse("", "record: there is no entry")
	}
	unlock, err := s.lock(ctx, stateLock, patience)
	if err != nil {
		return err
	}
	defer unlock()
	data, err := s.store.ReadFile(s.file(historyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read history: %w", err)
	}
	entries, _ := parseHistory(data)
	entry := *r.Entry
	entry.ID = r.ID
	for _, e := range entries {
		if e.ID != "" && e.ID == entry.ID {
			return nil
		}
	}
	line, err := chain(entries, entry, time.Now())
	if err != nil {
		return err
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		line = append([]byte{'\n'}, line...) // the last one was cut off
	}
	return s.append(historyFile, line)
}

// chain makes an entry the next one.
func chain(before []protocol.Entry, entry protocol.Entry, now time.Time) ([]byte, error) {
	last := protocol.Entry{}
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	entry.Seq, entry.At = last.Seq+1, now.UTC().Format(time.RFC3339)
	hash, err := hashOf(last.Hash, entry)
	if err != nil {
		return nil, err
	}
	entry.Hash = hash
	line, err := json.Marshal(entry)
	if err != nil {
		return nil, fmt.Errorf("write history: %w", err)
	}
	return append(line, '\n'), nil
}

// hashOf is that of an entry after another one.
func hashOf(before string, entry protocol.Entry) (string, error) {
	entry.Hash = ""
	text, err := json.Marshal(entry)
	if err != nil {
		return "", fmt.Errorf("write history: %w", err)
	}
	sum := sha256.Sum256(append([]byte(before+"\n"), text...))
	return hex.EncodeToString(sum[:]), nil
}

func (s *service) append(name string, line []byte) error {
	f, err := s.store.OpenFile(s.file(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	if _, err := f.Write(line); err != nil {
		f.Close()
		return fmt.Errorf("write history: %w", err)
	}
	return finish(f, name, 0o640)
}

// history are all entries, and where the chain does not hold.
func (s *service) history() ([]protocol.Entry, string, error) {
	data, err := s.store.ReadFile(s.file(historyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read history: %w", err)
	}
	entries, broken := parseHistory(data)
	return entries, broken, nil
}

// parseHistory reads what can be read. A line that was cut off in the middle breaks no chain: nothing was built on it.
func parseHistory(data []byte) (entries []protocol.Entry, broken string) {
	before := protocol.Entry{}
	for line := range bytes.Lines(data) {
		var entry protocol.Entry
		if err := json.Unmarshal(line, &entry); err != nil {
			continue
		}
		hash, err := hashOf(before.Hash, entry)
		if broken == "" && (err != nil || hash != entry.Hash || entry.Seq != before.Seq+1) {
			broken = fmt.Sprintf("entry %d does not follow the one before it: the history was changed", entry.Seq)
		}
		entries, before = append(entries, entry), entry
	}
	return entries, broken
}
