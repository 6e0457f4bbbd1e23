package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Action is what a rollout was for.
type Action string

// The actions.
const (
	Deploy   Action = "deploy"
	Rollback Action = "rollback"
)

// Record is one line of a target's history: who released what, when, and how it ended.
type Record struct {
	Seq     uint64  `json:"seq"`
	At      string  `json:"at"` // RFC 3339, by the target's clock; order is by Seq
	Actor   string  `json:"actor"`
	Action  Action  `json:"action"`
	Release string  `json:"release"`
	Version string  `json:"version"`
	Commit  string  `json:"commit,omitempty"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	Parts   Release `json:"parts,omitzero"` // of Release, where the target does not keep them itself
}

// Kept is a release that a target can go back to.
type Kept struct {
	Digest  string `json:"digest"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

// ErrNoWayBack says that there is no release to go back to.
var ErrNoWayBack = errors.New("there is no good release before the one that runs: deploy one with --release")

// LastGood is the release that a rollback without a name takes: the good one before the last that was deployed. After a rollback
// it is the one that was rolled back to, so that asking twice changes nothing. The newest record is last.
func LastGood(history []Record) (Record, error) {
	good := slices.DeleteFunc(slices.Clone(history), func(r Record) bool { return r.Outcome != Done })
	if len(good) == 0 {
		return Record{}, ErrNoWayBack
	}
	last := good[len(good)-1]
	if last.Action == Rollback {
		return last, nil
	}
	for _, record := range slices.Backward(good) {
		if record.Release != last.Release {
			return record, nil
		}
	}
	return Record{}, ErrNoWayBack
}

// Find is the release of a version, or of a digest or the beginning of one. Of several with the same version, which differ in their
// configuration, it is the newest; the newest is last.
func Find(kept []Kept, want string) (Kept, error) {
	var names []string
	for _, release := range slices.Backward(kept) {
		if release.Version == want || release.Version == strings.TrimPrefix(want, "v") || release.Digest == want || short(release.Digest) == want {
			return release, nil
		}
		names = append(names, fmt.Sprintf("%s (%s)", release.Version, short(release.Digest)))
	}
	if len(names) == 0 {
		return Kept{}, fmt.Errorf("there is no release %q: none is kept", want)
	}
	return Kept{}, fmt.Errorf("there is no release %q: there are %s", want, strings.Join(slices.Compact(names), ", "))
}

// Short is a digest as people read it.
func Short(digest string) string { return short(digest) }

// Older says whether a version comes before another one, as tags and the commits since them tell. Known is false where they do not.
func Older(version, than string) (older, known bool) {
	one, ok := ordinal(version)
	two, fine := ordinal(than)
	if !ok || !fine {
		return false, false
	}
	return slices.Compare(one, two) < 0, true
}

// ordinal is 1.2.3-4-gabc1234 as 1, 2, 3, 4. Other versions have no order that is sure.
func ordinal(version string) ([]int, bool) {
	version = strings.TrimSuffix(strings.TrimPrefix(version, "v"), "-dirty")
	core, since, described := strings.Cut(version, "-")
	if described {
		var commit string
		since, commit, _ = strings.Cut(since, "-")
		if !strings.HasPrefix(commit, "g") {
			return nil, false
		}
	}
	parts := append(strings.Split(core, "."), cmp.Or(since, "0"))
	numbers := make([]int, len(parts))
	for i, part := range parts {
		number, err := strconv.Atoi(part)
		if err != nil || number < 0 {
			return nil, false
		}
		numbers[i] = number
	}
	return numbers, len(numbers) == 4
}
