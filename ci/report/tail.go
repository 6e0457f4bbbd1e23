package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a failure's tail.
const (
	TailLines = 20
	TailRunes = 400
)

// Tail returns the last TailLines lines of a text that are worth showing: made
// safe by Clean, without empty lines at either end, each cut to TailRunes runes.
func Tail(text string) []string {
	lines := strings.Split(Clean(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	lines = trimEmpty(lines)
	if extra := len(lines) - TailLines; extra > 0 {
		lines = trimEmpty(lines[extra:])
	}
	for i, line := range lines {
		lines[i] = clip(line, TailRunes)
	}
	return full(lines)
}

func trimEmpty(lines []string) []string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// clip cuts s to n runes; the last of them is then an ellipsis.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// Clean makes a text safe to print: terminal control sequences, control
// characters and marks that turn the direction of writing are removed, tabs
// become four spaces, invalid bytes become U+FFFD. What a carriage return would
// overwrite is dropped. Line feeds stay.
func Clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if plain(text) {
		return text
	}
	text = strings.ReplaceAll(dropSequences(text), "\r\n", "\n")
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		writePrintable(&b, overwritten(line))
	}
	return b.String()
}

// plain reports whether the text holds nothing that Clean would change.
func plain(text string) bool {
	for _, r := range text {
		if r != '\n' && unsafeRune(r) {
			return false
		}
	}
	return true
}

func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// overwritten returns what a line looks like after its carriage returns.
func overwritten(line string) string {
	line = strings.TrimRight(line, "\r")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		return line[i+1:]
	}
	return line
}

func writePrintable(b *strings.Builder, line string) {
	for _, r := range line {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case !unsafeRune(r):
			b.WriteRune(r)
		}
	}
}

// dropSequences removes terminal control sequences, the unfinished included.
func dropSequences(text string) string {
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		if n := sequence(text, r, size); n > 0 {
			text = text[n:]
			continue
		}
		b.WriteString(text[:size])
		text = text[size:]
	}
	return b.String()
}

// sequence returns the length of the control sequence that text begins with, or 0.
func sequence(text string, r rune, size int) int {
	switch {
	case r == '\u009b':
		return size + csi(text[size:])
	case r == '\u0090' || r == '\u009d' || r == '\u0098' || r == '\u009e' || r == '\u009f':
		return size + stringSequence(text[size:])
	case r != '\x1b':
		return 0
	case len(text) == 1:
		return 1
	}
	switch text[1] {
	case '[':
		return 2 + csi(text[2:])
	case ']', 'P', 'X', '^', '_':
		return 2 + stringSequence(text[2:])
	}
	return escape(text)
}

// csi returns the length of parameters, intermediates and the final byte. A byte
// that cannot be part of the sequence ends it and is kept.
func csi(text string) int {
	for i := range len(text) {
		c := text[i]
		if c >= 0x40 && c <= 0x7e {
			return i + 1
		}
		if c < 0x20 || c > 0x7e {
			return i
		}
	}
	return len(text)
}

// stringSequence returns the length up to and with BEL or ST. One that does not
// end in its line is taken to be the introducer alone, so that no output is lost.
func stringSequence(text string) int {
	for i := range len(text) {
		switch {
		case text[i] == '\n':
			return 0
		case text[i] == '\a':
			return i + 1
		case strings.HasPrefix(text[i:], "\x1b\\"), strings.HasPrefix(text[i:], "\u009c"):
			return i + 2
		}
	}
	return 0
}

// escape returns the length of ESC, intermediates and a final byte.
func escape(text string) int {
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c >= 0x30 && c <= 0x7e {
			return i + 1
		}
		if c < 0x20 || c > 0x7e {
			return i
		}
	}
	return len(text)
}
