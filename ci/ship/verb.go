package ship

// Verb says how far a run goes. Each stage brings what it needs.
type Verb string

// The verbs, in the order in which they go further. Publish is the only one of them that changes anything outside of this machine.
const (
	Verify  Verb = "verify"
	Build   Verb = "build"
	Package Verb = "package"
	Image   Verb = "image"
	Smoke   Verb = "smoke"
	Ship    Verb = "ship"
	Publish Verb = "publish"
)

// The verbs that roll out have functions of their own: Deploy, Plan, Rollback. Deploy ships on the way, and Plan builds.
const (
	verbDeploy   Verb = "deploy"
	verbPlan     Verb = "plan"
	verbRollback Verb = "rollback"
)

func (v Verb) rolls() bool { return v == verbDeploy || v == verbPlan || v == verbRollback }

func (v Verb) verifies() bool { return v == Verify || v.ships() }
func (v Verb) packages() bool { return v == Package || v.ships() }
func (v Verb) images() bool   { return v == Image || v.smokes() }
func (v Verb) smokes() bool   { return v == Smoke || v.ships() }
func (v Verb) ships() bool    { return v == Ship || v == Publish || v == verbDeploy }

// outward verbs reach beyond this machine, with its credentials. A plan changes nothing there but brings our helper, and what it
// runs on the way is the project's own code.
func (v Verb) outward() bool { return v == Publish || v.rolls() }
