package secret

import (
	"cmp"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Hidden is what stands in the place of a secret.
const Hidden = "***"

// MinLength is the shortest secret that can be hidden: shorter ones are in
// every other word.
const MinLength = 4

// Check says whether a secret can be hidden.
func Check(value string) error {
	if len(strings.TrimSpace(value)) < MinLength {
		return fmt.Errorf("it has fewer than %d characters, so it cannot be hidden in what is printed: take a longer one", MinLength)
	}
	return nil
}

// Mask returns a function that hides values in a text. Values that are too
// short to be hidden are left as they are; see [Check].
func Mask(values ...string) func(string) string {
	var forms []string
	for _, value := range values {
		for _, form := range formsOf(value) {
			if len(form) >= MinLength {
				forms = append(forms, form)
			}
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, Hidden)
	}
	return strings.NewReplacer(pairs...).Replace
}

// formsOf are the ways in which a value may show up.
func formsOf(value string) []string {
	plain := []string{value, strings.TrimSpace(value)}
	for line := range strings.SplitSeq(value, "\n") {
		if line = strings.TrimSpace(line); len(line) >= MinLength*2 || line == strings.TrimSpace(value) {
			plain = append(plain, line) // a short line of a key, such as its frame, is no secret
		}
	}
	var forms []string
	for _, text := range plain {
		if !armour(text) {
			forms = append(append(forms, text), encoded(text)...)
		}
	}
	return forms
}

// armour is the frame of PEM, which every key has.
func armour(line string) bool {
	return !strings.Contains(line, "\n") && strings.HasPrefix(line, "-----") && strings.HasSuffix(line, "-----")
}

// encoded is a text in the encodings in which programs print it.
func encoded(text string) []string {
	forms := []string{
		hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))),
		url.QueryEscape(text), url.PathEscape(text), strings.ToLower(url.QueryEscape(text)),
		inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)),
		strings.ReplaceAll(text, `'`, `'\''`), strings.ReplaceAll(text, "%", "%%"), html.EscapeString(text),
		base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(text)),
	}
	if quoted, err := json.Marshal(text); err == nil {
		forms = append(forms, inner(string(quoted)))
	}
	return append(forms, base64Forms(text)...)
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// base64Forms finds the text inside of longer texts too, as the password in
// "user:password": there its first bits share a letter with what is before, so
// there are three ways to write what is in between.
func base64Forms(text string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			whole := encoding.EncodeToString(append(make([]byte, before), text...))
			from, to := (before*8+5)/6, (before+len(text))*8/6
			forms = append(forms, whole[from:to])
		}
		forms = append(forms, encoding.EncodeToString([]byte(text)))
	}
	return forms
}
