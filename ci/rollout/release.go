package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Release is everything that an instance is made of, each part by its digest.
// The parts travel together, so that going back takes all of them back.
type Release struct {
	Artifact      string `json:"artifact"`      // the binary or the image
	Configuration string `json:"configuration"` // files beside it
	Environment   string `json:"environment"`   // variables and secrets
	Unit          string `json:"unit"`          // how it is run
}

// Digest names the release: it is another one as soon as one part is.
func (r Release) Digest() string {
	// Four strings are always written, and always in the same way.
	text, _ := json.Marshal(r)
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// short is a digest as people read it.
func short(digest string) string {
	const prefix, shown = len("sha256:"), 12
	if len(digest) <= prefix+shown {
		return digest
	}
	return digest[prefix : prefix+shown]
}
