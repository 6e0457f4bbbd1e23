package project

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/ci/secret"
)

func TestVariables_Precedence(t *testing.T) {
	e := Environment{Env: map[string]string{"B": "section", "C": "section"}}
	file := map[string]string{"A": "file", "B": "file", "C": "file"}
	all, err := e.Variables(file, []string{"C=command line", "D=a=b\nc"})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "file", "B": "section", "C": "command line", "D": "a=b\nc"}, all)
	assert.Equal(t, "file", file["B"], "the file's own values stay")
	assert.Equal(t, "section", e.Env["C"])
}

func TestVariables_Refuses(t *testing.T) {
	e := Environment{Secrets: map[string]secret.Reference{"TOKEN": {}}}
	_, err := e.Variables(map[string]string{"TOKEN": "hunter2"}, []string{"NAME", "A B=c", "NUL=hunter2\x00", "PORT=1"})
	for _, part := range []string{"-e NAME: write NAME=value", `"A B" is no name`, "NUL has a NUL byte", "PORT is decided elsewhere", "TOKEN is a secret"} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "hunter2")
}

func TestParseVariables(t *testing.T) {
	all, err := ParseVariables("\ufeff# a comment\r\nA=1\n\n export B = two words \nC='it is $HOME\nand \\n'\nD=\"a\\tb \\\"c\\\" \\\\ \\$x\nend\" # comment\nE=\nF=\"\"\nG=x # y\nH=a=b")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"A": "1", "B": "two words", "C": "it is $HOME\nand \\n", "D": "a\tb \"c\" \\ $x\nend", "E": "", "F": "", "G": "x # y", "H": "a=b"}, all)
	for text, part := range map[string]string{
		"A=1\nhunter2":        "line 2: there is no = in it",
		"A=1\nB='hunter2\n":   "line 2: the quote ' is not closed",
		"A='1' hunter2":       "line 1: something follows the closing quote",
		"A='1\n2'\nB C=d":     `line 3: "B C" is no name of a variable`,
		"A=hunter2\x00":       "line 1: A has a NUL byte",
		"A=1\n\nPORT=hunter2": "line 3: PORT is decided elsewhere",
	} {
		_, err := ParseVariables(text)
		assert.ErrorContains(t, err, part)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func FuzzParseVariables(f *testing.F) {
	for _, seed := range []string{"A=1\n", "A='\n'\nB=\"\\n\"", "export A=b # c", "=", "A=\"", "A='x'y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseVariables(text)
		if err != nil {
			return
		}
		for name, value := range all {
			wrong, _ := wrongVariable(name, value)
			assert.Empty(t, wrong)
			quoted := name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`).Replace(value) + `"`
			again, err := ParseVariables(quoted)
			require.NoError(t, err)
			assert.Equal(t, map[string]string{name: value}, again)
		}
	})
}
