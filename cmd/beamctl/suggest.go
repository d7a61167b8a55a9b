package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// didYouMean asks whether the nearest of what is known was meant, if one is near.
func didYouMean(prefix, word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf(": did you mean %s%s?", prefix, best)
	}
	return ""
}

// nearest returns the word that was perhaps meant: one of which it is the beginning, or one with few typing errors; "": none.
func nearest(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		d := distance(word, k)
		if len(word) > 1 && strings.HasPrefix(k, word) {
			d = 0
		}
		if d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many characters have to be added, dropped, replaced or swapped with the next to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1) // rows[i][j]: from a[:i] to b[:j]
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], 1+rows[i-2][j-2])
				}
			}
		}
	}
	return rows[len(a)][len(b)]
}
