package command

import (
	"io"
	"os"

	"golang.org/x/term"
)

// IO is all that the command sees of the world around it. [System] is the real one.
type IO struct {
	Args    []string  // without the program's name
	Stdin   io.Reader // nil is empty
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Environ []string
	// Terminal tells whether Stderr is a terminal, and Size how large it is.
	Terminal bool
	Size     func() (width, height int)
}

// System is the process's own surroundings.
func System() IO {
	fd := int(os.Stderr.Fd())
	return IO{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Environ: os.Environ(), Terminal: term.IsTerminal(fd),
		Size: func() (int, int) {
			width, height, err := term.GetSize(fd)
			if err != nil {
				return 0, 0
			}
			return width, height
		},
	}
}
