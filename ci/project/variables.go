package project

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// Variables puts together what a release is told, from the weakest to the
// strongest: a file, the environment section, the command line. What the image
// or unit says itself is weaker than all of them. Secrets are none of it.
func (e Environment) Variables(file map[string]string, flags []string) (map[string]string, error) {
	all := maps.Clone(file)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, e.Env)
	var wrong []error
	for _, flag := range flags {
		name, value, found := strings.Cut(flag, "=")
		if !found {
			wrong = append(wrong, fmt.Errorf("-e %s: write NAME=value", name))
			continue
		}
		if what, hint := wrongVariable(name, value); what != "" {
			wrong = append(wrong, fmt.Errorf("-e: %s: %s", what, hint))
		}
		all[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(e.Secrets)) {
		if _, plain := all[name]; plain {
			wrong = append(wrong, fmt.Errorf("%s is a secret, and a plain variable of the environment file or of -e: take one of them away", name))
		}
	}
	return all, errors.Join(wrong...)
}

// ReadVariables reads the environment file. Without one there are none.
func (e Environment) ReadVariables() (map[string]string, error) {
	if e.EnvFile == "" {
		return map[string]string{}, nil
	}
	text, err := os.ReadFile(e.EnvFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("environments.%s.envFile: there is no file %s", e.Name, e.EnvFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read envFile: %w", err)
	}
	variables, err := ParseVariables(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.EnvFile, err)
	}
	return variables, nil
}

// ParseVariables reads lines of NAME=value. Empty lines and those that begin with # count for nothing, and "export " before a name
// does not matter. A value in single quotes is taken as it is; in double quotes \n, \t, \r, \", \\ and \$ mean what they mean in
// a shell; both may go over several lines. Without quotes the line is the value, without the spaces around it. Nothing is
// expanded: $HOME stays $HOME. An error names the line, and never its value.
func ParseVariables(text string) (map[string]string, error) {
	all := map[string]string{}
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	for line := 1; text != ""; {
		name, value, rest, err := nextVariable(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if name != "" {
			if wrong, hint := wrongVariable(name, value); wrong != "" {
				return nil, fmt.Errorf("line %d: %s: %s", line, wrong, hint)
			}
			all[name] = value
		}
		line += strings.Count(text[:len(text)-len(rest)], "\n")
		text = rest
	}
	return all, nil
}

// nextVariable takes one line from a text, or more where quotes go on. The name is "" where there is none.
func nextVariable(text string) (name, value, rest string, err error) {
	line, after, _ := strings.Cut(text, "\n")
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		return "", "", after, nil
	}
	before, _, found := strings.Cut(line, "=")
	if !found {
		return "", "", "", errors.New("there is no = in it: write NAME=value")
	}
	name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(before), "export "))
	value = strings.TrimLeft(text[len(before)+1:], " \t")
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return name, strings.TrimSpace(line[len(before)+1:]), after, nil
	}
	value, rest, err = unquote(value[1:], value[0])
	if err != nil {
		return "", "", "", err
	}
	tail, rest, _ := strings.Cut(rest, "\n")
	if tail = strings.TrimSpace(tail); tail != "" && tail[0] != '#' {
		return "", "", "", errors.New("something follows the closing quote")
	}
	return name, value, rest, nil
}

// unquote reads up to the closing quote, which may be lines away.
func unquote(text string, quote byte) (value, rest string, err error) {
	var b strings.Builder
	escapes := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '"': '"', '\\': '\\', '$': '$'}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return b.String(), text[i+1:], nil
		case c == '\\' && quote == '"' && i+1 < len(text) && escapes[text[i+1]] != 0:
			i++
			b.WriteByte(escapes[text[i]])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", fmt.Errorf("the quote %c is not closed", quote)
}

// wrongVariable says why a variable cannot be, without its value.
func wrongVariable(name, value string) (what, hint string) {
	switch {
	case !ruleOf("environmentVariable").allows(name):
		return fmt.Sprintf("%q is no name of a variable", name), "letters, digits and _"
	case !ruleOf("noNUL").allows(value):
		return name + " has a NUL byte, which no environment can hold", "remove it"
	case name == portVariable:
		return portVariable + " is decided elsewhere: each instance is told its own", "remove it, or see ports"
	}
	return "", ""
}
