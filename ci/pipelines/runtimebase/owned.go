package runtimebase

// Name is how an image names this base in its labels.
func Name() string { return "slipway-static:" + version() }

// Owned lists the directories whose owner or mode a copy from a build context loses: it makes root the owner of everything.
func Owned() []Entry {
	var owned []Entry
	for _, entry := range fixedEntries() {
		if entry.Dir && (entry.UID != 0 || entry.Mode != dirMode) {
			owned = append(owned, entry)
		}
	}
	return owned
}
