package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parseUnit reads a unit as systemd.syntax(7) says: sections, comments, and lines that go on after a backslash.
func parseUnit(text string) (map[string][]string, []string, error) {
	values, keys, name := map[string][]string{}, []string(nil), ""
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		for strings.HasSuffix(line, `\`) {
			var next string
			next, text, _ = strings.Cut(text, "\n")
			line = strings.TrimSuffix(line, `\`) + " " + next
		}
		line = strings.Trim(line, " \t\r")
		key, value, assigns := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			name = line[1 : len(line)-1]
		case assigns && name != "":
			key = name + "." + strings.TrimRight(key, " \t")
			keys = append(keys, key)
			values[key] = append(values[key], strings.Trim(value, " \t"))
		default:
			return nil, nil, fmt.Errorf("line %q is no assignment", line)
		}
	}
	return values, keys, nil
}

// words splits a value as systemd does: at spaces, with quotes and the escapes of C.
func words(value string) ([]string, error) {
	var list []string
	for value = strings.TrimLeft(value, " \t"); value != ""; value = strings.TrimLeft(value, " \t") {
		word, rest, err := nextWord(value)
		if err != nil {
			return nil, err
		}
		list, value = append(list, word), rest
	}
	return list, nil
}

func nextWord(value string) (word, rest string, err error) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '\\':
			length, text, err := unescape(value[i+1:])
			if err != nil {
				return "", "", err
			}
			b.WriteString(text)
			i += length
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote = c
		case c == ' ' || c == '\t':
			return b.String(), value[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

func unescape(text string) (length int, result string, err error) {
	if text == "" {
		return 0, "", errors.New("nothing after a backslash")
	}
	simple := map[byte]string{'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", 's': " ", '\\': `\`, '"': `"`, '\'': "'"}
	if s, ok := simple[text[0]]; ok {
		return 1, s, nil
	}
	if text[0] == 'x' && len(text) >= 3 {
		n, err := strconv.ParseUint(text[1:3], 16, 8)
		if err != nil || n == 0 {
			return 0, "", fmt.Errorf("bad escape %q", text[:3])
		}
		return 3, string([]byte{byte(n)}), nil
	}
	return 0, "", fmt.Errorf("unknown escape of %q", text)
}

// specifiers fails on any specifier but %%, which it replaces.
func specifiers(text string) (string, error) {
	if rest := strings.ReplaceAll(text, "%%", ""); strings.Contains(rest, "%") {
		return "", fmt.Errorf("a specifier in %q", text)
	}
	return strings.ReplaceAll(text, "%%", "%"), nil
}

// variables fails on any variable but $$, which it replaces.
func variables(text string) (string, error) {
	if rest := strings.ReplaceAll(text, "$$", ""); regexp.MustCompile(`\$`).MatchString(rest) {
		return "", fmt.Errorf("a variable in %q", text)
	}
	return strings.ReplaceAll(text, "$$", "$"), nil
}

// readBack is what systemd would make of a service's texts.
func readBack(unit string) (argv, environment []string, description string, keys []string, err error) {
	values, keys, err := parseUnit(unit)
	if err != nil {
		return nil, nil, "", nil, err
	}
	for _, value := range values["Service.ExecStart"] {
		if argv, err = words(value); err != nil {
			return nil, nil, "", nil, err
		}
	}
	for i := range argv {
		if argv[i], err = specifiers(argv[i]); err == nil {
			argv[i], err = variables(argv[i])
		}
		if err != nil {
			return nil, nil, "", nil, err
		}
	}
	for _, value := range values["Service.Environment"] {
		list, err := words(value)
		if err != nil {
			return nil, nil, "", nil, err
		}
		for _, word := range list {
			plain, err := specifiers(word)
			if err != nil {
				return nil, nil, "", nil, err
			}
			environment = append(environment, plain)
		}
	}
	description, err = specifiers(strings.Join(values["Unit.Description"], "\n"))
	return argv, environment, description, keys, err
}

// arrives says that a service with these texts is refused, or that the texts arrive as they are and nothing else does.
func arrives(t *testing.T, arg, value, description string) bool {
	t.Helper()
	service := Service{Name: "greeter", Description: description, User: "greeter", Command: []string{"/usr/bin/greeter", "first", arg, "last"}, Environment: []Variable{{"VALUE", value}}}
	unit, err := Unit(service)
	if err != nil {
		return assert.True(t, strings.Contains(arg+value+description, "\x00") || !utf8.ValidString(arg) || !utf8.ValidString(value) || oneLine(description) != nil ||
			len(arg) > maxValue || len(value) > maxValue, "refused without a reason: %v", err)
	}
	argv, environment, told, keys, err := readBack(unit)
	if !assert.NoError(t, err, unit) {
		return false
	}
	service.Command, service.Environment, service.Description = []string{"/usr/bin/greeter"}, []Variable{{"VALUE", ""}}, "x"
	plain, err := Unit(service)
	require.NoError(t, err)
	_, plainKeys, err := parseUnit(plain)
	require.NoError(t, err)
	return assert.Equal(t, []string{"/usr/bin/greeter", "first", arg, "last"}, argv) && assert.Equal(t, []string{"VALUE=" + value}, environment) &&
		assert.Equal(t, cmp.Or(description, "greeter"), told) && assert.Equal(t, plainKeys, keys, "no other directive")
}

func TestValuesArrive(t *testing.T) {
	require.NoError(t, quick.Check(func(arg, value, description string) bool { return arrives(t, arg, value, description) }, nil))
}

func FuzzUnit(f *testing.F) {
	for _, seed := range []string{"", "a", "\n[Service]\nExecStartPre=/bin/evil", `\`, `"`, "'", "%n", "%%", "$HOME", "$$", "${A}", ";", "# x", "a\\\nb", "\r", "\x7f", "\u2028", "é", "a\tb", "\x00", "\xff"} {
		f.Add(seed, seed, seed)
	}
	f.Fuzz(func(t *testing.T, arg, value, description string) { arrives(t, arg, value, description) })
}

// FuzzNames: whatever else a service says, its unit has the directives that it would have with harmless values, or none.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"greeter", "../x", "a\nb", "-a", "/a:b", "/srv/a,b", "%t", "a b"} {
		f.Add(seed, seed, seed, "/"+seed)
	}
	f.Fuzz(func(t *testing.T, name, user, credential, path string) {
		make := func(name, user, credential, path string) Service {
			return Service{Name: name, User: user, Command: []string{path}, Credentials: []Credential{{credential, path}}, EnvironmentFiles: []string{path, "-" + path},
				State: name, Runtime: name, Directory: path, Writable: []string{path}, Homepage: "https://example.org" + path}
		}
		unit, err := Unit(make(name, user, credential, path))
		if err != nil || user == "" {
			return
		}
		plain, err := Unit(make("greeter", "greeter", "a", "/a"))
		require.NoError(t, err)
		values, keys, err := parseUnit(unit)
		require.NoError(t, err)
		_, plainKeys, err := parseUnit(plain)
		require.NoError(t, err)
		assert.Equal(t, plainKeys, keys)
		assert.Equal(t, []string{path}, values["Service.ExecStart"])
		assert.Equal(t, []string{credential + ":" + path}, values["Service.LoadCredential"])
		assert.NotContains(t, strings.ReplaceAll(unit, "%%", ""), "%")
	})
}

