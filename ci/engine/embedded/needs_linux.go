package embedded

import "context"

// Needs is filled in below.
func Needs(ctx context.Context, opts Options) []Need { return nil }
