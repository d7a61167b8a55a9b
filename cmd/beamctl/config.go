package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/launcher"
)

// resolved is what `config -o json` writes.
type resolved struct {
	File     string             `json:"file"` // "": there is none
	Dir      string             `json:"dir"`
	Settings []launcher.Setting `json:"settings"`
}

func (a *app) configCmd() *cobra.Command {
	var (
		flags  specFlags
		schema bool
	)
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show what start would start, and where each setting comes from",
		Long: `Config shows what start, with the same flags, would start, and where each setting comes from. A flag counts over the
environment (BEAMCTL_COUNT, BEAMCTL_READY_TIMEOUT), that over beamctl.yaml, that over what is found out from the directory.
It starts nothing. When something is wrong, it says everything that is, with line and column.

Values that may be secrets are not shown.`,
		Example: `  beamctl config
  beamctl config -n 5 -o json
  beamctl config --schema > beamctl.schema.json   # for editors`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if schema {
				_, err := a.out.Write(launcher.ConfigSchema)
				return err
			}
			res, err := flags.resolve(a)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(resolved{res.File, res.Spec.Dir, res.Settings})
			}
			var rows [][]string
			for _, s := range res.Settings {
				rows = append(rows, []string{s.Key, settingText(s.Value), s.From})
			}
			return table(a.out, 0, []string{"KEY", "VALUE", "FROM"}, rows)
		},
	}
	flags.register(cmd.Flags())
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON schema of beamctl.yaml instead")
	return cmd
}

// settingText shows a value in one cell.
func settingText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

func (a *app) initCmd() *cobra.Command {
	var flags specFlags
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a beamctl.yaml of what is found in the directory",
		Long: `Init finds out what the directory holds, as start does, and writes it into beamctl.yaml, commented, for you to change. It looks for
  mix.exs                    a Mix project
  rebar.config               a rebar3 project
  releases/start_erl.data    a release, made by mix release or relx
  Emakefile, ebin/*.app      plain Erlang
It never overwrites a file.`,
		Example: `  beamctl init
  beamctl init -n 5 --name 'test_{{.Node}}@127.0.0.1'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			res, err := flags.resolve(a)
			if err != nil {
				return err
			}
			path, err := launcher.InitConfig(res)
			if err != nil {
				return err
			}
			a.say("wrote %s: %d × %s%s", path, len(res.Spec.Nodes), res.Spec.Runtime, mixEnv(res))
			return nil
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// mixEnv says for which environment Mix builds, if it does.
func mixEnv(res *launcher.Resolved) string {
	i := slices.IndexFunc(res.Settings, func(s launcher.Setting) bool { return s.Key == "env.MIX_ENV" })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf(", MIX_ENV %v (%s)", res.Settings[i].Value, res.Settings[i].From)
}
