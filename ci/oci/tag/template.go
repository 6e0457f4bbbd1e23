package tag

import (
	"errors"
	"fmt"
	"regexp"
)

// fields are what templates know. Version and Commit name a content, the
// others what moves on.
func fields(v Version) map[string]string {
	p := parse(v)
	known := map[string]string{"Version": v.Version, "Major": p.major, "Minor": p.minor, "Commit": v.Commit, "Short": short(v.Commit)}
	if v.Dirty { // what is built is not what the commit has
		known["Commit"], known["Short"] = "", ""
	}
	return known
}

func (t *Tags) templates(v Version, templates []string) error {
	known := fields(v)
	var problems []error
	for _, template := range templates {
		name, lacking, err := expand(template, known)
		switch {
		case err != nil:
			problems = append(problems, err)
		case lacking != "":
			t.without(fmt.Sprintf("%s: this version has no %s", template, lacking))
		case name == "latest":
			t.latest(v)
		default:
			t.add(name, v.fixed() && fixes(template), "the template "+template)
		}
	}
	if len(problems) == 0 && len(t.Tags) == 0 {
		return fmt.Errorf("choose tags: no template gives one for version %s: add {{.Version}}", v.Version)
	}
	if len(problems) > 0 {
		return fmt.Errorf("choose tags: %w", errors.Join(problems...))
	}
	return nil
}

// Check says what is wrong with a template, whatever the version.
func Check(template string) error {
	known := fields(Version{Version: "1.2.3", Commit: "0123456789abcdef0123456789abcdef01234567"})
	_, _, err := expand(template, known)
	return err
}

// expand fills a template in. lacking is a field that it wants and that is
// empty. Nothing but fields can be in a template.
func expand(template string, known map[string]string) (name, lacking string, err error) {
	expression := regexp.MustCompile(`\{\{\s*\.([A-Za-z]+)\s*\}\}`)
	name = expression.ReplaceAllStringFunc(template, func(field string) string {
		key := expression.FindStringSubmatch(field)[1]
		value, ok := known[key]
		switch {
		case !ok:
			err = fmt.Errorf("template %q has the field .%s: known are .Version, .Major, .Minor, .Commit and .Short", template, key)
		case value == "":
			lacking = "." + key
		}
		return value
	})
	if rest := expression.ReplaceAllString(template, "x"); err == nil && !Valid(rest) {
		err = fmt.Errorf("template %q is no tag: it may hold letters, digits, dots, - and _, and fields such as {{.Version}}, and starts with a letter, a digit or _", template)
	}
	return name, lacking, err
}

// fixes says whether a template names one content.
func fixes(template string) bool {
	return regexp.MustCompile(`\{\{\s*\.(Version|Commit|Short)\s*\}\}`).MatchString(template)
}
