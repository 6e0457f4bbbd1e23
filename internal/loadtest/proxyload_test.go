package loadtest_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/slipway-ci/slipway/internal/loadtest"
)

// rate is what the rollout's tests ask a second.
const rate = 500

// named is the check that an answer came from one of the instances, whole.
func named(k loadtest.Kind, body []byte) error {
	want := map[string]string{"GET": " GET 0", "POST": " POST 2048"}[k.Method]
	if name := strings.TrimSuffix(string(body), want); name == string(body) || name != "blue" && name != "green" {
		return fmt.Errorf("%.100q", body)
	}
	return nil
}

func (s *site) load() *loadtest.Load {
	return loadtest.Start(s.t.Context(), loadtest.Plan{Address: s.address(0), Rate: rate, Check: named})
}

// later waits until so many more requests were sent.
func later(t *testing.T, load *loadtest.Load, more int) {
	t.Helper()
	until := load.Sent() + more
	require.Eventually(t, func() bool { return load.Sent() >= until }, patience, 5*time.Millisecond)
}

// switchOver does what a rollout does: a canary, all of it, and the old instance ends when nothing is with it.
func (s *site) switchOver(load *loadtest.Load, from, to *instance) {
	s.t.Helper()
	s.split(map[*instance]int{from: 90, to: 10})
	later(s.t, load, 50)
	s.split(map[*instance]int{to: 100})
	got := s.control("POST", "/slipway/v1/drain", map[string]any{"name": from.name, "timeout": "20s"})
	require.Equal(s.t, map[string]any{"active": 0.0, "cut": 0.0}, got)
	from.server.Close() // what was still with it would be lost now
	later(s.t, load, 50)
}

// Twenty switches, each with a canary, a drain and the end of the old instance; in the middle of them the proxy is replaced, and
// once more while the split changes. Nothing is lost.
func TestSwitchesAndUpgradesLoseNothing(t *testing.T) {
	s := newSite(t, 1)
	s.program = plain
	proxies := map[bool]string{true: "a", false: "b"}
	running := s.start("a")
	now := newInstance(t, "blue", nil)
	s.split(map[*instance]int{now: 100})
	load := s.load()
	var slowest time.Duration
	for round := range 20 {
		next := newInstance(t, map[bool]string{true: "green", false: "blue"}[round%2 == 0], nil)
		began := time.Now()
		s.switchOver(load, now, next)
		slowest = max(slowest, time.Since(began))
		now = next
		if round == 9 || round == 14 {
			running = s.upgrade(load, running, proxies[round != 9])
		}
	}
	report := load.Stop()
	t.Logf("%s20 switches, 2 upgrades of the proxy; the longest switch took %s", report, slowest.Round(time.Millisecond))
	assert.Zero(t, report.Failed(), report)
	assert.GreaterOrEqual(t, report.Requests(), 20*100)
}

// upgrade replaces the proxy as the helper does: a connection to the old one, the new one beside it, and the old one leaves.
func (s *site) upgrade(load *loadtest.Load, old *process, name string) *process {
	s.t.Helper()
	next := s.start(name)
	later(s.t, load, 100)
	code, answer := call(s.t, old.socket, "POST", "/slipway/v1/retire", map[string]any{"timeout": "30s"})
	require.Equal(s.t, 200, code, answer)
	require.NoError(s.t, old.ends())
	assert.Contains(s.t, old.log.String(), "every connection has ended", "nobody had to be cut")
	later(s.t, load, 100)
	return next
}

// SIGTERM is the same as being told to retire.
func TestStopUnderLoadLosesNothing(t *testing.T) {
	s := newSite(t, 1)
	s.program = plain
	first := s.start("a")
	s.split(map[*instance]int{newInstance(t, "blue", nil): 50, newInstance(t, "green", nil): 50})
	load := s.load()
	later(t, load, 200)
	s.start("b")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, first.ends())
	later(t, load, 200)
	report := load.Stop()
	assert.Zero(t, report.Failed(), report)
}

