// Command distribution serves a registry for tests: that of the CNCF distribution project, in a directory, on a free port of
// 127.0.0.1, without TLS. It prints its address and ends with its standard input.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	config := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  {"rootdirectory": os.Args[1]},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}}
	config.Log.Level = "error"
	config.HTTP.Secret = "of a test"
	config.Validation.Manifests.Indexes.Platforms = "all"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, handlers.NewApp(context.Background(), config)))
}
