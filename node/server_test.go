package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

// counter is a gen_server as one would write it in Erlang.
func counter(seen chan<- any) node.Server {
	var count int64
	return node.Server{
		Call: func(ctx context.Context, from node.Caller, req etf.Term) (etf.Term, error) {
			switch req := req.(type) {
			case etf.Atom:
				switch req {
				case "get":
					return count, nil
				case "later":
					go func() { _ = from.Reply(ctx, etf.Atom("now")) }()
					return nil, node.ErrNoReply
				case "never":
					return nil, node.ErrNoReply
				case "crash":
					return nil, errors.New("out of paper")
				}
			case etf.Tuple: // {sleep, Ms}
				time.Sleep(time.Duration(req[1].(int64)) * time.Millisecond)
				return etf.Atom("slept"), nil
			}
			return etf.Tuple{etf.Atom("error"), etf.Atom("unknown")}, nil
		},
		Cast: func(_ context.Context, msg etf.Term) error { count += msg.(int64); return nil },
		Info: func(_ context.Context, msg any) error { seen <- msg; return nil },
	}
}

// serve runs a registered counter on n; its result comes over the channel.
func serve(t *testing.T, n *node.Node, seen chan<- any) (*node.Process, <-chan error) {
	t.Helper()
	p := process(t, n)
	require.NoError(t, n.Register("counter", p))
	over := make(chan error, 1)
	go func() { over <- p.Serve(t.Context(), counter(seen)) }()
	return p, over
}

func TestGenServer(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			seen := make(chan any, 10)
			p, over := serve(t, n, seen)
			self := pidAt(t, p, e.Name)
			vars := bind{"S": etf.Tuple{etf.Atom("counter"), self.Node}, "P": self}
			do := func(code string) etf.Term { t.Helper(); return eval(t, n, e.Name, code, vars) }

			assert.Equal(t, int64(5), do(`gen_server:cast(S, 2), gen_server:cast(P, 3), gen_server:call(S, get, infinity)`))
			assert.Equal(t, int64(5), do(`gen_server:call(P, get, infinity)`))
			assert.Equal(t, etf.Tuple{etf.Atom("error"), etf.Atom("unknown")}, do(`gen_server:call(S, x, infinity)`))
			assert.Equal(t, etf.Atom("now"), do(`gen_server:call(S, later, infinity)`))
			do(`P ! hello`)
			assert.Equal(t, etf.Atom("hello"), <-seen)

			// The reply that comes too late goes nowhere: it was sent to the call's alias, which is void.
			assert.Equal(t, etf.Tuple{etf.Atom("timeout"), etf.List(nil)}, do(`
				T = try gen_server:call(S, {sleep, 1000}, 10) catch exit:{W, _} -> W end,
				gen_server:call(S, get, infinity), {messages, M} = process_info(self(), messages), {T, [X || {[alias|_], _} = X <- M]}`))
			// Many at once, from many processes and with gen_server's own requests.
			assert.Equal(t, int64(2000), do(`Me = self(),
				[spawn(fun() -> [5 = gen_server:call(S, get, infinity) || _ <- lists:seq(1, 100)], Me ! {done, 100} end) || _ <- lists:seq(1, 20)],
				lists:sum([receive {done, K} -> K end || _ <- lists:seq(1, 20)])`))
			assert.Equal(t, etf.Tuple{etf.Atom("reply"), int64(5)}, do(`gen_server:wait_response(gen_server:send_request(S, get), 60000)`))
			assert.Equal(t, etf.Tuple{etf.List{etf.Tuple{self.Node, int64(5)}}, etf.List(nil)},
				do(`gen_server:multi_call([node(P)], counter, get)`))
			assert.Equal(t, etf.Atom("unknown_system_msg"), do(`try sys:get_state(S) catch error:{R, get_state} -> R end`))

			// Who waits when the server ends gets its reason.
			assert.Equal(t, []byte("out of paper"), do(`try gen_server:call(S, crash, infinity) catch exit:{Why, _} -> Why end`))
			require.EqualError(t, <-over, "out of paper")
			assert.Equal(t, etf.Atom("noproc"), do(`try gen_server:call(S, get, infinity) catch exit:{Why, _} -> Why end`))
			_, over = serve(t, n, seen)
			assert.Equal(t, etf.Atom("ok"), do(`gen_server:stop(S)`))
			require.NoError(t, <-over)
			_, over = serve(t, n, seen)
			assert.Equal(t, etf.Atom("tired"), do(`M = {Waiting, _} = spawn_monitor(fun() -> gen_server:call(S, never, infinity) end),
				(fun Again() -> process_info(Waiting, status) =:= {status, waiting} orelse Again() end)(), gen_server:stop(S, tired, 60000), {_, Ref} = M, receive {'DOWN', Ref, _, _, {Why, _}} -> Why end`))
			require.EqualError(t, <-over, "the process has ended: tired")
		})
	}
}

