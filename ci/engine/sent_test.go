package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWrittenBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"rchar: 5\nwchar: 1234\nsyscr: 3\n": 1234,
		"wchar: 0\n":                        0,
	} {
		n, known := writtenBytes(text)
		assert.True(t, known, text)
		assert.Equal(t, want, n, text)
	}
	for _, text := range []string{"", "rchar: 5\n", "wchar: many\n"} {
		_, known := writtenBytes(text)
		assert.False(t, known, text)
	}
}

func TestSentIsUnknownForSomebodyElsesSession(t *testing.T) {
	_, known := (&Session{}).Sent()
	assert.False(t, known)
}
