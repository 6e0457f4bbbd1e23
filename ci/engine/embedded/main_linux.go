package embedded

import (
	"fmt"
	"os"
)

// Arguments by which this program starts copies of itself. They are not part of its command line for people.
const (
	supervisorArgument = "engine-supervisor!"
	namespaceArgument  = "engine-namespace!"
	chrootArgument     = "engine-chroot!"
)

// Main runs this process as supervisor or as first process of a namespace, if its arguments ask for that. The program must
// call it first, and exit with code when handled is true.
func Main(args []string) (handled bool, code int) {
	if len(args) != 1 {
		return false, 0
	}
	switch args[0] {
	case supervisorArgument:
		return true, supervise()
	case namespaceArgument:
		return true, exitCode(becomeEngine())
	case chrootArgument:
		return true, exitCode(runInChroot())
	}
	return false, 0
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "slipway:", err)
	return 1
}
