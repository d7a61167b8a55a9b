package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// rpcTimeout is how long a call may take if --timeout doesn't say otherwise.
const rpcTimeout = 30 * time.Second

func (a *app) rpcCmd() *cobra.Command {
	var (
		at  attachment
		all bool
	)
	cmd := &cobra.Command{
		Use:   "rpc NODE|--all 'mod:fun(Args)'",
		Short: "Call a function on a node and print what it returns",
		Long: `Rpc calls a function with literal arguments, written as in Erlang or as in Elixir, and prints the result as an Erlang term.
What the function prints is printed, too. NODE is a node of the cluster (node1, or its full name), or any other node
by its full name, with --cookie-file.

An exception is shown with its class and reason, and makes the exit code 1. At the timeout, or at Ctrl-C, the
process that runs the call on the node is killed.`,
		Example: `  beamctl rpc node1 'kv:get(some_key)'
  beamctl rpc --all 'erlang:nodes()'
  beamctl rpc node2 'Counter.increment(5)'
  beamctl rpc rabbit@db1 'rabbit:status()' --cookie-file /var/lib/rabbitmq/.erlang.cookie`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case all && len(args) != 1:
				return usagef("rpc --all needs one argument, the call: beamctl rpc --all 'mod:fun(Args)'")
			case !all && len(args) != 2:
				return usagef("rpc needs a node and a call: beamctl rpc node1 'mod:fun(Args)'")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			call, err := etf.ParseCall(args[len(args)-1])
			if err != nil {
				return usagef("%s\n  %w", args[len(args)-1], err)
			}
			var targets []checks.Target
			if all {
				targets, err = a.clusterTargets()
			} else {
				runtime.GOMAXPROCS(1) // one thing comes after another: other threads would only be woken for it, which takes a tenth of the time
				var t checks.Target
				t, err = a.target(args[0], at)
				targets = []checks.Target{t}
			}
			if err != nil {
				return err
			}
			ctx, cancel := a.context(cmd.Context(), rpcTimeout)
			defer cancel()
			return a.rpc(ctx, targets, call, all)
		},
	}
	at.cookieFlag(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "call it on every node of the cluster, at the same time")
	return cmd
}

// rpcResult is one node's answer; exactly one of Result and Error is set.
type rpcResult struct {
	Node   string  `json:"node"`
	Result *string `json:"result,omitempty"` // an Erlang term
	Output string  `json:"output,omitempty"` // what the call printed
	Error  string  `json:"error,omitempty"`
	err    error
}

// rpc makes the call on all targets at once and shows the results in the targets' order.
func (a *app) rpc(ctx context.Context, targets []checks.Target, call etf.Call, all bool) error {
	n, err := node.Start(node.Config{})
	if err != nil {
		return err
	}
	defer n.Close() //nolint:errcheck,contextcheck // nothing to lose; it has a deadline of its own
	results := make([]rpcResult, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			var out io.Writer
			var kept bytes.Buffer
			if out = &kept; !all && a.output != "json" {
				out = a.out // as it comes
			}
			results[i] = rpcOne(ctx, n, t, call, out)
			results[i].Output = kept.String()
		})
	}
	wg.Wait()
	a.explainFailures(ctx, targets, results)
	if a.output == "json" {
		if err := a.json(results); err != nil {
			return err
		}
	}
	return a.showResults(results, all)
}

func rpcOne(ctx context.Context, n *node.Node, t checks.Target, call etf.Call, out io.Writer) rpcResult {
	r := rpcResult{Node: t.Name}
	if r.err = n.AddPeer(t.Peer()); r.err == nil {
		var term etf.Term
		if term, r.err = n.Do(ctx, t.Name, node.Request{Module: call.Module, Function: call.Function, Args: call.Args, Stdout: out}); r.err == nil {
			s := etf.Format(term)
			r.Result = &s
			return r
		}
	}
	if errors.Is(r.err, node.ErrTimeout) && slices.Contains(n.Nodes(), t.Name) {
		r.err = tookTooLong(t, r.err)
	}
	return r
}

// tookTooLong is for a node that is connected: it has shaken hands a moment ago, and it is the call that takes its time.
func tookTooLong(t checks.Target, err error) error {
	return &checks.Finding{
		What:  "the call on " + t.Name + " was not done in time, and was killed",
		Cause: "it takes longer than --timeout; the node is there, and has taken it",
		Fix:   "give it longer with --timeout",
		Err:   err,
	}
}

// explainFailures says why calls failed; the supervisor is asked only then.
func (a *app) explainFailures(ctx context.Context, targets []checks.Target, results []rpcResult) {
	if slices.ContainsFunc(results, func(r rpcResult) bool { return r.err != nil }) {
		targets = a.explained(ctx, targets...)
	}
	for i := range results {
		if r := &results[i]; r.err != nil {
			if _, told := errors.AsType[*checks.Finding](r.err); !told {
				r.err = checks.CallFailed(targets[i], r.err)
			}
			r.Error = r.err.Error()
		}
	}
}

// showResults prints what the nodes returned, and returns the error of one node, or that some have failed.
func (a *app) showResults(results []rpcResult, all bool) error {
	if !all && results[0].err != nil {
		return results[0].err
	}
	failed := false
	for _, r := range results {
		failed = failed || r.err != nil
		if a.output == "json" {
			continue
		}
		label := ""
		if all {
			label = r.Node + ": "
		}
		if r.Output != "" {
			fmt.Fprintf(a.out, "%s%s", label, r.Output)
		}
		if r.err != nil {
			fmt.Fprintln(a.err, r.err) // names the node
			continue
		}
		fmt.Fprintf(a.out, "%s%s\n", label, *r.Result)
	}
	if failed {
		return errFailed
	}
	return nil
}
