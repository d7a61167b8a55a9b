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

			assert.Equal(t, int64(5), do(`gen_server:cast(S, 2), gen_server:cast(P, 3), gen_server:call(S, get)`))
			assert.Equal(t, int64(5), do(`gen_server:call(P, get, infinity)`))
			assert.Equal(t, etf.Tuple{etf.Atom("error"), etf.Atom("unknown")}, do(`gen_server:call(S, x)`))
			assert.Equal(t, etf.Atom("now"), do(`gen_server:call(S, later)`))
			do(`P ! hello`)
			assert.Equal(t, etf.Atom("hello"), <-seen)

			// The reply that comes too late goes nowhere: it was sent to the call's alias, which is void.
			assert.Equal(t, etf.Tuple{etf.Atom("timeout"), etf.List(nil)}, do(`
				T = try gen_server:call(S, {sleep, 100}, 10) catch exit:{W, _} -> W end,
				gen_server:call(S, get), {messages, M} = process_info(self(), messages), {T, [X || {[alias|_], _} = X <- M]}`))
			// Many at once, from many processes and with gen_server's own requests.
			assert.Equal(t, int64(2000), do(`Me = self(),
				[spawn(fun() -> [5 = gen_server:call(S, get) || _ <- lists:seq(1, 100)], Me ! {done, 100} end) || _ <- lists:seq(1, 20)],
				lists:sum([receive {done, K} -> K end || _ <- lists:seq(1, 20)])`))
			assert.Equal(t, etf.Tuple{etf.Atom("reply"), int64(5)}, do(`gen_server:wait_response(gen_server:send_request(S, get), 5000)`))
			assert.Equal(t, etf.Tuple{etf.List{etf.Tuple{self.Node, int64(5)}}, etf.List(nil)},
				do(`gen_server:multi_call([node(P)], counter, get)`))
			assert.Equal(t, etf.Atom("unknown_system_msg"), do(`try sys:get_state(S) catch error:{R, get_state} -> R end`))

			// Who waits when the server ends gets its reason.
			assert.Equal(t, []byte("out of paper"), do(`try gen_server:call(S, crash) catch exit:{Why, _} -> Why end`))
			require.EqualError(t, <-over, "out of paper")
			assert.Equal(t, etf.Atom("noproc"), do(`try gen_server:call(S, get) catch exit:{Why, _} -> Why end`))
			_, over = serve(t, n, seen)
			assert.Equal(t, etf.Atom("ok"), do(`gen_server:stop(S)`))
			require.NoError(t, <-over)
			_, over = serve(t, n, seen)
			assert.Equal(t, etf.Atom("tired"), do(`M = spawn_monitor(fun() -> gen_server:call(S, never, infinity) end),
				timer:sleep(50), gen_server:stop(S, tired, 5000), {_, Ref} = M, receive {'DOWN', Ref, _, _, {Why, _}} -> Why end`))
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
	}, 5*time.Second, 10*time.Millisecond, "nothing stays behind")

	_, err = n.StartServer("counter", counter(nil))
	require.NoError(t, err)
	_, err = n.StartServer("counter", counter(nil))
	require.ErrorIs(t, err, node.ErrNameTaken)
	got, err = n.GenCall(ctx, etf.Atom("counter"), etf.Atom("get"))
	require.NoError(t, err)
	assert.Equal(t, int64(0), got)

	done := make(chan error, 1)
	go func() { _, err := n.GenCall(ctx, deaf, 1); done <- err }()
	time.Sleep(50 * time.Millisecond)
	e.Kill()
	require.ErrorIs(t, <-done, node.ErrNodeDown)
}

