// Command harbour prints the names of the ships in ships.txt. The list in Go is generated and not committed: without the
// generator this program does not compile.
package main

import (
	"fmt"
	"strings"
)

//go:generate go run ./gen

func main() { fmt.Println(strings.Join(ships, "\n")) }
