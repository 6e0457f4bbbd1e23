// Command service behaves well or badly, as its first argument says. It listens on the address of its second.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	mode, address := os.Args[1], os.Args[2]
	fmt.Println("service:", mode)
	terminated := make(chan os.Signal, 1)
	switch mode {
	case "exits early":
		fmt.Fprintln(os.Stderr, "no configuration")
		os.Exit(4)
	case "panics":
		panic("no configuration")
	case "kills itself":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "no handler":
	default:
		signal.Notify(terminated, syscall.SIGTERM)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var asked atomic.Int32
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := asked.Add(1)
			switch {
			case mode == "sick", mode == "slow" && n < 3, r.URL.Path != "/health":
				http.Error(w, "no database", http.StatusServiceUnavailable)
			default:
				fmt.Fprintln(w, "ok")
			}
		}))
	}()
	if mode == "leaves a child" {
		child := exec.Command(os.Args[0], "stubborn", "127.0.0.1:0")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		fmt.Printf("child: %d\n", child.Process.Pid)
	}
	for {
		<-terminated
		fmt.Println("got SIGTERM")
		switch mode {
		case "stubborn":
			continue
		case "exits 3":
			os.Exit(3)
		}
		return
	}
}
