package forge

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/slipway-ci/slipway/ci/report"
)

// Output is a value for what comes after the run: other steps and jobs.
type Output struct{ Name, Value string }

// Outputs are what a run tells those who come after it. Image and digest are those of the first app that has one; images has all
// of them. What there is none of is empty, so that a value of an earlier step does not stay.
func Outputs(run report.Run, dist string) []Output {
	images := imagesOf(run)
	first := image{}
	if len(images) > 0 {
		first = images[0]
	}
	release := ""
	if len(run.Releases) > 0 {
		release = run.Releases[0].URL
	}
	return []Output{
		{"version", run.Version},
		{"commit", run.Commit},
		{"exit-code", strconv.Itoa(run.ExitCode)},
		{"dist", dist},
		{"image", first.Reference},
		{"digest", first.Digest},
		{"tags", strings.Join(first.Tags, ",")},
		{"images", asJSON(images)},
		{"release", release},
	}
}

// image is one app's image, as others get it from the output images.
type image struct {
	App       string   `json:"app"`
	Digest    string   `json:"digest"`
	Reference string   `json:"reference"` // by digest; "" when it was not published
	Tags      []string `json:"tags"`
}

func imagesOf(run report.Run) []image {
	images := []image{}
	published := map[string]report.Published{}
	for _, p := range run.Published {
		published[p.App] = p
	}
	for _, a := range run.Artifacts {
		if a.Kind != report.KindImage {
			continue
		}
		made := image{App: a.Name, Digest: a.Digest, Tags: []string{}}
		if p, ok := published[a.Name]; ok {
			made.Digest, made.Reference, made.Tags = p.Digest, p.Reference(), p.Tags
		}
		images = append(images, made)
	}
	return images
}

func asJSON(images []image) string {
	text, err := json.Marshal(images)
	if err != nil {
		return "[]" // strings alone: cannot be
	}
	return string(text)
}
