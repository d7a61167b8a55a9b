// Package node is an Erlang node: it connects to real nodes, proves the cookie, pings, calls, sends and monitors, and
// can be called, sent to and monitored by them.
//
// # A guest
//
// The zero Config makes a hidden node that each peer names; Call and Ping connect to whom they need. Concurrent calls
// share one connection per node. Whatever waits has a ctx, and a node that is slow or stopped costs only those who wait
// for it.
//
//	n, err := node.Start(node.Config{Cookie: cookie})
//	defer n.Close()
//	n.AddPeer(node.Peer{Name: "a@10.0.0.1"})
//	t, err := n.Call(ctx, "a@10.0.0.1", "erlang", "node")
//
// # A member
//
// With a Name the node can Listen. Then Erlang finds it, and has three ways to talk to Go:
//
//	Process    a mailbox with a pid: Send, Receive, Monitor, Link, Exit; Register gives it a name
//	Server     a gen_server: gen_server:call({counter, 'go@host'}, get) reaches Server.Call
//	Function   erpc:call('go@host', go, sum, [1, 2]) reaches what was given to Handle
//
// A peer that has connected, in either direction, can use all three without Listen.
//
// # Order and limits
//
// Signals from one process to another arrive in the order in which they were sent, as in Erlang. Nothing that a peer
// does makes this node hold more than the constants of this package and of package dist allow: a mailbox that is full
// ends its process, a peer that does not read its answers loses the connection.
package node