// The client's side: gen_server:call to Erlang servers, and within the node.
func TestGenCall(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	ctx := t.Context()
	kernel := etf.Tuple{etf.Atom("kernel_sup"), etf.Atom(e.Name)}
	got, err := n.GenCall(ctx, kernel, etf.Atom("count_children"))
	require.NoError(t, err)
	_, ok := got.(etf.List).Lookup("workers")
	assert.True(t, ok)

	var exit *node.ExitError
	_, err = n.GenCall(ctx, etf.Tuple{etf.Atom("nobody"), etf.Atom(e.Name)}, 1)
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, etf.Atom("noproc"), exit.Reason)

	silent := eval(t, n, e.Name, `spawn(fun() -> receive {'$gen_call', _, R} -> timer:sleep(50), exit(R) end end)`, nil)
	_, err = n.GenCall(ctx, silent, etf.Atom("die"))
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, etf.Atom("die"), exit.Reason)

	deaf := eval(t, n, e.Name, `spawn(timer, sleep, [infinity])`, nil)
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = n.GenCall(short, deaf, 1)
	require.ErrorIs(t, err, node.ErrTimeout)
	require.Eventually(t, func() bool { // the end of the monitor may be on its way
		monitors, err := n.Call(ctx, e.Name, "erlang", "process_info", deaf, etf.Atom("monitored_by"))
		return err == nil && etf.Equal(monitors, etf.Tuple{etf.Atom("monitored_by"), etf.List(nil)})
	}, patience, 10*time.Millisecond, "nothing stays behind")

	_, err = n.StartServer("counter", counter(nil))
	require.NoError(t, err)
	_, err = n.StartServer("counter", counter(nil))
	require.ErrorIs(t, err, node.ErrNameTaken)
	got, err = n.GenCall(ctx, etf.Atom("counter"), etf.Atom("get"))
	require.NoError(t, err)
	assert.Equal(t, int64(0), got)

	done := make(chan error, 1)
	go func() { _, err := n.GenCall(ctx, deaf, 1); done <- err }()
	require.Eventually(t, func() bool {
		monitors, err := n.Call(ctx, e.Name, "erlang", "process_info", deaf, etf.Atom("monitored_by"))
		return err == nil && !etf.Equal(monitors, etf.Tuple{etf.Atom("monitored_by"), etf.List(nil)})
	}, patience, 10*time.Millisecond, "the call has arrived")
	e.Kill()
	require.ErrorIs(t, <-done, node.ErrNodeDown)
}

