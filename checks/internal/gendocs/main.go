// Gendocs writes docs/checks.md: every check of doctor and of health, as their registries describe it.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/beamctl/beamctl/checks/doctor"
	"github.com/beamctl/beamctl/checks/health"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(document()), 0o644); err != nil { //nolint:gosec // a document
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`<!-- Written by go generate from the registries of checks/doctor and checks/health. -->

# Checks

What ` + "`beamctl doctor`" + ` looks at before a start, and what ` + "`beamctl health`" + ` asks of running nodes. The form of the results is in
[output.md](output.md).

## doctor

Each check is ` + "`ok`, `warn`, `fail` or `none`" + ` (there is nothing to check). It looks at this machine and at the project of the directory; it asks
no node and boots no BEAM, but for an ` + "`erl` or `elixir`" + ` that is a shim and tells nothing otherwise. Those marked * are made by ` + "`start`" + `, too, before anything is started, which refuses to start what one of them fails.
What ` + "`doctor --fix`" + ` does about a fault is said where there is something that it does.
`)
	var group doctor.Group
	for _, c := range doctor.All() {
		if c.Group != group {
			group = c.Group
			section(&b, string(group), "check", "what is known when it is ok", "where it looks", "when it is not", "what to do then")
		}
		name, fix := "`"+c.Name+"`", c.Fix
		if c.Start {
			name += " *"
		}
		if c.Mends != "" {
			fix += "; `--fix` " + c.Mends
		}
		row(&b, name, c.What, c.Looks, c.Fails, fix)
	}
	b.WriteString(preflight)
	b.WriteString(`
## health

Each check is made of every node, and is ` + "`ok`, `warn`, `fail`, `none` (there is nothing to check) or `blocked`" + ` (another check failed first).
`)
	var about health.Group
	for _, c := range health.All() {
		if c.Group != about {
			about = c.Group
			section(&b, string(about), "check", "what is known when it is ok", "what is asked of the node", "when it is not", "what to do then")
		}
		row(&b, "`"+c.Name+"`", c.What, c.Asks, c.Fails, c.Fix)
	}
	b.WriteString(matrix)
	return b.String()
}

// matrix says what the probes of the configuration are, and which check is which of those that clusters are commonly asked.
const matrix = `
### Probes

Checks of your own are under ` + "`health.probes` in `beamctl.yaml`" + `, as [config.md](config.md#health) says: a call, or a chain of calls, and what is expected of the
result. They are columns like all others, with the name that you give them, in the group ` + "`probes`" + `.

### What is commonly asked of a cluster

| question | check |
|---|---|
| ping: does the node answer? | ` + "`ping`" + ` |
| rpc: does it run calls? | ` + "`rpc`" + ` |
| cookie: is it the right one? | ` + "`cookie`" + ` |
| app_started: does the application run? | ` + "`apps`, `versions`" + ` |
| genservers: do its processes answer? | ` + "`servers`, `supervisors`" + ` |
| arsenal: does what the application offers work? | [probes](config.md#an-example-the-operations-of-an-arsenal) |
| cluster_formed: is it one cluster? | ` + "`mesh`, `partitions`, `overlap`, `global`, `locks`, `pg`, `mnesia`" + ` |
| node_discovery: who has found whom? | ` + "`mesh`" + ` |
| process_distribution: how are processes spread over the nodes? | ` + "`spread`, `limits`" + ` |
| latency: how far are the nodes from each other? | ` + "`latency`, `ping`" + ` |
| memory: how much is in use? | ` + "`memory`" + ` |
| cpu: how much do they work? | ` + "`schedulers`, `runqueue`" + ` |
`

// preflight says which check is which item of the list that a start is commonly preceded by.
const preflight = `
### What is commonly looked at before a start

| question | check |
|---|---|
| is there an EPMD, does it answer, or can one be had? | ` + "`epmd`, `embedded`" + ` |
| do localhost and the host name resolve? | ` + "`localhost`, `hostname`, `hosts`" + ` |
| do the nodes' names fit (short, long, none twice)? | ` + "`names`" + ` |
| are the ports free, and who has them? | ` + "`ports`, `ephemeral`" + ` |
| is there a cookie, is it closed to others, and the same everywhere? | ` + "`cookie_file`, `cookie_length`, `cookies`" + ` |
| are Erlang, Elixir and rebar3 there, and do they go together? | ` + "`programs`, `erl`, `elixir`, `rebar3`, `versions`" + ` |
| is something left of earlier clusters? | ` + "`clusters`" + ` |
| are there file descriptors, threads, memory, room on the disk? | ` + "`files`, `processes`, `memory`, `disk`, `state`, `directories`" + ` |
| is the clock right, and the code compiled? | ` + "`clock`, `build`" + ` |
`

func section(b *strings.Builder, title string, header ...string) {
	fmt.Fprintf(b, "\n### %s\n\n", title)
	row(b, header...)
	b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
}

var cell = strings.NewReplacer("|", `\|`, "\n", " ")

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + cell.Replace(c) + " ")
	}
	b.WriteString("|\n")
}
