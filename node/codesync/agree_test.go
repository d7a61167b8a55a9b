package codesync

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// The pusher is lost when a has promised and b has not: whatever b is slow at, the others wait for its word.
func TestSlowPromise(t *testing.T) {
	t.Parallel()
	t.Run("frozen", func(t *testing.T) {
		t.Parallel()
		f := newFaults(t, releases(t)[0])
		f.loseAt(func() { f.erls[1].Stop() })
		time.Sleep(7 * time.Second)
		f.erls[1].Continue()
		f.agreed()
	})
	// The last of its servers does not come to be suspended at all, and the others take their time.
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		f := newFaults(t, releases(t)[0])
		ms := []int{700, 1400, 2100, 2800, 3500, 4200, 4900, 5600, 20_000}
		var servers []etf.Term
		for range ms {
			servers = append(servers, f.call(f.nodes[1], "srv", "start"))
		}
		f.remember()
		f.loseAt(func() {
			for i, pid := range servers {
				f.call(f.nodes[1], "erlang", "send", pid, etf.Tuple{
					etf.Atom("$gen_call"), etf.Tuple{pid, f.call(f.nodes[1], "erlang", "make_ref")}, etf.Tuple{etf.Atom("sleep"), ms[i]},
				})
			}
		})
		time.Sleep(7 * time.Second)
		f.agreed()
	})
}

// The pusher is lost when a has promised, and so is b, without a word: those who are left are the larger part, and give up.
func TestLostWithoutAWord(t *testing.T) {
	t.Parallel()
	f := newFaults(t, releases(t)[0])
	f.loseAt(func() { f.erls[1].Stop() })
	f.erls[1].Kill()
	f.check([]int{0, 2}, Old)
}

// Node b has promised, and is cut off from the pusher and from all others at once, when that is decided. It hears nothing of it: alone, it is the
// smaller part, and does what it has promised, as the others do.
func TestCutOffAlone(t *testing.T) {
	t.Parallel()
	f := newFaults(t, releases(t)[0])
	p := newProxy(t, f.c.EPMD.Addr, f.nodes[1])
	report, err := f.push(moment{At: step{1, Committing}, Hold: []step{{0, Committing}, {2, Committing}}}, p.addr, func() {
		for _, i := range []int{0, 2} {
			f.call(f.nodes[1], "erlang", "disconnect_node", etf.Atom(f.nodes[i]))
		}
		f.eventually(func() string {
			if left := f.call(f.nodes[1], "erlang", "nodes"); etf.Format(left) != "[]" {
				return "connected with " + etf.Format(left)
			}
			return ""
		})
		p.cut()
	})
	f.check([]int{0, 1, 2}, New)
	f.judge(report, err, New)
}

// loseAt lets the pusher vanish when a has promised, before which something is done to b, which has not.
func (f *faults) loseAt(slow func()) {
	f.t.Helper()
	n, err := node.Start(node.Config{Cookie: f.c.Cookie})
	require.NoError(f.t, err)
	defer n.Close()
	for _, e := range f.erls {
		require.NoError(f.t, n.AddPeer(f.c.Peer(e)))
	}
	var once sync.Once
	isSlow, lost := make(chan struct{}), make(chan struct{})
	plan, err := Compare(f.ctx, n, f.nodes, f.sets[1-f.now], Options{ChangeCode: changed, Progress: func(e Event) {
		if e == (Event{f.nodes[1], Preparing}) {
			slow()
			close(isSlow)
		}
		if e.Phase == Preparing {
			<-isSlow
		}
		if e.Phase == Promised {
			once.Do(func() {
				time.Sleep(500 * time.Millisecond) // b has been asked
				go func() { defer close(lost); n.Close() }()
			})
		}
	}})
	require.NoError(f.t, err)
	_, err = Push(f.ctx, n, plan)
	require.Error(f.t, err)
	<-lost
}

// agreed waits until all nodes run the same, and nothing else than before.
func (f *faults) agreed() {
	f.t.Helper()
	for i := range f.nodes {
		f.eventually(func() string { return f.strays(i) })
	}
	all := Old
	if f.runs(f.nodes[0]) != f.now {
		all = New
	}
	f.check([]int{0, 1, 2}, all)
}
