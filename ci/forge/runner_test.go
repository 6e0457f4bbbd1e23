package forge_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// What the runner of GitHub Actions makes of a log and of its files, as its source has it (ActionCommand.cs,
// ActionCommandManager.cs, FileCommandManager.cs of actions/runner, August 2026). It is written from what they do, so that it can
// disagree with what is tried here.

// command is a line that the runner carried out.
type command struct {
	name       string
	properties map[string]string
	data       string
}

// commandNames are those that the runner knows, in lower case.
var commandNames = []string{
	"add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "internal-set-repo-path", "notice",
	"remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
}

var lineEnd = regexp.MustCompile(`\r\n|\r|\n`)

// carriedOut are the commands in a log.
func carriedOut(log string) []command {
	var found []command
	for _, line := range lineEnd.Split(log, -1) {
		if c, ok := colons(line); ok {
			found = append(found, c)
		} else if c, ok := hashes(line); ok {
			found = append(found, c)
		}
	}
	return found
}

var (
	ofColons = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
	ofHashes = strings.NewReplacer("%3B", ";", "%0D", "\r", "%0A", "\n", "%5D", "]", "%25", "%")
)

// colons reads "::name key=value,key=value::data".
func colons(line string) (command, bool) {
	line = strings.TrimLeftFunc(line, unicode.IsSpace)
	rest, ok := strings.CutPrefix(line, "::")
	if !ok {
		return command{}, false
	}
	info, data, ok := strings.Cut(rest, "::")
	if !ok {
		return command{}, false
	}
	return newCommand(info, data, ",", ofColons)
}

// hashes reads "##[name key=value;key=value]data", which may stand anywhere in a line.
func hashes(line string) (command, bool) {
	_, rest, ok := strings.Cut(line, "##[")
	if !ok {
		return command{}, false
	}
	info, data, ok := strings.Cut(rest, "]")
	if !ok {
		return command{}, false
	}
	return newCommand(info, data, ";", ofHashes)
}

func newCommand(info, data, separator string, unescape *strings.Replacer) (command, bool) {
	name, properties, _ := strings.Cut(info, " ")
	if !slices.Contains(commandNames, strings.ToLower(name)) {
		return command{}, false
	}
	c := command{name: strings.ToLower(name), properties: map[string]string{}, data: unescape.Replace(data)}
	for pair := range strings.SplitSeq(properties, separator) {
		if key, value, ok := strings.Cut(pair, "="); ok && key != "" && value != "" {
			c.properties[key] = unescape.Replace(value)
		}
	}
	return c, true
}

// pairs reads a file of outputs.
func pairs(text string) (map[string]string, error) {
	found := map[string]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" {
			continue
		}
		equals, heredoc := strings.Index(lines[i], "="), strings.Index(lines[i], "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			found[lines[i][:equals]] = lines[i][equals+1:]
		case heredoc > 0:
			name, delimiter := lines[i][:heredoc], lines[i][heredoc+2:]
			end := slices.Index(lines[i+1:], delimiter)
			if end < 0 {
				return nil, fmt.Errorf("no end of %q after %v", name, slices.Collect(maps.Keys(found)))
			}
			found[name] = strings.Join(lines[i+1:i+1+end], "\n")
			i += end + 1
		default:
			return nil, fmt.Errorf("line %q", lines[i])
		}
	}
	return found, nil
}