// Erlang calls Go functions as if this were any node.
func TestFunctions(t *testing.T) {
	for kind, cfg := range configs {
		t.Run(kind, func(t *testing.T) {
			c := nodetest.New(t)
			e := c.Erl("a")
			n := c.NodeConfig(cfg, e)
			cancelled := make(chan struct{}, 1)
			cast := make(chan etf.Term, 1)
			n.Handle("go", "sum", func(_ context.Context, args []etf.Term) (etf.Term, error) {
				var sum int64
				for _, a := range args {
					i, ok := a.(int64)
					if !ok {
						return nil, errors.New("not a number")
					}
					sum += i
				}
				return sum, nil
			})
			n.Handle("go", "throw", func(_ context.Context, args []etf.Term) (etf.Term, error) {
				return nil, &node.ErlangError{Class: "throw", Reason: args[0]}
			})
			n.Handle("go", "exit", func(_ context.Context, args []etf.Term) (etf.Term, error) {
				return nil, &node.ExitError{Reason: args[0]}
			})
			n.Handle("go", "unsayable", func(context.Context, []etf.Term) (etf.Term, error) { return struct{ X chan int }{}, nil })
			n.Handle("go", "wait", func(ctx context.Context, _ []etf.Term) (etf.Term, error) {
				<-ctx.Done()
				cancelled <- struct{}{}
				return nil, ctx.Err()
			})
			n.Handle("go", "cast", func(_ context.Context, args []etf.Term) (etf.Term, error) { cast <- args[0]; return nil, nil })
			vars := bind{"N": pidAt(t, process(t, n), e.Name).Node}
			for code, want := range map[string]string{
				`erpc:call(N, go, sum, [1,2,3])`:     `6`,
				`rpc:call(N, go, sum, [1,2,3])`:      `6`,
				`erpc:call(N, go, sum, [1,2], 5000)`: `3`,
				`[erpc:receive_response(R) || R <- [erpc:send_request(N, go, sum, [I]) || I <- lists:seq(1, 5)]]`:    `[1,2,3,4,5]`,
				`erpc:multicall([N, node()], erlang, abs, [-1])`:                                                     `[{error,{exception,undef,[{erlang,abs,[-1],[]}]}},{ok,1}]`,
				`gen_server:call({rex, N}, {call, go, sum, [1,2], self()})`:                                          `3`,
				`gen_server:call({rex, N}, {call, go, nope, [], self()})`:                                            `{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}`,
				`gen_server:call({rex, N}, {block_call, go, sum, [1,2], self()})`:                                    `3`,
				`{badrpc, {'EXIT', T}} = gen_server:call({rex, N}, {call, go, unsayable, [], self()}), is_binary(T)`: `true`,
				`gen_server:call({rex, N}, {call, go, sum, nope, self()})`:                                           `{badrpc,{'EXIT',{badarg,[]}}}`,
				`try erpc:call(N, go, sum, [x]) catch error:{exception, R, _} -> R end`:                              `<<"not a number">>`,
				`try erpc:call(N, go, throw, [ball]) catch throw:B -> {caught, B} end`:                               `{caught,ball}`,
				`try erpc:call(N, go, exit, [x]) catch exit:{exception, B} -> {caught, B} end`:                       `{caught,x}`,
				`rpc:call(N, go, nope, [])`:                                                                          `{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}`,
				`try erpc:call(N, fun() -> 1 end) catch _:{exception, R, [{erlang, apply, [_, []], []}]} -> R end`:   `undef`,
				`R = spawn_request(N, go, nope, [], []), receive {spawn_reply, R, S, W} -> {S, W} end`:               `{error,notsup}`,
				`R = spawn_request(N, go, sum, [1], [monitor]), receive {spawn_reply, R, ok, P} -> ok end,
					receive {'DOWN', R, process, P, W} -> W end`: `normal`,
				`{P, R} = spawn_monitor(N, go, sum, [x]), receive {'DOWN', R, process, P, {W, _}} -> W end`:           `<<"not a number">>`,
				`process_flag(trap_exit, true), P = spawn_link(N, go, exit, [gone]), receive {'EXIT', P, W} -> W end`: `gone`,
				`P = spawn_link(N, go, wait, []), unlink(P), exit(P, kill), ok`:                                       `ok`,
				`try erpc:call(N, go, wait, [], 20) catch error:{erpc, timeout} -> timeout end`:                       `timeout`,
				`erpc:cast(N, go, cast, [hi])`: `ok`,
			} {
				got, err := nodetest.Eval(t.Context(), n, e.Name, code, vars)
				require.NoError(t, err, code)
				assert.Equal(t, want, etf.Format(got), code)
			}
			assert.Equal(t, etf.Atom("hi"), <-cast)
			<-cancelled // exit(P, kill)
			require.NoError(t, n.Close())
			<-cancelled // the one that nobody waits for any more
		})
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
	}, 5*time.Second, 10*time.Millisecond)
}
