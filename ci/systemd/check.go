package systemd

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxValue is how long one value may be. systemd reads lines up to a megabyte.
const maxValue = 128 << 10

// check finds everything that is wrong with a service.
func (s Service) check() error {
	problems := slices.Concat(s.checkIdentity(), s.checkCommand(), s.checkEnvironment(), s.checkPaths(), s.checkNumbers(), checkRelaxations(s.Relax))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("write unit of %q: %w", s.Name, err)
	}
	return nil
}

func (s Service) checkIdentity() []error {
	var problems []error
	if !validName(s.Name) {
		problems = append(problems, fmt.Errorf("name %q: it may have 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", s.Name))
	}
	for what, account := range map[string]string{"user": s.User, "group": s.Group} {
		if account != "" && !validAccount(account) {
			problems = append(problems, fmt.Errorf("%s %q: it may have 1 to 31 of a-z, 0-9, _ and -, and starts with a letter or _", what, account))
		}
	}
	if s.Dynamic && s.User == "" {
		problems = append(problems, errors.New("an account that others share needs a name"))
	}
	for _, socket := range s.Sockets {
		if !validName(socket) {
			problems = append(problems, fmt.Errorf("socket %q: it may have 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", socket))
		}
	}
	if s.Group != "" && s.User == "" {
		problems = append(problems, errors.New("a group needs a user: without one, systemd makes both"))
	}
	if err := oneLine(s.Description); err != nil {
		problems = append(problems, fmt.Errorf("description %q %w", s.Description, err))
	}
	if s.Homepage != "" && !validURL(s.Homepage) {
		problems = append(problems, fmt.Errorf("homepage %q: it starts with https:// or http://, and has no spaces, quotes or \\", s.Homepage))
	}
	return sorted(problems)
}

func (s Service) checkCommand() []error {
	if len(s.Command) == 0 {
		return []error{errors.New("there is no command")}
	}
	var problems []error
	if !validPath(s.Command[0]) {
		problems = append(problems, fmt.Errorf("program %q: %s", s.Command[0], pathRule))
	}
	for i, arg := range s.Command[1:] {
		if err := holds(arg); err != nil {
			problems = append(problems, fmt.Errorf("argument %d %w", i+1, err))
		}
	}
	return problems
}

// checkEnvironment never shows a value: it may be a secret that got here by mistake.
func (s Service) checkEnvironment() []error {
	problems := checkVariables(s.Environment)
	if s.Port != 0 && slices.ContainsFunc(s.Environment, func(v Variable) bool { return v.Name == "PORT" }) {
		problems = append(problems, errors.New("variable PORT: the port says it already"))
	}
	seen := map[string]bool{}
	for _, c := range s.Credentials {
		switch {
		case !validCredential(c.Name):
			problems = append(problems, fmt.Errorf("credential %q: its name may have letters, digits, _, . and -, and starts with a letter, a digit or _", c.Name))
		case seen[c.Name]:
			problems = append(problems, fmt.Errorf("credential %q is there twice", c.Name))
		case !validPath(c.File):
			problems = append(problems, fmt.Errorf("file %q of credential %s: %s", c.File, c.Name, pathRule))
		}
		seen[c.Name] = true
	}
	return problems
}

func checkVariables(list []Variable) []error {
	var problems []error
	seen := map[string]bool{}
	for _, v := range list {
		if !validVariable(v.Name) {
			problems = append(problems, fmt.Errorf("variable %q: its name may have letters, digits and _, and starts with no digit", v.Name))
			continue
		}
		if seen[v.Name] {
			problems = append(problems, fmt.Errorf("variable %s is there twice", v.Name))
		}
		seen[v.Name] = true
		if err := holds(v.Value); err != nil {
			problems = append(problems, fmt.Errorf("variable %s %w", v.Name, err))
		}
	}
	return problems
}

