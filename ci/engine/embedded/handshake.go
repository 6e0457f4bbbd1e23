package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const infoMethod = "/moby.buildkit.v1.Control/Info"

// handshake asks the engine who it is: one gRPC call, Control.Info, over the standard library's HTTP/2. It proves that a
// Dagger engine of this version listens and serves, and takes about 2 ms.
func handshake(ctx context.Context, socket, version string) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	emptyMessage := make([]byte, 5)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine"+infoMethod, bytes.NewReader(emptyMessage))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	return checkInfo(body, version)
}

// errWrongEngine means that something answers, and it is not what we started.
var errWrongEngine = errors.New("something else answers on the engine's socket")

// checkInfo looks for the two strings in the answer's protobuf; both are length-prefixed, so a longer version does not pass.
func checkInfo(message []byte, version string) error {
	if !bytes.Contains(message, field(1, daggerPackage)) {
		return errWrongEngine
	}
	if !bytes.Contains(message, field(2, version)) {
		return fmt.Errorf("%w: a Dagger engine of another version than %s", errWrongEngine, version)
	}
	return nil
}

func field(number byte, text string) []byte {
	return append([]byte{number<<3 | 2, byte(len(text))}, text...)
}

// answers repeats the handshake until it succeeds or ctx ends.
func answers(ctx context.Context, socket, version string) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := handshake(attempt, socket, version)
		cancel()
		if err == nil || errors.Is(err, errWrongEngine) {
			return err
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("the engine does not answer: %s", strings.TrimSpace(err.Error()))
		}
	}
}
