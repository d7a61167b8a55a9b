package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

var serverCases = []Case{
	{"`gen_server:call`, `cast` and plain messages to a Go process", genServer},
	{"a Go process whose callers wait when it ends", genServerEnds},
	{"our `gen_server:call` to the node's servers", genCall},
	{"`erpc` and `rpc` call Go functions", functions},
	{"`spawn` runs Go functions, linked, monitored and refused", spawned},
}

// counter is a gen_server as one would write it in Erlang; what is no call or cast goes to seen.
func counter(seen chan<- any) node.Server {
	var count int64
	return node.Server{
		Call: func(ctx context.Context, from node.Caller, req etf.Term) (etf.Term, error) {
			switch req {
			case etf.Atom("get"):
				return count, nil
			case etf.Atom("later"):
				go func() { _ = from.Reply(ctx, etf.Atom("now")) }()
				return nil, node.ErrNoReply
			case etf.Atom("never"):
				return nil, node.ErrNoReply
			case etf.Atom("crash"):
				return nil, &node.ExitError{Reason: etf.Atom("paper_jam")}
			}
			return etf.Tuple{etf.Atom("unknown"), req}, nil
		},
		Cast: func(_ context.Context, msg etf.Term) error { count += msg.(int64); return nil },
		Info: func(_ context.Context, msg any) error { seen <- msg; return nil },
	}
}

// Serve runs a registered counter on our node. do evaluates code with its pid P and its name S.
func (p *Peer) Serve(seen chan<- any) (do func(code string) string) {
	p.t.Helper()
	proc, err := p.Node.StartServer("counter", counter(seen))
	require.NoError(p.t, err)
	pid := p.PidOf(proc)
	vars := bind{"P": pid, "S": atoms("counter", pid.Node)}
	return func(code string) string { p.t.Helper(); return etf.Format(p.Eval(code, vars)) }
}

func genServer(t *testing.T, e *Env) {
	p := e.Peer()
	seen := make(chan any, 1)
	do := p.Serve(seen)
	assert.Equal(t, `5`, do(`gen_server:cast(S, 2), gen_server:cast(P, 3), gen_server:call(S, get, infinity)`))
	assert.Equal(t, `5`, do(`gen_server:call(P, get, infinity)`))
	assert.Equal(t, `{unknown,[1|2]}`, do(`gen_server:call(S, [1|2], infinity)`))
	assert.Equal(t, `now`, do(`gen_server:call(S, later, infinity)`))
	assert.Equal(t, `timeout`, do(`try gen_server:call(S, never, 10) catch exit:{W, _} -> W end`))
	do(`P ! {hello, "there"}`)
	assert.Equal(t, `{hello,"there"}`, etf.Format(<-seen))
	assert.Equal(t, `{reply,5}`, do(`gen_server:wait_response(gen_server:send_request(S, get), 60000)`))
	assert.Equal(t, `{1,[]}`, do(`{R, Bad} = gen_server:multi_call([node(P)], counter, get), {length([ok || {N, 5} <- R, N =:= node(P)]), Bad}`))
	assert.Equal(t, `1000`, do(`Me = self(),
		[spawn(fun() -> [5 = gen_server:call(S, get, infinity) || _ <- lists:seq(1, 50)], Me ! {done, 50} end) || _ <- lists:seq(1, 20)],
		lists:sum([receive {done, K} -> K end || _ <- lists:seq(1, 20)])`))
}

func genServerEnds(t *testing.T, e *Env) {
	p := e.Peer()
	do := p.Serve(nil)
	assert.Equal(t, `paper_jam`, do(`try gen_server:call(S, crash, infinity) catch exit:{W, _} -> W end`))
	assert.Equal(t, `noproc`, do(`try gen_server:call(S, get, infinity) catch exit:{W, _} -> W end`))
	do = p.Serve(nil)
	assert.Equal(t, `ok`, do(`gen_server:stop(S)`))
	do = p.Serve(nil)
	assert.Equal(t, `tired`, do(`{Waiting, R} = spawn_monitor(fun() -> gen_server:call(S, never, infinity) end),
		(fun Again() -> process_info(Waiting, status) =:= {status, waiting} orelse Again() end)(), gen_server:stop(S, tired, 60000), receive {'DOWN', R, _, _, {W, _}} -> W end`))
	do = p.Serve(nil)
	assert.Equal(t, `gone`, do(`{Waiting, R} = spawn_monitor(fun() -> gen_server:call(S, never, infinity) end),
		(fun Again() -> process_info(Waiting, status) =:= {status, waiting} orelse Again() end)(), exit(P, gone), receive {'DOWN', R, _, _, {W, _}} -> W end`))
}

