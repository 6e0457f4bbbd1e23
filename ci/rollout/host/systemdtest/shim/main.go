// Shim stands for systemctl, journalctl and the other commands of a machine that systemdtest makes. It passes its arguments
// on to the test, and prints what that answers.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// Call is what the test is told.
type call struct {
	Name   string   `json:"name"`
	Args   []string `json:"args"`
	Caller int      `json:"caller"`
}

// frame is one piece of its answer. The last one has a code.
type frame struct {
	Out  string `json:"out,omitempty"`
	Err  string `json:"err,omitempty"`
	Code *int   `json:"code,omitempty"`
}

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "shim:", err)
		code = 1
	}
	os.Exit(code)
}

// run finds the test beside itself: each machine has links to this program in a directory of its own.
func run() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("unix", filepath.Join(filepath.Dir(self), "manager.sock"))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := json.NewEncoder(conn).Encode(call{Name: filepath.Base(self), Args: os.Args[1:], Caller: os.Getppid()}); err != nil {
		return 0, err
	}
	answers := json.NewDecoder(conn)
	for {
		var f frame
		if err := answers.Decode(&f); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the machine is gone")
			}
			return 0, err
		}
		fmt.Fprint(os.Stdout, f.Out)
		fmt.Fprint(os.Stderr, f.Err)
		if f.Code != nil {
			return *f.Code, nil
		}
	}
}
