package command

import "github.com/spf13/cobra"

// Tree is the command with all of its verbs and flags, for tests that hold the documents against it.
func Tree(system IO) *cobra.Command {
	root := (&app{IO: system}).root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}