func genCall(t *testing.T, e *Env) {
	p := e.Peer()
	ctx := t.Context()
	got, err := p.Node.GenCall(ctx, atoms("kernel_sup", etf.Atom(p.Name)), etf.Atom("count_children"))
	require.NoError(t, err)
	_, ok := got.(etf.List).Lookup("workers")
	assert.True(t, ok)
	var exit *node.ExitError
	_, err = p.Node.GenCall(ctx, atoms("nobody", etf.Atom(p.Name)), 1)
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, etf.Atom("noproc"), exit.Reason)
	dying := p.Eval(`spawn(fun() -> receive {'$gen_call', _, R} -> exit(R) end end)`, nil)
	_, err = p.Node.GenCall(ctx, dying, etf.Atom("die"))
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, etf.Atom("die"), exit.Reason)
}

// handle gives our node its functions.
func handle(n *node.Node, cancelled chan<- struct{}) {
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
	n.Handle("go", "wait", func(ctx context.Context, _ []etf.Term) (etf.Term, error) {
		<-ctx.Done()
		cancelled <- struct{}{}
		return nil, ctx.Err()
	})
}

func (p *Peer) expect(results map[string]string) {
	p.t.Helper()
	for code, want := range results {
		assert.Equal(p.t, want, etf.Format(p.Eval(code, bind{"N": p.Us()})), code)
	}
}

func functions(t *testing.T, e *Env) {
	p := e.Peer()
	handle(p.Node, nil)
	p.expect(map[string]string{
		`erpc:call(N, go, sum, [1,2,3])`: `6`,
		`rpc:call(N, go, sum, [1,2,3])`:  `6`,
		`[erpc:receive_response(R) || R <- [erpc:send_request(N, go, sum, [I]) || I <- lists:seq(1, 5)]]`: `[1,2,3,4,5]`,
		`rpc:yield(rpc:async_call(N, go, sum, [1]))`:                                                      `1`,
		`gen_server:call({rex, N}, {call, go, sum, [1,2], self()}, infinity)`:                             `3`,
		`rpc:call(N, go, nope, [])`:                                                                       `{badrpc,{'EXIT',{undef,[{go,nope,[],[]}]}}}`,
		`try erpc:call(N, go, nope, [1]) catch error:{exception, R, _} -> R end`:                          `undef`,
		`try erpc:call(N, go, sum, [x]) catch error:{exception, R, _} -> R end`:                           `<<"not a number">>`,
		`try erpc:call(N, go, throw, [ball]) catch throw:B -> {caught, B} end`:                            `{caught,ball}`,
		`try erpc:call(N, go, exit, [x]) catch exit:{exception, B} -> {caught, B} end`:                    `{caught,x}`,
		`erpc:cast(N, go, sum, [1])`:                                                                      `ok`,
	})
}

func spawned(t *testing.T, e *Env) {
	p := e.Peer()
	cancelled := make(chan struct{}, 1)
	handle(p.Node, cancelled)
	p.expect(map[string]string{
		`R = spawn_request(N, go, nope, [], []), receive {spawn_reply, R, S, W} -> {S, W} end`: `{error,notsup}`,
		`R = spawn_request(N, go, sum, [1], [monitor]), receive {spawn_reply, R, ok, P} -> ok end,
			receive {'DOWN', R, process, P, W} -> W end`: `normal`,
		`{P, R} = spawn_monitor(N, go, sum, [x]), receive {'DOWN', R, process, P, {W, _}} -> W end`:           `<<"not a number">>`,
		`process_flag(trap_exit, true), P = spawn_link(N, go, exit, [gone]), receive {'EXIT', P, W} -> W end`: `gone`,
		`P = spawn(N, go, wait, []), exit(P, kill), node(P) =:= N`:                                            `true`,
	})
	<-cancelled
}
