package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// marker starts the first line of each unit that we write. What follows it says of which release it is, and what the rest
// of the file was like.
const marker = "# managed by slipway: "

// unitFile is a unit as it is on disk.
type unitFile struct {
	there   bool
	managed bool   // it was written by us
	edited  bool   // and changed by somebody else since
	release string // "" for a proxy's or a guard's
	text    string // without the marker
}

// whole says that it is as we left it.
func (u unitFile) whole() bool { return u.there && u.managed && !u.edited }

// mark is the content of a unit's file.
func mark(release, text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%srelease=%s sha256=%s\n%s", marker, release, hex.EncodeToString(sum[:]), text)
}

// parseUnit tells ours from others', and whether it was changed.
func parseUnit(content string) unitFile {
	first, text, _ := strings.Cut(content, "\n")
	said, ok := strings.CutPrefix(first, marker)
	release, sum, found := strings.Cut(strings.TrimPrefix(said, "release="), " sha256=")
	if !ok || !found {
		return unitFile{there: true, text: content}
	}
	if _, err := checkDigest(release); err != nil && release != "" {
		return unitFile{there: true, text: content}
	}
	real := sha256.Sum256([]byte(text))
	return unitFile{there: true, managed: true, edited: sum != hex.EncodeToString(real[:]), release: release, text: text}
}

func readUnit(units disk, name string) (unitFile, error) {
	content, err := units.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return unitFile{}, nil
	}
	if err != nil {
		return unitFile{}, fmt.Errorf("read unit: %w", err)
	}
	return parseUnit(string(content)), nil
}

// writeUnit writes a unit unless it is there already, and says whether it did. What others wrote or changed is refused.
func writeUnit(units disk, name, release, text string) (bool, error) {
	current, err := readUnit(units, name)
	if err != nil {
		return false, err
	}
	if err := current.ours(name); err != nil {
		return false, err
	}
	if current.whole() && current.text == text && current.release == release {
		return false, nil
	}
	return true, replace(units, name, 0o644, []byte(mark(release, text)))
}

// ours refuses what is not.
func (u unitFile) ours(name string) error {
	switch {
	case u.there && !u.managed:
		return refuse("rename the app or the environment, or remove that unit", "the unit %s is there, and slipway did not write it", name)
	case u.edited:
		return refuse("move the change into slipway.yaml or into a drop-in (systemctl edit "+name+"), and remove the file: the next deploy writes it anew",
			"the unit %s was changed by hand", name)
	}
	return nil
}
