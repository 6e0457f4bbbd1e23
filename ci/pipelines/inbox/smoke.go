package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	firstPause   = 20 * time.Millisecond // between probes; it doubles, so that a quick start is seen at once
	longestPause = time.Second           // and a slow one does not drown the service's log in probes
	probePatient = 2 * time.Second
	keptBody     = 512
	keptLog      = 16 << 10
)

// smokeOptions says how a service is started, asked and stopped.
type smokeOptions struct {
	port    int
	path    string
	start   time.Duration // from the start to the first healthy answer
	grace   time.Duration // from SIGTERM to the end
	command []string
}

// smokeResult is what came of it.
type smokeResult struct {
	Started   time.Time `json:"started"`
	Healthy   bool      `json:"healthy"`
	ReadyMS   int64     `json:"ready_ms"`   // from the start to the first healthy answer
	Probes    int       `json:"probes"`     // how often it was asked
	LastProbe string    `json:"last_probe"` // status and head of the last answer, or why there was none
	Early     bool      `json:"early"`      // it ended before it was told to
	ExitCode  int       `json:"exit_code"`
	Signal    string    `json:"signal"`
	Killed    bool      `json:"killed"`     // it outlived its grace period
	StoppedMS int64     `json:"stopped_ms"` // from SIGTERM to the end
	Log       string    `json:"log"`        // the end of what it printed
	Command   []string  `json:"command"`
}

// smokeCommand runs a service as its image would, asks its health address until it is well, and stops it.
func smokeCommand(args []string, stdout io.Writer) error {
	options, err := parseSmoke(args)
	if err != nil {
		return err
	}
	return printJSON(stdout, smoke(options, serviceURL(options)))
}

func parseSmoke(args []string) (smokeOptions, error) {
	var options smokeOptions
	flags := flag.NewFlagSet("smoke", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&options.port, "port", 0, "")
	flags.StringVar(&options.path, "path", "/", "")
	flags.DurationVar(&options.start, "start", 30*time.Second, "")
	flags.DurationVar(&options.grace, "grace", 10*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return options, usageError{err.Error()}
	}
	options.command = flags.Args()
	if len(options.command) == 0 || options.port == 0 {
		return options, usageError{"name -port and the command to run after --"}
	}
	return options, nil
}

// serviceURL is where the service is asked: at the container's own address, as others would, not at the loopback, which a
// service may listen on by mistake.
func serviceURL(options smokeOptions) string {
	host := "127.0.0.1"
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, address := range addresses {
			ip, ok := address.(*net.IPNet)
			if ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
				host = ip.IP.String()
				break
			}
		}
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(options.port)) + "/" + strings.TrimPrefix(options.path, "/")
}

func smoke(options smokeOptions, url string) smokeResult {
	result := smokeResult{Started: time.Now().UTC(), Command: options.command}
	log := &endOf{max: keptLog}
	command := exec.Command(options.command[0], options.command[1:]...)
	command.Stdout, command.Stderr = log, log
	ownGroup(command)
	if err := command.Start(); err != nil {
		result.Early, result.ExitCode, result.Log = true, notStarted, err.Error()
		return result
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // how it ended is in ProcessState
		close(ended)
	}()
	waitHealthy(&result, options, url, ended)
	stopService(&result, options, command, ended)
	result.Log = log.String()
	return result
}

// waitHealthy asks until the service is well, ends, or runs out of time.
func waitHealthy(result *smokeResult, options smokeOptions, url string, ended <-chan struct{}) {
	deadline := time.NewTimer(options.start)
	defer deadline.Stop()
	client := &http.Client{Timeout: probePatient}
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		result.Probes++
		well, answer := probe(client, url)
		result.LastProbe = answer
		if well {
			result.Healthy, result.ReadyMS = true, time.Since(result.Started).Milliseconds()
			return
		}
		pause := time.NewTimer(wait)
		select {
		case <-ended:
			pause.Stop()
			result.Early = true
			return
		case <-deadline.C:
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

func probe(client *http.Client, url string) (well bool, answer string) {
	response, err := client.Get(url)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, keptBody))
	return response.StatusCode >= 200 && response.StatusCode < 300, response.Status + " " + strings.TrimSpace(string(body))
}

// stopService asks the service to end and kills it when its grace period is over.
func stopService(result *smokeResult, options smokeOptions, command *exec.Cmd, ended <-chan struct{}) {
	asked := time.Now()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		result.Log = fmt.Sprintf("send SIGTERM: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), options.grace)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		result.Killed = true
		killGroup(command)
		<-ended
	}
	result.StoppedMS = time.Since(asked).Milliseconds()
	result.ExitCode = command.ProcessState.ExitCode()
	if _, name, ok := signalOf(command.ProcessState); ok {
		result.Signal = name
	}
}

// endOf keeps the end of what is written to it.
type endOf struct {
	mu  sync.Mutex
	max int
	buf []byte
}

func (e *endOf) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buf = append(e.buf, p...)
	if over := len(e.buf) - e.max; over > 0 {
		e.buf = e.buf[over:]
	}
	return len(p), nil
}

func (e *endOf) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.buf)
}
