package ship

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/ci/oci"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/project"
)

// inputsAnnotation names what an image was made of. It is part of the image, so that it says the same wherever the image is.
const inputsAnnotation = "ci.slipway.image.inputs"

// imageFormat changes when the same inputs would give another image, so that older images are not taken for it.
const imageFormat = 2

// imageInputs is the digest of all that an image is made of: the binaries, as the engine has just said they are, the
// Dockerfile, the base, and what the image says about itself. It is empty for a Dockerfile whose result depends on more.
func imageInputs(app project.App, built pipelines.Built, from pipelines.ImageSource, options oci.Options) (string, error) {
	if app.Image.Base != "" || !closed(from.Dockerfile) {
		return "", nil
	}
	binaries := map[string]string{}
	for _, b := range built.Binaries {
		if b.App.Name == app.Name && b.Target.OS == "linux" {
			binaries[b.Target.Platform()] = b.SHA256
		}
	}
	document, err := json.Marshal(map[string]any{
		"format": imageFormat, "binaries": binaries, "dockerfile": from.Dockerfile, "base": filepath.Base(from.Base), "options": options,
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(document)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// closed tells whether a Dockerfile's image follows from its text and its context alone: nothing is run or fetched.
func closed(dockerfile string) bool {
	for line := range strings.Lines(dockerfile) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		switch strings.ToUpper(fields[0]) {
		case "RUN", "ADD", "ONBUILD":
			return false
		case "FROM":
			if len(fields) < 2 || (fields[1] != "${BASE}" && fields[1] != "$BASE" && fields[1] != "scratch") {
				return false
			}
		case "COPY":
			if strings.Contains(line, "--from") {
				return false
			}
		case "ARG":
			if strings.HasPrefix(fields[len(fields)-1], "BASE=") && fields[len(fields)-1] != "BASE=scratch" {
				return false
			}
		}
	}
	return !strings.HasPrefix(strings.TrimSpace(dockerfile), "# syntax") && !strings.HasPrefix(strings.TrimSpace(dockerfile), "#syntax")
}

// reuse links the image of an earlier run into the staging directory, if it was made of the same inputs and is whole: every
// blob is read and held against its digest.
func (a *assembly) reuse(app project.App, inputs string) (digest v1.Hash, ok bool) {
	if inputs == "" || a.run.options.NoCache {
		return digest, false
	}
	from := filepath.Join(a.run.dist.dir, imagesDir, app.Name)
	digest, annotations, err := oci.VerifyLayout(from)
	if err != nil || annotations[inputsAnnotation] != inputs {
		return digest, false
	}
	to := filepath.Join(a.run.dist.staging, imagesDir, app.Name)
	if err := linkTree(to, from); err != nil {
		_ = os.RemoveAll(to) // it is assembled instead
		return digest, false
	}
	return digest, true
}

// linkTree makes a directory with links to the files of another.
func linkTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}
