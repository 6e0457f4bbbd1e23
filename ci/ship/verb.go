package ship

// Verb says how far a run goes. Each stage brings what it needs.
type Verb string

// The verbs, in the order in which they go further. Publish is the only one that changes anything outside of this machine.
const (
	Verify  Verb = "verify"
	Build   Verb = "build"
	Package Verb = "package"
	Image   Verb = "image"
	Smoke   Verb = "smoke"
	Ship    Verb = "ship"
	Publish Verb = "publish"
)

func (v Verb) verifies() bool { return v == Verify || v == Ship || v == Publish }
func (v Verb) packages() bool { return v == Package || v == Ship || v == Publish }
func (v Verb) images() bool   { return v == Image || v == Smoke || v == Ship || v == Publish }
func (v Verb) smokes() bool   { return v == Smoke || v == Ship || v == Publish }
