package health_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
)

// call parses the steps of a probe.
func call(t *testing.T, steps ...string) (calls []etf.Call) {
	t.Helper()
	for _, s := range steps {
		c, _, err := etf.ParseCallPattern(s)
		require.NoError(t, err, s)
		calls = append(calls, c)
	}
	return calls
}

func pattern(t *testing.T, text string) health.Expectation {
	t.Helper()
	p, err := etf.ParsePattern(text)
	require.NoError(t, err)
	return health.Matches(text, p)
}

func equals(t *testing.T, text string) health.Expectation {
	t.Helper()
	v, err := etf.Parse(text)
	require.NoError(t, err)
	return health.Equals(text, v)
}

func within(t *testing.T, text string) health.Range {
	t.Helper()
	r, err := health.ParseRange(text)
	require.NoError(t, err)
	return r
}

func ofType(t *testing.T, name string) health.Expectation {
	t.Helper()
	e, ok := health.OfType(name)
	require.True(t, ok, name)
	return e
}

// TestProbes asks real nodes, each kind of expectation met and not met.
func TestProbes(t *testing.T) {
	c := start(t)
	many := func(e ...health.Expectation) []health.Expectation { return e }
	for _, p := range []struct {
		health.Probe
		want       health.Status
		saw, cause string
	}{
		{health.Probe{Name: "equal", Steps: call(t, `lists:reverse([1, 2])`), Expect: many(equals(t, `[2, 1]`))}, fine, "[2,1]", ""},
		{health.Probe{Name: "unequal", Steps: call(t, `lists:reverse([1, 2])`), Expect: many(equals(t, `[1, 2]`))}, fail, "[2,1]", "expected: equals [1, 2]"},
		{health.Probe{Name: "like", Steps: call(t, `gen_server:call(till, {question, #{a => 1}})`), Expect: many(pattern(t, `{_, #{a := _}}`))}, fine, "{question,#{a => 1}}", ""},
		{health.Probe{Name: "unlike", Steps: call(t, `gen_server:call(till, {question, #{}})`), Expect: many(pattern(t, `{_, #{a := _}}`))}, fail, "{question,#{}}", "expected: match"},
		{health.Probe{Name: "in-range", Steps: call(t, `erlang:abs(-7)`), Expect: many(health.InRange(within(t, ">=7")), health.InRange(within(t, "1..7")))}, fine, "7", ""},
		{health.Probe{Name: "out-of-range", Steps: call(t, `erlang:abs(-7)`), Expect: many(health.InRange(within(t, "<7")))}, fail, "7", "expected: range <7"},
		{health.Probe{Name: "huge", Steps: call(t, `erlang:'bsl'(1, 2000)`), Expect: many(ofType(t, "integer"), health.InRange(within(t, ">0")))}, fine, "1148130695", ""},
		{health.Probe{Name: "no-number", Steps: call(t, `erlang:node()`), Expect: many(health.InRange(within(t, ">0")))}, fail, "@127.0.0.1", "range"},
		{health.Probe{Name: "long", Steps: call(t, `lists:seq(1, 9)`), Expect: many(health.OfLength(within(t, ">8")), ofType(t, "list"))}, fine, "", ""},
		{health.Probe{Name: "short", Steps: call(t, `lists:seq(1, 9)`), Expect: many(health.OfLength(within(t, "3")))}, fail, "", "expected: length 3"},
		{health.Probe{Name: "of-type", Steps: call(t, `erlang:self()`), Expect: many(ofType(t, "pid"))}, fine, "<", ""},
		{health.Probe{Name: "of-another", Steps: call(t, `erlang:self()`), Expect: many(ofType(t, "atom"))}, fail, "<", "expected: type atom"},
		{health.Probe{Name: "elixir", Elixir: true, Steps: call(t, `:gen_server.call(:till, %{a: nil})`), Expect: many(equals(t, `1`))}, fail, "%{a: nil}", "expected: equals 1"},
		{health.Probe{Name: "elixir-raises", Elixir: true, Steps: call(t, `Nosuch.Thing.go(1)`)}, fail, "Nosuch.Thing.go/1: ", "exception"},
		{health.Probe{Name: "anything", Steps: call(t, `:erlang.node()`)}, fine, "@127.0.0.1", ""},
		{health.Probe{Name: "chain", Steps: call(t, `supervisor:get_childspec(shop_sup, till)`, `maps:get(id, _)`), Expect: many(equals(t, `till`))}, fine, "till", ""},
		{health.Probe{Name: "broken-chain", Steps: call(t, `supervisor:get_childspec(shop_sup, mill)`, `maps:get(id, _)`)}, fail, "{error,not_found}", "step 1"},
		{health.Probe{Name: "raises", Steps: call(t, `erlang:error(boom)`)}, fail, "error: boom", "exception"},
		{health.Probe{Name: "hangs", Steps: call(t, `timer:sleep(60000)`), Timeout: 100 * time.Millisecond}, fail, "timer:sleep/1 did not return in time", "hangs"},
		{health.Probe{Name: "has-no-time", Steps: call(t, `timer:sleep(60000)`), Timeout: time.Nanosecond}, fail, "timer:sleep/1 did not return in time", "hangs"},
	} {
		t.Run(p.Name, func(t *testing.T) {
			rep := health.Run(t.Context(), c.n, c.targets, health.Options{PerNode: time.Minute, Checks: health.ProbeChecks([]health.Probe{p.Probe})})
			for _, row := range rep.Rows {
				cell := row.Cells[0]
				assert.Equal(t, p.want, cell.Status, "%s: %s", cell.Saw, cell.Cause)
				assert.Equal(t, health.Probes, cell.Group)
				assert.Contains(t, cell.Saw, p.saw)
				assert.Contains(t, cell.Cause, p.cause)
				assert.Equal(t, p.want == fail, cell.Fix != "")
				_, err := json.Marshal(rep)
				require.NoError(t, err)
				if p.Name == "in-range" || p.Name == "out-of-range" {
					assert.Equal(t, map[string]float64{"value": 7}, cell.Values, "met or not, it was measured")
				}
			}
		})
	}
	t.Run("once", func(t *testing.T) {
		rep := health.Run(t.Context(), c.n, c.targets, health.Options{PerNode: time.Minute, Checks: health.ProbeChecks([]health.Probe{
			{Name: "once", Steps: call(t, `erlang:node()`), Once: true},
		})})
		assert.Equal(t, "'a@127.0.0.1'", rep.Rows[0].Cells[0].Saw)
		assert.Equal(t, none, rep.Rows[1].Cells[0].Status)
		assert.Equal(t, "asked on a@127.0.0.1", rep.Rows[2].Cells[0].Saw)
	})
}

func TestParseRange(t *testing.T) {
	for _, text := range []string{"", "x", ">", "1..", "..1", "NaN", "1..2..3", ">=x", "1 2"} {
		_, err := health.ParseRange(text)
		require.ErrorIs(t, err, health.ErrRange, text)
	}
}
