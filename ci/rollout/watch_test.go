package rollout

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// slow is a driver whose instances do not answer requests of ours in time.
type slow struct {
	Driver
	times []int
}

func (s *slow) Ask(ctx context.Context, _ Place, _ string, times int) (Answers, error) {
	s.times = append(s.times, times)
	<-ctx.Done()
	return Answers{}, ctx.Err()
}

func (s *slow) Probe(ctx context.Context, _ Place) (Sample, error) {
	return Sample{Health: Healthy}, ctx.Err()
}

// Requests of ours that take all their time leave the look at the instance its own, and no driver is asked for more of them than
// it sends.
func TestALookHasATimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		driver := &slow{}
		r := &running{Runner: Runner{Driver: driver}}
		check := Check{Kind: Watching, Gates: Gates{Every: Duration(time.Second), Synthetic: Synthetic{Path: "/", Rate: 2500}}}
		on := make([]watched, 1)
		for range 2 {
			r.look(t.Context(), check, on)
		}
		assert.Equal(t, []int{1000, 1000}, driver.times)
		assert.Equal(t, []Sample{{Health: Healthy}, {Health: Healthy}}, on[0].samples)
	})
}