// parseEnvironment reads an environment file as systemd.exec(5) says, as far as quotes go.
func parseEnvironment(text string) (map[string]string, error) {
	values := map[string]string{}
	for text != "" {
		name, rest, found := strings.Cut(text, `="`)
		if !found {
			return nil, fmt.Errorf("no assignment in %q", text)
		}
		var b strings.Builder
		i := 0
		for ; i < len(rest) && rest[i] != '"'; i++ {
			if rest[i] != '\\' {
				b.WriteByte(rest[i])
				continue
			}
			if i++; i < len(rest) && !strings.ContainsRune("\"\\`$\n", rune(rest[i])) {
				b.WriteByte('\\')
			}
			if i < len(rest) && rest[i] != '\n' {
				b.WriteByte(rest[i])
			}
		}
		values[name] = b.String()
		if text, found = strings.CutPrefix(rest[min(i, len(rest)):], "\"\n"); !found {
			return nil, fmt.Errorf("%s has no end", name)
		}
	}
	return values, nil
}

func environmentArrives(t *testing.T, a, b string) bool {
	t.Helper()
	text, err := EnvironmentFile([]Variable{{"A", a}, {"B", b}})
	if err != nil {
		return assert.True(t, holds(a) != nil || holds(b) != nil)
	}
	values, err := parseEnvironment(text)
	return assert.NoError(t, err, text) && assert.Equal(t, map[string]string{"A": a, "B": b}, values, text)
}

func TestEnvironmentFile(t *testing.T) {
	text, err := EnvironmentFile([]Variable{{"GREETING", `a "b" $c \d` + "`e`\nB=f"}, {"EMPTY", ""}})
	require.NoError(t, err)
	assert.Equal(t, "GREETING=\"a \\\"b\\\" \\$c \\\\d\\`e\\`\nB=f\"\nEMPTY=\"\"\n", text)
	require.NoError(t, quick.Check(func(a, b string) bool { return environmentArrives(t, a, b) }, nil))
}

func FuzzEnvironmentFile(f *testing.F) {
	for _, seed := range []string{"", "a\nB=c", `"`, `\`, "\\\n", "$", "`", "\r", "#", "\x00", "\xff"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b string) { environmentArrives(t, a, b) })
}
