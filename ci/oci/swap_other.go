//go:build !linux

package oci

import "errors"

func exchange(string, string) error { return errors.ErrUnsupported }

// ignoreUnsupported drops what fsync says of a directory: not every system can.
func ignoreUnsupported(error) error { return nil }
