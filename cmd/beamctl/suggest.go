package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/beamctl/beamctl/checks"
)

// flagError makes a usage error of what pflag says, and names the flag that was perhaps meant.
func (a *app) flagError(cmd *cobra.Command, args []string, err error) error {
	if !cmd.HasParent() && !strings.HasPrefix(args[0], "-") { // there is no such verb: what follows it are its flags
		return a.unknownCommand(cmd, args)
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := ""
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() == "" {
		name = unknown.GetSpecifiedName()
	}
	for _, arg := range args { // as erl has them: -name
		long, _, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if len(long) > 1 && arg[0] == '-' && slices.Contains(known, long) {
			name = long
		}
	}
	return usagef("%w%s", err, didYouMean("--", name, known))
}

// didYouMean asks whether what is known was meant of which word is the beginning, or a typo.
func didYouMean(prefix, word string, known []string) string {
	meant := checks.Nearest(word, known)
	if i := slices.IndexFunc(known, func(k string) bool { return len(word) > 1 && strings.HasPrefix(k, word) }); i >= 0 {
		meant = known[i]
	}
	if meant == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %s%s?", prefix, meant)
}