// A proxy that is killed loses what it had in its hands and nothing else: the sockets stay, nobody is refused, and the next
// process goes on as the last was told.
func TestKilledProxyRefusesNobody(t *testing.T) {
	s := newSite(t, 1)
	s.program = plain
	running := s.start("a")
	s.split(map[*instance]int{newInstance(t, "blue", nil): 90, newInstance(t, "green", nil): 10})
	load := s.load()
	lost := 0
	for range 3 {
		later(t, load, 200)
		require.Eventually(t, func() bool { return load.Waiting() < 50 }, patience, time.Millisecond, "it has caught up")
		open, sent := load.Open(), load.Sent()
		require.NoError(t, running.cmd.Process.Kill())
		require.Error(t, running.ends())
		lost += open + load.Sent() - sent // all that it can have had: some of them wait in the socket, and are not lost
		running = s.start("a")
	}
	later(t, load, 200)
	report := load.Stop()
	t.Logf("%sat most %d connections were with it at three kills", report, lost)
	for class := range report.Failures() {
		assert.Contains(t, []string{loadtest.EOF, loadtest.Reset, loadtest.Short}, class, report)
	}
	assert.LessOrEqual(t, report.Failed(), lost, report)
	assert.EqualValues(t, 1, s.control("GET", "/slipway/v1", nil)["sequence"])
}

// What the proxy costs, beside asking the instance itself. The figures are of a machine that does other things too.
func TestOverhead(t *testing.T) {
	s := newSite(t, 1)
	s.program = plain
	s.start("a")
	blue := newInstance(t, "blue", nil)
	s.split(map[*instance]int{blue: 100})
	measure := func(address string) loadtest.Report {
		report := run(t, loadtest.Plan{Address: address, Rate: rate, Check: named}, 3*rate)
		require.Zero(t, report.Failed(), report)
		return report
	}
	var direct, through []loadtest.Report
	for range 3 { // in turn, so that both meet the same neighbours
		direct = append(direct, measure(blue.address()))
		through = append(through, measure(s.address(0)))
	}
	for i, kind := range loadtest.Kinds() {
		best := func(reports []loadtest.Report, of func(loadtest.KindReport) time.Duration) time.Duration {
			var all []time.Duration
			for _, r := range reports {
				all = append(all, of(r.Kinds[i]))
			}
			return slices.Min(all)
		}
		p50 := func(k loadtest.KindReport) time.Duration { return k.P50 }
		p99 := func(k loadtest.KindReport) time.Duration { return k.P99 }
		t.Logf("%-16s p50 %8s direct, %8s through the proxy; p99 %8s and %8s", kind, best(direct, p50), best(through, p50), best(direct, p99), best(through, p99))
	}
}

// A state file is whole whenever the proxy is killed, and leads to a live instance.
func TestKilledWhileItIsTold(t *testing.T) {
	s := newSite(t, 1)
	blue, green := newInstance(t, "blue", nil), newInstance(t, "green", nil)
	running := s.start("a")
	s.split(map[*instance]int{blue: 50, green: 50})
	for round := range 5 {
		told := make(chan struct{})
		go func() {
			defer close(told)
			for weight := range 101 {
				body := fmt.Sprintf(`{"upstreams":[{"name":"blue","address":%q,"weight":%d},{"name":"green","address":%q,"weight":%d}]}`, blue.address(), weight, green.address(), 100-weight)
				if err := tell(filepath.Join(s.run, "proxy-a.sock"), body); err != nil {
					return // it was killed
				}
			}
		}()
		require.Eventually(t, func() bool { return s.sequence() >= float64(10*(round+1)) }, patience, time.Millisecond)
		require.NoError(t, running.cmd.Process.Kill())
		require.Error(t, running.ends())
		<-told
		running = s.start("a")
		assert.NotContains(t, running.log.String(), "damaged")
		response, _ := get(t, s.url("/"))
		assert.Equal(t, http.StatusOK, response.StatusCode)
	}
}

func (s *site) sequence() float64 {
	number, _ := s.control("GET", "/slipway/v1", nil)["sequence"].(float64)
	return number
}

// tell puts settings, and says when nobody takes them.
func tell(socket, body string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "PUT /slipway/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
