package main

import (
	"path"
	"strings"
)

// expectation is a public repository at a commit, and what a run without configuration must come to.
type expectation struct {
	repository, commit string
	shape              string   // what it is on the list for
	red                []string // what the cards must name; empty: the run is green
}

func (e expectation) name() string { return path.Base(e.repository) }

func (e expectation) verdict() string {
	if len(e.red) == 0 {
		return "ok"
	}
	return "red: " + strings.Join(e.red, ", ")
}

// expected finds what the list says of a checkout; nil when it is not on it.
func expected(name, commit string) *expectation {
	for _, e := range expectations {
		if e.name() == name && e.commit == commit {
			return &e
		}
	}
	return nil
}

// expectations are run in this order. What a red one fails for, plain go vet and go test fail for too, or starting the program.
var expectations = []expectation{
	{repository: "github.com/google/uuid", commit: "2d3c2a9cc518326daf99a383f07c4d3c44317e4d", shape: "a library"},
	{repository: "github.com/spf13/cobra", commit: "adbc8813901bba65827259daa8e22ff94ec1f30e", shape: "a library"},
	{repository: "github.com/BurntSushi/toml", commit: "d733fc535e4a9f3c454e421a87b90ade5d49bf31", shape: "three programs"},
	{repository: "github.com/emirpasic/gods", commit: "1d83d5ae39fbb0de45a60365791ff1c8b9bae953", shape: "a library of more than 50 packages"},
	{repository: "github.com/go-chi/chi", commit: "735ae2b87f8c733d616e809ae86e0985c1bc3350", shape: "nested modules"},
	{repository: "github.com/spf13/pflag", commit: "5fdac2d16c16d60605cb8baa887e8c5c38ef623f", shape: "a library"},
	{repository: "github.com/rakyll/hey", commit: "898582754e00405372f0686641441168f4e2f489", shape: "vendor/"},
	{repository: "github.com/FiloSottile/mkcert", commit: "1c1dc4ed27ed5936046b6398d39cab4d657a2d8e", shape: "a program in the root, no tests"},
	{repository: "github.com/gorilla/mux", commit: "db9d1d0073d27a0a2d9a8c1bc52aa0af4374d265", shape: "a library"},
	{repository: "github.com/sirupsen/logrus", commit: "87434bb3a736e2a27d34df66924471714f408d3d", shape: "a library"},
	{repository: "github.com/mvdan/sh", commit: "40b09e18a8485f01ecbc6e25297265f06bacc39d", shape: "two programs, nested modules"},
	{repository: "github.com/peterbourgon/ff", commit: "2b13f7e8c0cfdae5e6462b4caaf8f3c74f6343af", shape: "a library"},
	{repository: "github.com/tomnomnom/gron", commit: "88a6234ea2d0c487090988182ad9a7cdf6def924", shape: "a program in the root"},
	{repository: "github.com/tsenart/vegeta", commit: "cf5811269046c672a604b1eb352204d30f16ae4a", shape: "a program in the root"},
	{repository: "github.com/DataDog/zstd", commit: "869dae002e5efb372a0b09cd7d99390ca2089cc1", shape: "cgo, with its C sources"},
	{repository: "github.com/cespare/xxhash", commit: "ab37246c889f9db16b606fda1c232d659df9271d", shape: "a plugin that does not fit; nested modules", red: []string{"TestDynamic"}},
	{repository: "github.com/golang/example", commit: "7f05d217867b2af52b0a28c6d1c91df97e1b5b39", shape: "eleven programs; one of them reads a file that its image lacks", red: []string{"template: the program does not start in its image"}},
}
