// Command program is a binary with one dependency, for the tests.
package main

import (
	"fmt"

	"golang.org/x/mod/semver"
)

func main() { fmt.Println(semver.IsValid("v1.2.3")) }
