package embedded

import (
	"encoding/json"
	"fmt"
	"os"
)

// runRecord is what later callers must know of the engine that was started last. It is no proof that one runs.
type runRecord struct {
	CLI     string `json:"cli"`
	Codegen string `json:"codegen"`
}

// endpoint is the engine that was started so.
func (r runRecord) endpoint(l layout) Endpoint {
	return Endpoint{Address: l.address(), CLI: r.CLI, Version: Version, Content: l.content(), Codegen: r.Codegen}
}

func readRun(l layout) (runRecord, error) {
	var record runRecord
	content, err := os.ReadFile(l.run())
	if err != nil {
		return record, err
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return record, fmt.Errorf("read %s: %w", l.run(), err)
	}
	_, err = os.Stat(record.CLI)
	return record, err
}

func writeRun(l layout, record runRecord) error {
	content, err := json.Marshal(record)
	if err != nil {
		return err
	}
	temp := l.run() + ".new"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		return fmt.Errorf("record the engine: %w", err)
	}
	return os.Rename(temp, l.run())
}
