package registry

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"unicode"
)

// shortestSecret is the length from which a text can be found again without
// taking half of every sentence with it.
const shortestSecret = 4

// maxMessage bounds what is passed on of a registry's words.
const maxMessage = 200

// redactor knows the secrets of a session, in the forms in which a registry
// may send them back.
type redactor struct {
	mu    sync.Mutex
	pairs []string // for strings.NewReplacer
}

func (r *redactor) add(secret string) {
	if len(secret) < shortestSecret {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, form := range forms(secret) {
		r.pairs = append(r.pairs, form, "***")
	}
}

func forms(secret string) []string {
	quoted, _ := json.Marshal(secret)
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`), hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// clean is a text from elsewhere as one short line without secrets.
func (r *redactor) clean(text string) string {
	r.mu.Lock()
	text = strings.NewReplacer(r.pairs...).Replace(text)
	r.mu.Unlock()
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "…"
	}
	return text
}
