package changelog

import (
	"regexp"
	"strings"
	"unicode"
)

// maxSummary is how many characters of a commit's first line are told.
const maxSummary = 200

// Parse reads what a commit says about itself. It never fails: what follows no
// convention is its own summary.
func Parse(c Commit) Entry {
	subject, body, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(c.Message, "\ufffd")), "\n")
	entry := Entry{Hash: c.Hash, Group: Others, Summary: oneLine(subject), Breaking: footer(body)}
	if parts := regexp.MustCompile(`^([A-Za-z]+)(?:\(([^()]*)\))?(!)?:\s+(.*\S)\s*$`).FindStringSubmatch(subject); parts != nil {
		if group, ok := groupOf(strings.ToLower(parts[1])); ok {
			entry.Group, entry.Type, entry.Scope, entry.Summary = group, strings.ToLower(parts[1]), oneLine(parts[2]), oneLine(parts[4])
		}
		if parts[3] != "" {
			entry.Group = Breaking
		}
	}
	if strings.HasPrefix(subject, `Revert "`) {
		entry.Group = Reverts
	}
	if entry.Breaking != "" {
		entry.Group = Breaking
	}
	if entry.Summary == "" {
		entry.Summary = "(no message)"
	}
	return entry
}

// groupOf is the group of a commit's type. An unknown word before a colon is
// part of the sentence.
func groupOf(kind string) (Group, bool) {
	switch kind {
	case "feat", "feature":
		return Features, true
	case "fix", "bugfix", "security":
		return Fixes, true
	case "perf":
		return Performance, true
	case "revert":
		return Reverts, true
	case "docs", "doc":
		return Documents, true
	case "build", "chore", "ci", "deps", "refactor", "style", "test", "tests":
		return Others, true
	}
	return "", false
}

// footer is the text after "BREAKING CHANGE:", up to the next footer or empty
// line.
func footer(body string) string {
	var text []string
	inside := false
	for line := range strings.Lines(body) {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if rest, ok := cutBreaking(line); ok {
			text, inside = []string{rest}, true
			continue
		}
		if line == "" || regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(: | #)`).MatchString(line) {
			inside = false
		}
		if inside {
			text = append(text, line)
		}
	}
	return oneLine(strings.Join(text, " "))
}

func cutBreaking(line string) (string, bool) {
	for _, token := range []string{"BREAKING CHANGE:", "BREAKING-CHANGE:"} {
		if rest, ok := strings.CutPrefix(line, token); ok {
			return rest, true
		}
	}
	return "", false
}

// oneLine is a text without line breaks and other control characters, and not
// too long.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > maxSummary {
		return string(runes[:maxSummary-1]) + "…"
	}
	return text
}
