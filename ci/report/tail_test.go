package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/report"
)

func TestClean(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"plain":                  {"héllo 世界\nline", "héllo 世界\nline"},
		"colour":                 {"\x1b[1;31mred\x1b[0m", "red"},
		"title":                  {"\x1b]0;owned\ahello", "hello"},
		"hyperlink":              {"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"},
		"eight-bit":              {"\u009b31mred\u009d0;t\u009c!", "red!"},
		"cursor":                 {"\x1b7\x1b[2J\x1b[10;10Hx\x1b8", "x"},
		"charset":                {"\x1b(Bok", "ok"},
		"unfinished":             {"ok\x1b[31", "ok"},
		"lone escape":            {"ok\x1b", "ok"},
		"unended title":          {"a\x1b]0;rest\nnext", "a0;rest\nnext"},
		"progress bar":           {"10%\r50%\r100%\r\ndone", "100%\ndone"},
		"tab":                    {"\tat", "    at"},
		"bell and backspace":     {"a\a\bb\x00\x7f", "ab"},
		"direction marks":        {"a\u202eb\u2066c", "abc"},
		"bytes that are no text": {"a\xffb", "a\uFFFDb"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, report.Clean(tt.in)) })
	}
}

func TestTail(t *testing.T) {
	var long []string
	for i := range 50 {
		long = append(long, fmt.Sprint(i))
	}
	got := report.Tail("\n\n" + strings.Join(long, "\n") + "  \n\n\n")
	assert.Len(t, got, report.TailLines)
	assert.Equal(t, "30", got[0])
	assert.Equal(t, "49", got[19])

	assert.Equal(t, []string{}, report.Tail(""), "never nil")
	assert.Equal(t, []string{}, report.Tail("\n \n\x1b[0m\n"))
	assert.Equal(t, []string{"a", "", "b"}, report.Tail("a\n\nb"))

	wide := report.Tail(strings.Repeat("世", 500))[0]
	assert.Equal(t, report.TailRunes, utf8.RuneCountInString(wide))
	assert.True(t, strings.HasSuffix(wide, "世…"))
}

func FuzzTail(f *testing.F) {
	for _, seed := range []string{"", "a\nb", "\x1b[31mred", "\x1b]0;t\a", "\u009b1m", "\r\r\n\t", "\x1b\x1b[[", "\xff\xc2\x9b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := report.Tail(text)
		assert.NotNil(t, lines)
		assert.LessOrEqual(t, len(lines), report.TailLines)
		for _, line := range lines {
			assert.True(t, utf8.ValidString(line))
			assert.LessOrEqual(t, utf8.RuneCountInString(line), report.TailRunes)
			assert.NotContains(t, line, "\x1b")
			assert.NotContains(t, line, "\n")
			assert.Equal(t, line, report.Clean(line), "clean already")
		}
	})
}
