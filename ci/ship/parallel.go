package ship

import (
	"context"
	"fmt"
	"os"

	"github.com/slipway-ci/slipway/ci/engine"
	"github.com/slipway-ci/slipway/ci/pipelines"
	"github.com/slipway-ci/slipway/ci/pipelines/inbox/capacity"
	"github.com/slipway-ci/slipway/ci/report"
)

// perJob is the memory that one command may need: compiling and linking a large Go program, or its tests.
const perJob = 2048 // MiB

// parallel says how many commands run at once. An engine on this machine has what this process has; any other one is asked.
func parallel(ctx context.Context, s *engine.Session, stages pipelines.Stages) (report.Parallel, error) {
	if s.Choice.Kind == engine.Embedded {
		return jobs(capacity.Read(os.DirFS("/"))), nil
	}
	there, err := stages.Capacity(ctx)
	return jobs(there), err
}

// jobs is one command for each core, as long as each has its share of memory.
func jobs(c capacity.Capacity) report.Parallel {
	p := report.Parallel{Cores: c.Cores, MemoryMiB: c.MemoryMiB, Jobs: c.Cores, Why: fmt.Sprintf("one for each of %d cores", c.Cores)}
	if byMemory := c.MemoryMiB / perJob; c.MemoryMiB > 0 && byMemory < c.Cores {
		p.Jobs = max(1, byMemory)
		p.Why = fmt.Sprintf("%d MiB of memory (%s), %d MiB each", c.MemoryMiB, c.Limit, perJob)
	}
	return p
}
