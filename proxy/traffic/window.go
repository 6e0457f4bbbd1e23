package traffic

import (
	"math/bits"
	"time"
)

const (
	// Window is how far back percentiles look.
	Window = 30 * time.Second

	seconds = int64(Window / time.Second)
	octave  = 16                    // buckets for each doubling: a figure is at most 1/16 too high
	buckets = (32 - 4 + 1) * octave // up to 2^32 µs, more than an hour
)

// window counts latencies by second and size, so that it costs the same for ten requests as for a million.
type window struct {
	ring [seconds]second
}

type second struct {
	at     int64 // which second this is
	counts [buckets]uint32
}

func (w *window) add(at int64, latency time.Duration) {
	s := &w.ring[at%seconds]
	if s.at != at {
		*s = second{at: at}
	}
	s.counts[bucket(latency)]++
}

// quantiles are the latencies that a share of the requests did not exceed, 0 without requests. Waiting are requests that have
// no answer yet, with the time that they wait already.
func (w *window) quantiles(now int64, waiting []time.Duration, shares ...float64) []time.Duration {
	var sum [buckets]uint64
	var total uint64
	for i := range w.ring {
		if s := &w.ring[i]; s.at > now-seconds && s.at <= now {
			for b, n := range s.counts {
				sum[b] += uint64(n)
				total += uint64(n)
			}
		}
	}
	for _, latency := range waiting {
		sum[bucket(latency)]++
		total++
	}
	found := make([]time.Duration, len(shares))
	for i, share := range shares {
		found[i] = quantile(&sum, total, share)
	}
	return found
}

func quantile(sum *[buckets]uint64, total uint64, share float64) time.Duration {
	if total == 0 {
		return 0
	}
	rank, seen := uint64(share*float64(total-1))+1, uint64(0)
	for b, n := range sum {
		if seen += n; seen >= rank {
			return ceiling(b)
		}
	}
	return ceiling(buckets - 1)
}

// bucket is the number of a latency's bucket: microseconds one by one up to 16, then sixteen buckets for each doubling.
func bucket(latency time.Duration) int {
	us := uint64(max(0, latency.Microseconds()))
	if us < octave {
		return int(us)
	}
	shift := bits.Len64(us) - 5
	return min(shift*octave+int(us>>shift), buckets-1)
}

// ceiling is the longest latency of a bucket.
func ceiling(b int) time.Duration {
	if b < octave {
		return time.Duration(b) * time.Microsecond
	}
	shift := b/octave - 1
	return time.Duration(uint64(b%octave+octave+1)<<shift-1) * time.Microsecond
}
