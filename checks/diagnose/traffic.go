package diagnose

import (
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

// Traffic is a connection of a node with another, as the node counts it.
type Traffic struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Out     float64 `json:"out_bytes_per_second"`
	In      float64 `json:"in_bytes_per_second"`
	OutAll  int64   `json:"out_bytes"` // since the connection was made
	InAll   int64   `json:"in_bytes"`
	Queued  int64   `json:"queued_bytes"` // that the network has not taken yet, at the end of the sample
	Before  int64   `json:"queued_before_bytes"`
	Limit   int64   `json:"busy_limit_bytes"` // above this, processes that send are suspended (erl +zdbbl)
	Counted bool    `json:"counted"`          // false: a TLS connection whose socket was not found
}

// maxPorts is how many ports of a node are looked at for the sockets of its TLS connections: each costs it some 10 µs.
const maxPorts = 2000

// links is what askLinks asks for: {Node, Queue, Counters} of the connections that are ports, {Node} of those that are
// processes (TLS), and, if there are any of these, {Peer, Queue, Counters} of all TCP sockets.
type links struct {
	Connections []etf.Tuple
	Sockets     [][]etf.Tuple // one list of them, or none
}

// askLinks is the form of links. The counters are the socket's: those of erlang:port_info/2 leave out what distribution
// sends and receives.
func askLinks() form {
	ctrl := call("erlang", "system_info", atom("dist_ctrl"))
	pattern := tuple(variable(vNode), variable(vPid))
	port := variable(vPid)
	queue := call("erlang", "port_info", port, atom("queue_size"))
	counters := call("inet", "getstat", port, list(atom("send_oct"), atom("recv_oct")))
	counted := each(tuple(variable(vNode), queue, counters), pattern, ctrl, call("erlang", "is_port", port))
	other := each(tuple(variable(vNode)), pattern, ctrl, call("erlang", "is_pid", port))
	tcp := call("erlang", "=:=", call("erlang", "port_info", port, atom("name")), tuple(atom("name"), quoted("tcp_inet")))
	sockets := each(tuple(call("inet", "peername", port), queue, counters), port,
		call("lists", "sublist", call("erlang", "ports"), integer(maxPorts)), tcp)
	return tuple(call("erlang", "++", counted, other), each(sockets, variable(vAny), call("lists", "sublist", other, integer(1))))
}

// of returns the queue and the counters of the connection with a node, whose other end has the address peer.
func (l *links) of(node, peer etf.Term) (queue, counters etf.Term, counted bool) {
	for _, c := range l.Connections {
		if len(c) == 3 && etf.Equal(c[0], node) {
			return c[1], c[2], true
		}
	}
	for _, sockets := range l.Sockets {
		for _, s := range sockets {
			if len(s) == 3 && peer != nil && etf.Equal(s[0], etf.Tuple{etf.Atom("ok"), peer}) {
				return s[1], s[2], true
			}
		}
	}
	return nil, nil, false
}

// peer finds {IP, Port} of the other end of the connection with a node in net_kernel's table, whose records differ
// between releases: all have the node in the second place, and a {net_address, {IP, Port}, …} somewhere.
func (a *answers) peer(node etf.Term) etf.Term {
	for _, c := range a.Connections {
		if len(c) < 2 || !etf.Equal(c[1], node) {
			continue
		}
		for _, e := range c {
			if address, ok := e.(etf.Tuple); ok && len(address) > 1 && address[0] == etf.Atom("net_address") {
				return address[1]
			}
		}
	}
	return nil
}

// traffic compares the counters of the connections.
func (a *answers) traffic(from string, took time.Duration) []Traffic {
	out := make([]Traffic, 0, len(a.LinksNow.Connections))
	for _, l := range a.LinksNow.Connections {
		if len(l) == 0 {
			continue
		}
		to, _ := l[0].(etf.Atom)
		t := Traffic{From: from, To: string(to), Limit: a.BusyLimit}
		peer := a.peer(l[0])
		queue, counters, counted := a.LinksNow.of(l[0], peer)
		if t.Counted = counted; counted {
			t.Queued = counter(queue)
			t.OutAll, t.InAll = octets(counters)
		}
		if before, then, was := a.LinksThen.of(l[0], peer); counted && was {
			t.Before = counter(before)
			out, in := octets(then)
			t.Out, t.In = max(0, float64(t.OutAll-out)/took.Seconds()), max(0, float64(t.InAll-in)/took.Seconds())
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(x, y Traffic) int { return strings.Compare(x.To, y.To) })
	return out
}

// octets reads {ok, [{send_oct, N}, {recv_oct, N}]}; the port may have gone.
func octets(t etf.Term) (out, in int64) {
	if ok, is := t.(etf.Tuple); is && len(ok) == 2 {
		l, _ := ok[1].(etf.List)
		sent, _ := l.Lookup("send_oct")
		received, _ := l.Lookup("recv_oct")
		out, _ = sent.(int64)
		in, _ = received.(int64)
	}
	return out, in
}

// counter reads {Item, N}; the port may have gone.
func counter(t etf.Term) int64 {
	if item, ok := t.(etf.Tuple); ok && len(item) == 2 {
		n, _ := item[1].(int64)
		return n
	}
	return 0
}