func (s Service) checkPaths() []error {
	var problems []error
	paths := slices.Clone(s.Writable)
	for _, file := range s.EnvironmentFiles {
		paths = append(paths, strings.TrimPrefix(file, "-"))
	}
	for _, path := range []string{s.Directory, s.LogFile} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if !validPath(path) {
			problems = append(problems, fmt.Errorf("path %q: %s", path, pathRule))
		}
	}
	for what, name := range map[string]string{"state": s.State, "runtime": s.Runtime} {
		if name != "" && slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return !validName(part) }) {
			problems = append(problems, fmt.Errorf("%s directory %q: it may have a-z, 0-9 and -, with a letter or digit at both ends, and / between such names", what, name))
		}
	}
	return sorted(problems)
}

func (s Service) checkNumbers() []error {
	var problems []error
	if s.Port < 0 || s.Port > 65535 {
		problems = append(problems, fmt.Errorf("port %d: there are 1 to 65535", s.Port))
	}
	if s.Port > 0 && s.Port < 1024 && !s.relaxes(LowPorts) {
		problems = append(problems, fmt.Errorf("port %d is below 1024, for which a service needs a privilege: use a higher one, or the relaxation %s", s.Port, LowPorts))
	}
	if s.Watchdog != 0 && !s.Notify {
		problems = append(problems, errors.New("a service with a watchdog tells systemd how it is: it needs Notify"))
	}
	for _, d := range []time.Duration{s.Start, s.Grace, s.Watchdog, s.Restart.Delay, s.Restart.Within} {
		if d < 0 || d%time.Millisecond != 0 {
			problems = append(problems, fmt.Errorf("time %s: it may be 0 or more, in whole milliseconds", d))
		}
	}
	if min(s.Limits.Memory, int64(s.Limits.CPU), int64(s.Limits.Tasks), int64(s.Limits.Files), int64(s.Restart.Burst)) < 0 {
		problems = append(problems, errors.New("limits are 0 or more"))
	}
	if !slices.Contains([]When{"", OnFailure, Always, Never}, s.Restart.When) {
		problems = append(problems, fmt.Errorf("restart %q: there are %s, %s and %s", s.Restart.When, OnFailure, Always, Never))
	}
	for _, peer := range s.Peers {
		if !peer.IsValid() {
			problems = append(problems, errors.New("a peer is no range of addresses: it looks like 10.0.0.0/8"))
		}
	}
	return problems
}

// holds says why a unit cannot hold a value, nil when it can.
func holds(value string) error {
	switch {
	case strings.Contains(value, "\x00"):
		return errors.New("holds a NUL byte, which no program can be given: pass it as the content of a file")
	case !utf8.ValidString(value):
		return errors.New("is not UTF-8, which systemd wants: pass it as a credential")
	case len(value) > maxValue:
		return fmt.Errorf("is longer than %d bytes: pass it as a credential", maxValue)
	}
	return nil
}

func oneLine(text string) error {
	if err := holds(text); err != nil {
		return err
	}
	switch {
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("holds a line break or another control character: it is one line")
	case strings.HasSuffix(text, `\`):
		return errors.New(`ends with \, which would take the next line with it`)
	case text != strings.TrimSpace(text):
		return errors.New("starts or ends with a space")
	}
	return nil
}

// pathRule: systemd reads paths in several ways, with quotes, specifiers,
// colons and prefixes. What needs none of these is read the same everywhere.
const pathRule = "it must be absolute and clean, and may have letters, digits and _ . + ~ @ = , -"

func validPath(path string) bool {
	return regexp.MustCompile(`^(/[A-Za-z0-9_.+~@=,-]+)+$`).MatchString(path) && len(path) < 4096 &&
		!slices.ContainsFunc(strings.Split(path, "/"), func(element string) bool { return element == "." || element == ".." })
}

func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`).MatchString(name)
}

func validAccount(name string) bool {
	return regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`).MatchString(name)
}

func validVariable(name string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name)
}

func validURL(address string) bool {
	return regexp.MustCompile(`^https?://[!#-&(-\[\]-~]+$`).MatchString(address)
}

func validCredential(name string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}$`).MatchString(name)
}

// sorted puts what a map gave into an order.
func sorted(problems []error) []error {
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return problems
}
