package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxInclude is how deep files may include files, as with OpenSSH.
const maxInclude = 16

// maxConfig is how large a configuration file may be.
const maxConfig = 1 << 20

// values are what the configuration says about a machine, by keyword in lower case. The first value counts. Keywords that
// may be there several times have all.
type values map[string][]string

func (v values) first(keyword string) string {
	if list := v[keyword]; len(list) > 0 {
		return list[0]
	}
	return ""
}

var accumulates = []string{"identityfile", "certificatefile"}

// reader reads configuration for one machine. original is its name as it was given.
type reader struct {
	Options
	original string
	user     string // as asked for
	values   values
}

// configuration is what OpenSSH's files say about a machine: the user's file first, then the system's.
func (o Options) configuration(asked hop) (values, error) {
	r := &reader{Options: o, original: asked.host, user: asked.user, values: values{}}
	for _, file := range []string{o.userFile("config"), filepath.Join(o.System, "ssh_config")} {
		if err := r.file(file, true, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read SSH configuration: %w", err)
		}
	}
	return r.values, nil
}

// file reads a file whose lines are in a block that applies, or not.
func (r *reader) file(name string, applies bool, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("%s: files include each other more than %d times", name, maxInclude)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	active := applies
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxConfig)
	for number := 1; lines.Scan(); number++ {
		words, err := split(lines.Text())
		if err == nil && len(words) > 0 {
			active, err = r.line(name, strings.ToLower(words[0]), words[1:], applies, active, depth)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	return lines.Err()
}

// line takes one line, and says whether the next ones apply.
func (r *reader) line(file, keyword string, args []string, outer, active bool, depth int) (bool, error) {
	if len(args) == 0 {
		return active, fmt.Errorf("%s has no value", keyword)
	}
	switch keyword {
	case "host":
		return outer && matches(args, r.original), nil
	case "match":
		return outer && r.match(args), nil
	case "include":
		return active, r.include(file, args, active, depth)
	}
	if !active {
		return active, nil
	}
	if slices.Contains(accumulates, keyword) {
		r.values[keyword] = append(r.values[keyword], args...)
	} else if _, ok := r.values[keyword]; !ok {
		r.values[keyword] = args
	}
	return active, nil
}

// include reads files beside the one that names them. What is not there is left out, as with OpenSSH.
func (r *reader) include(file string, patterns []string, active bool, depth int) error {
	if !active {
		return nil // a file's own Host lines never apply in a block that does not
	}
	base := r.System
	if !strings.HasPrefix(file, r.System+string(filepath.Separator)) {
		base = filepath.Join(r.Home, ".ssh")
	}
	for _, pattern := range patterns {
		pattern = r.tilde(pattern)
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(base, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("include %s: %w", pattern, err)
		}
		for _, name := range found {
			if err := r.file(name, active, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// match decides a Match line. A criterion that would run a command, or that is not known, is not met, also when it is negated.
func (r *reader) match(args []string) bool {
	for len(args) > 0 {
		criterion, negated := strings.CutPrefix(strings.ToLower(args[0]), "!")
		criterion, value, attached := strings.Cut(criterion, "=")
		args = args[1:]
		if criterion == "all" {
			continue
		}
		if !attached {
			if len(args) == 0 {
				return false
			}
			value, args = args[0], args[1:]
		}
		subject, known := r.subject(criterion)
		if !known || matches(strings.Split(value, ","), subject) == negated {
			return false
		}
	}
	return true
}

// subject is what a criterion looks at.
func (r *reader) subject(criterion string) (string, bool) {
	switch criterion {
	case "originalhost":
		return r.original, true
	case "host":
		if name := r.values.first("hostname"); name != "" {
			return expand(name, map[byte]string{'h': r.original}), true
		}
		return r.original, true
	case "user":
		if r.user != "" {
			return r.user, true
		}
		if name := r.values.first("user"); name != "" {
			return name, true
		}
		return r.User, true
	case "localuser":
		return r.User, true
	}
	return "", false
}

// matches decides a list of patterns: one has to match, and none that is negated may.
func matches(patterns []string, name string) bool {
	found := false
	for _, pattern := range patterns {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if wildcard(pattern, name) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// wildcard knows * and ?, in time that does not explode with the number of stars.
func wildcard(pattern, name string) bool {
	star, mark, p, n := -1, 0, 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// split takes a line apart: a keyword, an optional =, and values, with quotes. A # begins a comment.
func split(line string) ([]string, error) {
	var words []string
	for rest := strings.TrimSpace(line); rest != "" && rest[0] != '#'; rest = strings.TrimLeft(rest, " \t\r\f") {
		word, after, err := next(rest, len(words) == 0)
		if err != nil {
			return nil, err
		}
		words, rest = append(words, word), after
		if len(words) == 1 {
			rest = strings.TrimLeft(rest, " \t\r\f")
			rest = strings.TrimPrefix(rest, "=")
		}
	}
	return words, nil
}

// next takes one word off. The keyword also ends at =.
func next(text string, keyword bool) (word, rest string, err error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && strings.IndexByte(`"'\ `, text[i+1]) >= 0 && (text[i+1] != ' ' || quote == 0):
			i++
			b.WriteByte(text[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (strings.IndexByte(" \t\r\f", c) >= 0 || keyword && c == '='):
			return b.String(), text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

// tilde is a path with ~ as the home directory.
func (o Options) tilde(path string) string {
	if path == "~" {
		return o.Home
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(o.Home, rest)
	}
	return path
}

// expand replaces % and its letter. What is not known stays.
func expand(text string, tokens map[byte]string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if value, ok := tokens[text[i]]; ok {
			b.WriteString(value)
		} else if text[i] == '%' {
			b.WriteByte('%')
		} else {
			b.WriteString(text[i-1 : i+1])
		}
	}
	return b.String()
}
