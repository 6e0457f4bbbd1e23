// Helper is what the tests run in containers.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	switch os.Args[1] {
	case "wait":
		<-time.After(time.Hour)
	case "meet": // in a directory that two containers share: write our name, wait for the other's
		if err := meet(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "lookup":
		addresses, err := net.LookupHost(os.Args[2])
		fmt.Println(addresses, err)
	case "status":
		content, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(content)) {
			if strings.HasPrefix(line, "Seccomp:") || strings.HasPrefix(line, "CapEff:") {
				fmt.Print(line)
			}
		}
	}
}

func meet(dir, own, other string) error {
	if err := os.WriteFile(filepath.Join(dir, own), nil, 0o644); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, other)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s never came", other)
}
