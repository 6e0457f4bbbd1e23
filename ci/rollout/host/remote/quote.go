package remote

import "strings"

// Quote writes a text as one word of a POSIX shell. It must hold no NUL, which no command line can.
func Quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
