package loadtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what came of a load.
type Report struct {
	Took   time.Duration
	Kinds  []KindReport
	Errors []Example // the first few
}

// KindReport is what came of one kind of requests. Latencies count from when a request was due.
type KindReport struct {
	Kind          Kind
	Requests      int
	Failures      map[string]int // by class: Refused, Reset …
	P50, P99, Max time.Duration
}

// Example is one failure.
type Example struct {
	Kind Kind
	At   time.Duration // since the beginning
	Err  string
}

// Failed is how many requests failed.
func (k KindReport) Failed() int {
	failed := 0
	for _, n := range k.Failures {
		failed += n
	}
	return failed
}

// Requests is how many were sent.
func (r Report) Requests() int {
	requests := 0
	for _, k := range r.Kinds {
		requests += k.Requests
	}
	return requests
}

// Failed is how many requests failed.
func (r Report) Failed() int {
	failed := 0
	for _, k := range r.Kinds {
		failed += k.Failed()
	}
	return failed
}

// Failures are the failures of all kinds, by class.
func (r Report) Failures() map[string]int {
	all := map[string]int{}
	for _, k := range r.Kinds {
		for class, n := range k.Failures {
			all[class] += n
		}
	}
	return all
}

// String is the report as a table.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests in %s, %d failed\n", r.Requests(), r.Took.Round(time.Millisecond), r.Failed())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kind\trequests\tfailed\tp50\tp99\tmax\t")
	for _, k := range r.Kinds {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", k.Kind, k.Requests, k.Failed(), round(k.P50), round(k.P99), round(k.Max), k.failures())
	}
	w.Flush()
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "%s, after %s: %s\n", e.Kind, e.At.Round(time.Millisecond), e.Err)
	}
	return b.String()
}

func (k KindReport) failures() string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(k.Failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", k.Failures[class], class))
	}
	return strings.Join(parts, ", ")
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
