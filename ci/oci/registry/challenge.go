package registry

import (
	"net/http"
	"strings"
)

// challenge is one way in which a registry wants to be shown a credential.
type challenge struct {
	scheme     string // lower case
	parameters map[string]string
}

// bestChallenge picks the way that we know: a token, else a password.
func bestChallenge(header http.Header) (challenge, bool) {
	var basic challenge
	for _, line := range header.Values("WWW-Authenticate") {
		for _, found := range parseChallenges(line) {
			switch found.scheme {
			case "bearer":
				if found.parameters["realm"] != "" {
					return found, true
				}
			case "basic":
				basic = found
			}
		}
	}
	return basic, basic.scheme != ""
}

// parseChallenges reads a WWW-Authenticate header. What makes no sense is
// passed over.
func parseChallenges(line string) []challenge {
	var found []challenge
	for line != "" {
		line = strings.TrimLeft(line, ", \t")
		word, rest := cutToken(line)
		switch {
		case word == "":
			line = line[min(1, len(line)):]
		case len(found) > 0 && strings.HasPrefix(rest, "="):
			var value string
			value, line = cutValue(rest[1:])
			found[len(found)-1].parameters[strings.ToLower(word)] = value
		default:
			found = append(found, challenge{strings.ToLower(word), map[string]string{}})
			line = rest
		}
	}
	return found
}

func cutToken(text string) (token, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool { return strings.ContainsRune(" \t,=\"", r) })
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// cutValue reads a token, or a text in quotes where \ takes the next character
// as it is.
func cutValue(text string) (value, rest string) {
	if !strings.HasPrefix(text, `"`) {
		return cutToken(text)
	}
	var unquoted strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return unquoted.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		unquoted.WriteByte(text[i])
	}
	return unquoted.String(), ""
}
