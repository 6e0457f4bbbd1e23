// Command echo is an instance of a service: it listens on 127.0.0.1 at a port, and says its name, the method and how much was sent.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	name, port := os.Args[1], os.Args[2]
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			fmt.Fprintf(w, "%s %s %d", name, r.Method, n)
		}
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
