package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/ci/project"
	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/rollout"
	"github.com/slipway-ci/slipway/ci/secret"
)

// notifyTime is how long a webhook may take. A rollout is over then, and waits for nobody.
const notifyTime = 5 * time.Second

// notifier tells those who want to know. It never fails anything: what it could not tell is a warning.
type notifier struct {
	addresses []address
	problems  []string
}

type address struct {
	url   string
	slack bool
}

// newNotifier reads the addresses, which are secrets.
func newNotifier(ctx context.Context, o Options, e project.Environment) notifier {
	var n notifier
	source := secret.Source{Getenv: o.Getenv, Environ: o.Environ, Dir: o.Source}
	for i, who := range e.Notify {
		url, err := who.Address.Read(ctx, source)
		if err != nil {
			n.problems = append(n.problems, fmt.Sprintf("environments.%s.notify[%d]: %v", e.Name, i, err))
			continue
		}
		n.addresses = append(n.addresses, address{url: url, slack: who.Slack})
	}
	return n
}

// message is a text, and what it is about.
type message struct {
	text string
	data any
}

// tell tells all at once, and returns what went wrong, without the addresses.
func (n notifier) tell(ctx context.Context, m message) []string {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	problems := make([]string, len(n.addresses))
	var all sync.WaitGroup
	for i, to := range n.addresses {
		all.Go(func() {
			if err := post(ctx, to, m); err != nil {
				problems[i] = fmt.Sprintf("notify[%d]: %s", i, secret.Mask(to.url)(err.Error()))
			}
		})
	}
	all.Wait()
	told := n.problems
	for _, problem := range problems {
		if problem != "" {
			told = append(told, problem)
		}
	}
	return told
}

func post(ctx context.Context, to address, m message) error {
	body := m.data
	if to.slack {
		body = map[string]string{"text": m.text}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSpace(to.url), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("the address is none: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	if response.StatusCode >= 300 {
		return fmt.Errorf("it answered %s", response.Status)
	}
	return nil
}

// notify tells how a rollout ended, when something was done.
func (d *delivery) notify(ctx context.Context, out report.Rollout) {
	if len(d.environment.Notify) == 0 || !out.Changed {
		return
	}
	for _, problem := range newNotifier(ctx, d.options, d.environment).tell(ctx, rolloutMessage(out)) {
		d.report.Warn("somebody was not told: " + problem)
	}
}

func rolloutMessage(out report.Rollout) message {
	what := map[rollout.Outcome]string{
		rollout.Done: "is live", rollout.RolledBack: "failed, everything is back as it was",
		rollout.Interrupted: "was interrupted, everything is back as it was", rollout.Stuck: "failed, and a person is needed",
	}[rollout.Outcome(out.Outcome)]
	text := fmt.Sprintf("%s: %s of %s %s", out.Service, out.Action, out.Version, what)
	if reason, _, _ := strings.Cut(out.Reason, "\n"); reason != "" {
		text += ": " + reason
	}
	return message{text: text, data: out}
}

func statusMessage(s Status) message {
	text := s.Service + ": does well again"
	if !s.Well {
		text = s.Service + ": does not do well"
		for _, t := range s.Targets {
			if t.Well {
				continue
			}
			text += fmt.Sprintf("; %s: %s", t.Name, strings.Join(append(t.Drift, t.Unseen), ", "))
		}
	}
	return message{text: strings.TrimSuffix(text, ", "), data: s}
}
