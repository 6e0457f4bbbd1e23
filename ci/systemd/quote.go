package systemd

import (
	"fmt"
	"strings"
)

// expansion says whether systemd replaces $NAME in a value.
type expansion int

const (
	notExpanded expansion = iota
	expanded
)

// command is the value of ExecStart. The program's path was checked: it holds
// nothing that systemd would read as more than a path. Every argument is
// quoted, so that none is taken for the ; between commands.
func command(argv []string) string {
	words := []string{argv[0]}
	for _, arg := range argv[1:] {
		words = append(words, quote(arg, expanded))
	}
	return strings.Join(words, " ")
}

// quote writes a text as one word that systemd reads back as that text: in
// quotes, with the escapes of C, and without specifiers or variables.
func quote(text string, e expansion) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		b.WriteString(escape(r, e))
	}
	b.WriteByte('"')
	return b.String()
}

func escape(r rune, e expansion) string {
	switch {
	case r == '"' || r == '\\':
		return `\` + string(r)
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r == '\r':
		return `\r`
	case r < ' ' || r == 0x7f:
		return fmt.Sprintf(`\x%02x`, r)
	case r == '%':
		return "%%"
	case r == '$' && e == expanded:
		return "$$"
	}
	return string(r)
}

// literal is a text that stands in a unit without quotes, such as a
// description. It was checked to be one line.
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }
