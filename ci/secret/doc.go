// Package secret says where a secret is kept, reads it there, and hides it in
// what people see.
//
// A configuration never holds a secret. It holds a [Reference]:
//
//	env://DB_PASSWORD          the variable of that name
//	file://secrets/db.txt      the file, relative to the configuration
//	cmd://pass show db         what the command prints; sh runs it
//
// One line break at the end of a file or of a command's output is not part of
// the secret, because editors and echo put it there. Reading fails when there
// is nothing.
//
//	ref, err := secret.Parse("env://DB_PASSWORD")
//	…
//	password, err := ref.Read(ctx, secret.Source{Getenv: getenv, Dir: root})
//
// [Mask] hides values in texts: as they are, line by line, and in the
// encodings in which programs print them (base64, base32, hex, URL, JSON, HTML,
// Go's and the shell's quoting). Who prints a secret in other ways, letter by letter for
// instance, is not stopped by it: it is the second layer, and the first is not
// to print secrets at all.
package secret
