// Command load asks an address until SIGTERM, and keeps what came of it so far in a file:
//
//	load ADDRESS RATE FILE [PATH END]
//
// With a path, an answer is whole when it has that end; else it is that of the command echo.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ci/slipway/internal/loadtest"
)

// progress is what the file holds. Report is there at the end.
type progress struct {
	Sent, Open int
	Report     *loadtest.Report
}

func main() {
	address, file := os.Args[1], os.Args[3]
	rate, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	plan := loadtest.Plan{Address: address, Rate: rate, Timeout: 2 * time.Minute, Check: named}
	if len(os.Args) == 6 {
		plan.Path, plan.Check = os.Args[4], ending(os.Args[5])
	}
	load := loadtest.Start(context.Background(), plan)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		write(file, progress{Sent: load.Sent(), Open: load.Open()})
	}
	report := load.Stop()
	write(file, progress{Sent: load.Sent(), Report: &report})
}

func write(file string, p progress) {
	data, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(file+".next", data, 0o644)
	}
	if err == nil {
		err = os.Rename(file+".next", file)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func ending(end string) func(loadtest.Kind, []byte) error {
	return func(_ loadtest.Kind, body []byte) error {
		if !strings.HasSuffix(strings.TrimSpace(string(body)), end) {
			return fmt.Errorf("%.100q", body)
		}
		return nil
	}
}

// named takes an answer of one of two instances, whole.
func named(k loadtest.Kind, body []byte) error {
	want := map[string]string{"GET": " GET 0", "POST": " POST 2048"}[k.Method]
	if name := strings.TrimSuffix(string(body), want); name == string(body) || name != "blue" && name != "green" {
		return fmt.Errorf("%.100q", body)
	}
	return nil
}
