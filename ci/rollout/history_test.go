package rollout

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func records(lines ...string) (history []Record) {
	for _, line := range lines {
		record := Record{Action: Deploy, Outcome: Done, Release: line[1:]}
		switch line[0] {
		case '<':
			record.Action = Rollback
		case '!':
			record.Outcome = RolledBack
		}
		history = append(history, record)
	}
	return history
}

func TestLastGood(t *testing.T) {
	for _, c := range []struct {
		wanted  string
		history []Record
	}{
		{"1", records("+1", "+2")},
		{"1", records("+1", "+2", "+2")},
		{"1", records("+1", "!3", "+2", "!4")},
		{"1", records("+1", "+2", "<1")},
		{"1", records("+1", "+2", "<1", "<1")},
		{"1", records("+1", "+2", "<1", "+3")},
		{"2", records("+1", "+2", "+1")},
	} {
		found, err := LastGood(c.history)
		require.NoError(t, err)
		assert.Equal(t, c.wanted, found.Release, "%v", c.history)
	}
	for _, history := range [][]Record{nil, records("+1"), records("!1", "+2", "+2"), records("!1")} {
		_, err := LastGood(history)
		assert.ErrorIs(t, err, ErrNoWayBack)
	}
}

func TestFind(t *testing.T) {
	kept := []Kept{{Digest: "sha256:0123456789abcdef", Version: "1.0.0"}, {Digest: "sha256:fedcba9876543210", Version: "1.1.0"}, {Digest: "sha256:aaaabbbbccccdddd", Version: "1.1.0"}}
	for want, digest := range map[string]string{
		"1.0.0": "sha256:0123456789abcdef", "v1.0.0": "sha256:0123456789abcdef", "sha256:fedcba9876543210": "sha256:fedcba9876543210",
		"fedcba987654": "sha256:fedcba9876543210", "1.1.0": "sha256:aaaabbbbccccdddd",
	} {
		found, err := Find(kept, want)
		require.NoError(t, err)
		assert.Equal(t, digest, found.Digest, want)
	}
	_, err := Find(kept, "2.0.0")
	assert.ErrorContains(t, err, `there is no release "2.0.0": there are 1.1.0 (aaaabbbbcccc), 1.1.0 (fedcba987654), 1.0.0 (0123456789ab)`)
	_, err = Find(nil, "2.0.0")
	assert.ErrorContains(t, err, "none is kept")
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		version, than string
		older, known  bool
	}{
		{"1.2.3", "1.2.4", true, true}, {"1.10.0", "1.9.0", false, true}, {"1.2.3", "1.2.3-4-gabc1234", true, true},
		{"1.2.3-10-gabc1234", "1.2.3-9-gdef1234-dirty", false, true}, {"v1.2.3", "1.2.3", false, true}, {"1.2.3-rc.1", "1.2.3", false, false},
		{"0.0.0-unversioned", "1.0.0", false, false}, {"", "1.0.0", false, false}, {"1.2", "1.3", false, false},
	} {
		older, known := Older(c.version, c.than)
		assert.Equal(t, [2]bool{c.older, c.known}, [2]bool{older, known}, "%s than %s", c.version, c.than)
	}
}
