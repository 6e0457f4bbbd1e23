// Package scaffold writes the files with which a project starts to use Slipway: slipway.yaml, a workflow for a CI system, a
// Makefile. All of it is made of what inference has found. [Files] only decides what the files say; [Plan] compares them with
// what is there, and [Write] writes those that are new.
package scaffold

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/slipway-ci/slipway/ci/project"
)

// CI names a system that runs the project.
type CI string

// The systems that there are files for.
const (
	GitHub  CI = "github"
	GitLab  CI = "gitlab"
	Jenkins CI = "jenkins"
)

// Systems lists them as --ci takes them.
func Systems() []CI { return []CI{GitHub, GitLab, Jenkins} }

// Options says what is wanted.
type Options struct {
	Project  project.Project // as inferred, without a slipway.yaml
	Base     string          // the project's directory, relative to Project.Root
	Dir      string          // the project's directory, relative to the top of the repository: "." or "sub"
	CI       CI              // "" for none
	Makefile bool
	Slipway  string // version of this program
}

// File is one file, relative to the top of the repository.
type File struct {
	Path string
	Text string
	// Lines are added to what is there, when they are not there yet; Text is empty then.
	Lines []string
}

//go:embed templates
var templates embed.FS

// Files are the files that a project needs. That what was asked for is among them does not depend on what is there.
func Files(o Options) ([]File, error) {
	v := valuesOf(o)
	files := []File{{Path: path.Join(o.Dir, "slipway.yaml")}, {Path: path.Join(o.Dir, ".gitignore"), Lines: []string{"/dist/"}}}
	names := []string{"slipway.yaml", ""}
	add := func(template, to string) { files, names = append(files, File{Path: to}), append(names, template) }
	switch o.CI {
	case GitHub:
		add("github.yml", ".github/workflows/"+v.Title+".yml")
		add("dependabot.yml", ".github/dependabot.yml")
	case GitLab:
		add("gitlab.yml", ".gitlab-ci.yml")
	case Jenkins:
		add("Jenkinsfile", "Jenkinsfile")
	}
	if o.Makefile {
		add("Makefile", path.Join(o.Dir, "Makefile"))
	}
	for i, name := range names {
		if name == "" {
			continue
		}
		text, err := render(name, v)
		if err != nil {
			return nil, err
		}
		files[i].Text = text
	}
	return files, nil
}

func render(name string, v values) (string, error) {
	t, err := template.New(name).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": quote, "list": list, "groovy": groovy,
	}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return "", fmt.Errorf("read the template of %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return b.String(), nil
}

// quote is a text as YAML, plain where that cannot be misread.
func quote(text string) string {
	if isPlain(text) {
		return text
	}
	quoted, err := json.Marshal(text) // JSON is YAML
	if err != nil {
		panic(err) // a string
	}
	return string(quoted)
}

// isPlain errs on the side of quotes.
func isPlain(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if text == "." || text == "" || strings.TrimSpace(text) != text || strings.Trim(text, letters+"0123456789./-_@ ") != "" {
		return text == "."
	}
	reserved := []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
	return strings.ContainsRune(letters+"/.", rune(text[0])) && strings.ContainsAny(text, letters) && !slices.Contains(reserved, strings.ToLower(text))
}

// list is a list on one line of YAML.
func list(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// groovy is a text in single quotes, as Jenkins reads it.
func groovy(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(text) + "'"
}
