package forge

import "io"

// Inert returns a writer for a log of GitHub Actions in which no line is a command. The runner takes two kinds of lines for
// commands: those that begin with "::", after white space, and those that have "##[" anywhere. A space is put inside of both.
func Inert(w io.Writer) io.Writer { return &inert{w: w, start: true} }

type inert struct {
	w      io.Writer
	start  bool // nothing was written in this line that the runner would not trim
	colon  bool // and then one colon
	hashes int
}

// Write passes on what is harmless, and says how much of p that was.
func (i *inert) Write(p []byte) (int, error) {
	out := make([]byte, 0, len(p)+8)
	for _, c := range p {
		if i.breaks(c) {
			out = append(out, ' ')
		}
		out = append(out, c)
	}
	if _, err := i.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// breaks reports whether c would make a command of the line so far. What is not printable ASCII may be white space to the
// runner, so it does not end the beginning of a line.
func (i *inert) breaks(c byte) bool {
	command := c == ':' && i.colon || c == '[' && i.hashes >= 2
	switch {
	case c == '\n' || c == '\r':
		i.start, i.colon = true, false
	case c == ':' && i.start && !i.colon:
		i.colon = true
	case c > ' ' && c < 0x7f:
		i.start, i.colon = false, false
	case i.colon: // a colon, and something else
		i.start, i.colon = false, false
	}
	i.hashes++
	if c != '#' {
		i.hashes = 0
	}
	return command
}
