package ship_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// forms are the ways in which a secret may show up.
func forms(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	return map[string]string{
		"plain": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "base64, for addresses": base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 without padding": base64.RawStdEncoding.EncodeToString([]byte(secret)), "base64 of a login": base64.StdEncoding.EncodeToString([]byte("ada:" + secret)),
		"hexadecimal": hex.EncodeToString([]byte(secret)), "HEXADECIMAL": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret), "JSON": string(quoted[1 : len(quoted)-1]), "Go": strings.Trim(strconv.Quote(secret), `"`),
		"base32": base32.StdEncoding.EncodeToString([]byte(secret)), "HTML": html.EscapeString(secret),
	}
}

// assertHidden looks for a secret in all its forms, in every file of a directory and in what is packed there.
func assertHidden(t *testing.T, dir, secret string) {
	t.Helper()
	all := search{texts: slices.Collect(maps.Values(forms(secret)))}
	assert.Greater(t, all.lookBelow(t, dir, ""), 20)
	assert.Empty(t, all.found)
}
