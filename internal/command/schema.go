package command

import (
	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/ci/project"
)

const schemaHelp = `Print the JSON Schema of slipway.yaml. Editors that know YAML complete and check the file with it:

  slipway schema >slipway.schema.json

and as the first line of slipway.yaml

  # yaml-language-server: $schema=slipway.schema.json`

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of slipway.yaml, for editors", Long: schemaHelp, Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Stdout.Write(project.Schema())
			return err
		},
	}
}