// Erlang calls Go functions as if this were any node, by either kind of name. How each release calls, spawns and is refused is package
// conformance's; here is what only the code of ours can get wrong.
func TestFunctions(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			cancelled := make(chan etf.Term, 2)
			cast := make(chan etf.Term, 1)
			n.Handle("go", "count", func(_ context.Context, args []etf.Term) (etf.Term, error) { return int64(len(args)), nil })
			n.Handle("go", "fail", func(context.Context, []etf.Term) (etf.Term, error) { return nil, errors.New("out of paper") })
			n.Handle("go", "unsayable", func(context.Context, []etf.Term) (etf.Term, error) { return struct{ X chan int }{}, nil })
			n.Handle("go", "wait", func(ctx context.Context, args []etf.Term) (etf.Term, error) {
				<-ctx.Done()
				cancelled <- args[0]
				return nil, ctx.Err()
			})
			n.Handle("go", "cast", func(_ context.Context, args []etf.Term) (etf.Term, error) { cast <- args[0]; return nil, nil })
			vars := bind{"N": pidAt(t, process(t, n), e.Name).Node}
			for code, want := range map[string]string{
				`erpc:call(N, go, count, [1,2], 60000)`:                                     `2`,
				`erpc:multicall([N, node()], erlang, abs, [-1])`:                            `[{error,{exception,undef,[{erlang,abs,[-1],[]}]}},{ok,1}]`,
				`gen_server:call({rex, N}, {call, go, nope, [], self()}, infinity)`:         `{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}`,
				`gen_server:call({rex, N}, {call, go, fail, [], self()}, infinity)`:         `{badrpc,{'EXIT',{<<"out of paper">>,[]}}}`,
				`gen_server:call({rex, N}, {block_call, go, count, [1], self()}, infinity)`: `1`,
				`gen_server:call({rex, N}, {call, go, count, nope, self()}, infinity)`:      `{badrpc,{'EXIT',{badarg,[]}}}`,
				`try erpc:call(N, fun() -> 1 end) catch _:{exception, R, _} -> R end`:       `undef`,
				`P = spawn_link(N, go, wait, [linked]), unlink(P), exit(P, kill), ok`:       `ok`,
				`try erpc:call(N, go, wait, [c], 20) catch error:{erpc, timeout} -> ok end`: `ok`,
				`erpc:cast(N, go, cast, [hi])`:                                              `ok`,
				`{badrpc, {'EXIT', T}} = gen_server:call({rex, N}, {call, go, unsayable, [], self()}, infinity),
					is_binary(T)`: `true`,
			} {
				got, err := nodetest.Eval(t.Context(), n, e.Name, code, vars)
				require.NoError(t, err, code)
				assert.Equal(t, want, etf.Format(got), code)
			}
			assert.Equal(t, etf.Atom("hi"), await(t, cast))
			assert.Equal(t, etf.Atom("linked"), await(t, cancelled), "exit(P, kill)")
			require.NoError(t, n.Close())
			assert.Equal(t, etf.Atom("c"), await(t, cancelled), "the one that nobody waits for any more")
		})
	}
}

func await(t *testing.T, ch <-chan etf.Term) etf.Term {
	t.Helper()
	select {
	case term := <-ch:
		return term
	case <-time.After(patience):
		require.FailNow(t, "nothing comes")
		return nil
	}
}

// A peer cannot start more than so many, and is told.
func TestSpawnLimit(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("a")
	n := c.Node(e)
	n.Handle("go", "wait", func(ctx context.Context, _ []etf.Term) (etf.Term, error) { <-ctx.Done(); return nil, ctx.Err() })
	got := eval(t, n, e.Name, `L = [spawn_request(N, go, wait, [], []) || _ <- lists:seq(1, 1100)],
		A = [receive {spawn_reply, R, S, W} -> {S, W} end || R <- L],
		{length([P || {ok, P} <- A]), [W || {error, W} <- A] =:= lists:duplicate(76, system_limit), [exit(P, kill) || {ok, P} <- A], ok}`,
		bind{"N": pidAt(t, process(t, n), e.Name).Node})
	assert.Equal(t, int64(1024), got.(etf.Tuple)[0])
	assert.Equal(t, etf.Atom("true"), got.(etf.Tuple)[1])
	require.Eventually(t, func() bool { // there is room again
		got := eval(t, n, e.Name, `R = spawn_request(N, go, wait, [], []), receive {spawn_reply, R, S, _} -> S end`,
			bind{"N": pidAt(t, process(t, n), e.Name).Node})
		return got == etf.Term(etf.Atom("ok"))
	}, patience, 10*time.Millisecond)
}
