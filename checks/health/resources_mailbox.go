package health

import (
	"context"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

const (
	// maxAsked is how many processes are asked for their mailbox: each costs the node about 1 µs, all together under 1 % of a scheduler
	// at one run a second. Of more, the registered ones are asked, which are those that others send to.
	maxAsked = 5000
	// maxNamed is how many processes are told of; the worst come first.
	maxNamed = 3
)

// queued is a process and its mailbox.
type queued struct {
	Len etf.Term // {message_queue_len, N}; undefined: it has ended meanwhile
	Pid etf.Pid
}

func (q queued) messages() int64 {
	if t, ok := q.Len.(etf.Tuple); ok && len(t) == 2 {
		n, _ := t[1].(int64)
		return n
	}
	return 0
}

// mailboxes evaluates of, a form, over the list of the [queued] of the processes that may be asked; that is variable 2.
func mailboxes(ctx context.Context, x *exam, v any, of etf.Tuple) error {
	n, err := processes(ctx, x)
	if err != nil {
		return err
	}
	pids := apply("erlang", "processes")
	if n > maxAsked {
		pids = apply("lists", "filter", bif("is_pid", 1),
			apply("lists", "map", bif("whereis", 1), apply("erlang", "registered")))
	}
	lens := apply("lists", "zipwith", bif("process_info", 2), variable(1),
		apply("lists", "duplicate", apply("erlang", "length", variable(1)), value(etf.Atom("message_queue_len"))))
	return x.eval(ctx, v, block(set(1, pids), set(2, apply("lists", "zip", lens, variable(1))), of))
}

// longest is the longest mailbox. A tuple is greater than undefined.
var longest = &fact[queued]{func(ctx context.Context, x *exam) (queued, error) {
	var q queued
	return q, mailboxes(ctx, x, &q, apply("lists", "max", variable(2)))
}}

func mailbox(ctx context.Context, x *exam) (Cell, error) {
	q, err := longest.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:process_info(Pid, message_queue_len)", "")
	}
	n := q.messages()
	c, _ := ok("%s", count(int(n), "message", "messages"))
	c.Values = map[string]float64{"longest": float64(n)}
	if n <= int64(x.limits.Mailbox) {
		return c, nil
	}
	var top []queued
	if err := mailboxes(ctx, x, &top, apply("lists", "sublist", apply("lists", "reverse", apply("lists", "sort", variable(2))), value(maxNamed))); err != nil {
		return Cell{}, x.failed(err, "erlang:process_info(Pid, message_queue_len)", "")
	}
	var pids []etf.Pid
	for _, q := range top {
		pids = append(pids, q.Pid)
	}
	who := describe(ctx, x, pids)
	var saw []string
	for i, q := range top {
		if i == 0 || q.messages() > int64(x.limits.Mailbox) {
			saw = append(saw, fmt.Sprintf("%d messages wait for %s", max(n, q.messages()), who[i]))
			n = 0
		}
	}
	c.Status, c.Saw = Warn, strings.Join(saw, "; ")
	c.Cause = fmt.Sprintf("over %d: the process hangs, or is too slow for what it is sent", x.limits.Mailbox)
	return c, nil
}
