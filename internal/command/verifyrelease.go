package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/report"
	"github.com/slipway-ci/slipway/ci/ship"
)

const verifyReleaseHelp = `Proves a published image, and fails when anything is missing: that all of it has the digests it claims, that the trusted
one signed it, that it has a signed provenance (how it was made, from which commit) and a signed bill of materials.

Trusted is the key of --key; or whoever --identity names, as --issuer knows them, letter by letter; or, without these,
the key that slipway.yaml signs with. --rebuild builds the commit again, from a fresh clone and on an engine without a
cache, and compares the image bit for bit; what differs is named.`

// trustFlags are files, until they are read.
type trustFlags struct{ key, root string }

func (a *app) verifyRelease() *cobra.Command {
	var o ship.VerifyOptions
	var files trustFlags
	cmd := &cobra.Command{
		Use: "verify-release REFERENCE", Short: "Prove a published image: digests, signature, provenance, bill of materials", Long: verifyReleaseHelp, Args: oneReference,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Reference = args[0]
			if err := files.read(&o.Trust); err != nil {
				return err
			}
			return a.show(cmd, func(ctx context.Context, observer report.Observer) (report.Run, error) {
				o.Options = a.options
				return ship.VerifyRelease(ctx, o, observer)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&files.key, "key", "", "file of the public key that is trusted")
	flags.StringVar(&o.Trust.Identity, "identity", "", "who is trusted, as the certificate names them: a workflow's address, a mail address")
	flags.StringVar(&o.Trust.Issuer, "issuer", "", "who vouches for --identity, such as https://token.actions.githubusercontent.com")
	flags.StringVar(&files.root, "root", "", "file of the trusted root (default: that of slipway.yaml, or of the public Sigstore)")
	flags.BoolVar(&o.Rebuild, "rebuild", false, "build the commit again and compare")
	return cmd
}

// read puts the files into what is trusted.
func (f trustFlags) read(t *ship.Trust) (err error) {
	if f.key != "" {
		if t.Key, err = readFlagFile("--key", f.key); err != nil {
			return err
		}
	}
	if f.root != "" {
		t.Root, err = readFlagFile("--root", f.root)
	}
	return err
}

func readFlagFile(flag, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &ship.UsageError{Message: fmt.Sprintf("%s %s: there is no such file", flag, path)}
	case err != nil:
		return nil, &ship.UsageError{Message: fmt.Sprintf("%s: %v", flag, err)}
	case len(data) == 0:
		return nil, &ship.UsageError{Message: fmt.Sprintf("%s %s: the file is empty", flag, path)}
	}
	return data, nil
}

// oneReference wants one argument.
func oneReference(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 1:
		return nil
	case 0:
		return &ship.UsageError{Message: "slipway " + cmd.Name() + " needs the image: slipway " + cmd.Name() + " registry.example.org/team/app:1.2.3"}
	}
	return &ship.UsageError{Message: fmt.Sprintf("slipway %s takes one image, not %d", cmd.Name(), len(args))}
}
