// Package remsh is a remote shell: the Erlang shell or IEx of a node, at a terminal or behind a pipe of ours, without
// an erl on this side.
//
//	s, err := remsh.Open(ctx, n, "node2@127.0.0.1", "")
//	err = s.Terminal(ctx, remsh.Terminal{In: os.Stdin, Out: os.Stdout, Size: size}) // in raw mode
//	err = s.Pipe(ctx, strings.NewReader("node().\n"), os.Stdout)
//
// # At a terminal
//
// The node runs what a shell of its own terminal would have: a group process (OTP's kernel, group.erl) with its line
// editor, history and completion, and below that the shell. We are the group's driver, as ssh_cli is for SSH: keys go
// there as they are typed, and what comes back are requests to draw. Of those there are two dialects, one up to OTP 25
// (edit23.go) and one since (edit26.go); both change the same line, of which the screen (screen.go) shows the
// difference to what it showed before.
//
// # Behind a pipe
//
// There is no group: we are the shell's group leader and serve the Erlang I/O protocol, which is the same on every release.
//
// # What is on the node
//
// The shell, its evaluator, the group, and a small process that ends them when we are gone (keeper.erl). No module is
// loaded but the shell's own. IEx starts the application iex if it does not run, as iex --remsh does.
package remsh
