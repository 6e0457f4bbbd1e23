package secret

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte("one\ntwo\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty"), []byte("\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxSize+1), 0o600))
	source := Source{Dir: dir, Environ: os.Environ(), Getenv: func(name string) string { return map[string]string{"TOKEN": " a b\n"}[name] }}
	for text, want := range map[string]string{
		"env://TOKEN":    " a b\n",
		"file://key.pem": "one\ntwo",
		"file://" + filepath.Join(dir, "key.pem"):    "one\ntwo",
		"cmd://cat key.pem | head -1":                "one",
		"cmd://printf 'hunter2\\r\\n'":               "hunter2",
		"cmd://printf '%s' \"$(echo from a shell)\"": "from a shell",
	} {
		ref, err := Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, ref.String())
		value, err := ref.Read(t.Context(), source)
		require.NoError(t, err, text)
		assert.Equal(t, want, value, text)
	}
	for text, want := range map[string]string{
		"env://MISSING":                  "read secret env://MISSING: there is nothing: set MISSING",
		"file://missing":                 "there is no such file",
		"file://empty":                   "there is nothing",
		"file://large":                   "more than 64 KiB",
		"file://.":                       "it is not a file",
		"cmd://echo hunter2 >&2; exit 3": "the command fails (exit status 3)",
		"cmd://true":                     "there is nothing",
		"cmd://head -c 70000 /dev/zero":  "prints more than 64 KiB",
	} {
		ref, err := Parse(text)
		require.NoError(t, err, text)
		_, err = ref.Read(t.Context(), source)
		require.ErrorContains(t, err, want, text)
	}
}

func TestFile(t *testing.T) {
	for text, want := range map[string]string{"file://key.pem": filepath.Join("dir", "key.pem"), "file:///etc/key.pem": "/etc/key.pem", "env://KEY": "", "cmd://cat key.pem": ""} {
		ref, err := Parse(text)
		require.NoError(t, err)
		path, ok := ref.File("dir")
		assert.Equal(t, want, path, text)
		assert.Equal(t, want != "", ok, text)
	}
}

func TestParseRefusesAndDoesNotRepeat(t *testing.T) {
	for _, text := range []string{"", "hunter2", "http://hunter2", "env://", "env://hunter2=", "env://a b", "file://", "file:// ", "cmd://", "cmd:// ", "file://a\x00b"} {
		_, err := Parse(text)
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// Whatever a program does with a secret that is in the list, none of it is left.
func TestMask(t *testing.T) {
	values := []string{"hunter2!", "pa ss/wo+rd=&\"'\\%", "line one of it\nline two of it\n", "ünïcödé-secret", "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----\n"}
	mask := Mask(values...)
	for _, value := range values {
		for name, form := range formsForTest(value) {
			shown := mask("before " + form + " after")
			assert.Equal(t, "before "+Hidden+" after", strings.NewReplacer("=", "").Replace(shown), "%s of %q", name, value)
		}
		for _, line := range strings.Split(strings.TrimSpace(value), "\n") {
			if !armour(line) {
				assert.NotContains(t, mask("log: "+line), line)
			}
		}
	}
	assert.Equal(t, "nothing of it", mask("nothing of it"))
	assert.Equal(t, "-----BEGIN KEY-----", mask("-----BEGIN KEY-----"), "the frame is no secret")
}

func formsForTest(value string) map[string]string {
	quoted, _ := json.Marshal(value)
	return map[string]string{
		"plain":   value,
		"trimmed": strings.TrimSpace(value),
		"base64":  base64.StdEncoding.EncodeToString([]byte(value)),
		"base64u": base64.RawURLEncoding.EncodeToString([]byte(value)),
		"hex":     hex.EncodeToString([]byte(value)),
		"HEX":     fmt.Sprintf("%X", value),
		"query":   url.QueryEscape(value),
		"path":    url.PathEscape(value),
		"base32":  base32.StdEncoding.EncodeToString([]byte(value)),
		"html":    html.EscapeString(value),
		"json":    strings.Trim(string(quoted), `"`),
		"quoted":  inner(strconv.Quote(value)),
	}
}

// In an Authorization header the password stands behind a user's name, so its
// letters are shifted.
func TestMaskInsideOfBase64(t *testing.T) {
	const password = "correct horse battery"
	mask := Mask(password)
	for _, user := range []string{"", "a", "ab", "abc", "someone", "someone.else"} {
		header := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		shown := mask(header)
		assert.Contains(t, shown, Hidden, user)
		kept := strings.ReplaceAll(shown, Hidden, "")
		assert.Less(t, len(kept), len(header)-len(password), "%q: no more than a letter of it is left", user)
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	require.Error(t, Check("abc"))
	require.Error(t, Check(" abc\n"))
	require.NoError(t, Check("abcd"))
	assert.Equal(t, "abc", Mask("abc")("abc"))
}

func FuzzMask(f *testing.F) {
	f.Add("hunter2!", "a ", " b")
	f.Add("line one\nline two", "", "")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		if Check(value) != nil || strings.Contains(Hidden, strings.TrimSpace(value)) {
			return
		}
		shown := Mask(value)(before + value + after)
		if !strings.Contains(before+after+Hidden+before+Hidden+after, value) && !overlaps(before, value, after) {
			assert.NotContains(t, shown, value)
		}
	})
}

// overlaps says whether the value also arises where it meets what is around it.
func overlaps(before, value, after string) bool {
	return strings.Count(before+value+after, strings.TrimSpace(value)) > 1
}
