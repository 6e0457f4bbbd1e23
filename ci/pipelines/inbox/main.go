// Inbox is the small helper that Slipway puts into its build containers.
//
// A build container may hold nothing but a Go toolchain: no shell, no tar, no
// timeout. Inbox does what is missing there, with the standard library alone,
// so that the same source compiles in every toolchain container:
//
//	inbox run [-dir DIR] [-timeout D] [-grace D] [-stdin FILE] [-sum FILE] -- COMMAND [ARG…]
//	inbox inputs REQUEST.json
//	inbox pack REQUEST.json
//	inbox untar ARCHIVE.tar.gz DIR
//	inbox smoke -port N [-path PATH] [-start D] [-grace D] -- COMMAND [ARG…]
//	inbox capacity
//	inbox keep [-modules] DIR FILE
//	inbox restore FILE DIR
//
// run stores what a command printed and how it ended, and exits 0 even if the
// command failed: a failure is a result that can be read and cached like any
// other. inputs lists the files that a build really reads. pack writes archives
// whose bytes depend on their content only. smoke starts a service, asks its health
// address until it is well, and stops it. untar unpacks a root filesystem. capacity
// says how many cores and how much memory there are. keep writes a cache as a file, and
// restore brings it back.
//
// Each command but untar prints one JSON document to stdout. Inbox itself exits 0, 1 if it
// could not do its work, and 2 if it was called wrongly.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
)

const usage = `usage: inbox run [-dir DIR] [-timeout D] [-grace D] [-stdin FILE] [-sum FILE] -- COMMAND [ARG…]
       inbox inputs REQUEST.json
       inbox pack REQUEST.json
       inbox untar ARCHIVE.tar.gz DIR
       inbox smoke -port N [-path PATH] [-start D] [-grace D] -- COMMAND [ARG…]
       inbox capacity
       inbox keep [-modules] DIR FILE
       inbox restore FILE DIR`

const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError says that inbox was called wrongly.
type usageError struct{ reason string }

func (e usageError) Error() string { return e.reason + "\n" + usage }

func main() {
	os.Exit(exitCode(dispatch(os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

func dispatch(args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return usageError{"name a command"}
	}
	switch args[0] {
	case "run":
		return runCommand(args[1:], stdout, stderr)
	case "inputs":
		return inputsCommand(args[1:], stdout)
	case "pack":
		return packCommand(args[1:], stdout)
	case "untar":
		return untarCommand(args[1:])
	case "smoke":
		return smokeCommand(args[1:], stdout)
	case "keep":
		return keepCommand(args[1:], stdout)
	case "restore":
		return restoreCommand(args[1:], stdout)
	case "capacity":
		return printJSON(stdout, capacity.Read(os.DirFS("/")))
	}
	return usageError{fmt.Sprintf("unknown command %q", args[0])}
}

func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "inbox:", err)
	var wrong usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// readRequest reads the one JSON file that args must name. Unknown fields are
// errors: the program that writes requests has the same version as this one.
func readRequest(args []string, request any) error {
	if len(args) != 1 {
		return usageError{"name one request file"}
	}
	file, err := os.Open(args[0])
	if err != nil {
		return fmt.Errorf("open request: %w", err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(request); err != nil {
		return fmt.Errorf("read request %s: %w", args[0], err)
	}
	return nil
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
