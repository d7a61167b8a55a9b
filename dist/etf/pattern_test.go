package etf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, term string
		want          bool
	}{
		{`_`, `{any, "thing"}`, true},
		{`{ok, _Pid}`, `{ok, 1}`, true},
		{`{ok, _}`, `{error, 1}`, false},
		{`{ok, _}`, `{ok, 1, 2}`, false},
		{`[a, _]`, `[a, b]`, true},
		{`[a, _]`, `[a, b, c]`, false},
		{`[a | _]`, `[a]`, true},
		{`[a | _]`, `[a, b, c]`, true},
		{`[a | _]`, `[]`, false},
		{`[a | _]`, `a`, false},
		{`[a, b | c]`, `[a, b | c]`, true},
		{`[a | c]`, `[a, b | c]`, false},
		{`[_ | c]`, `[a | c]`, true},
		{`[a | [_ | c]]`, `[a, b | c]`, true},
		{`#{a := _}`, `#{a => 1, b => 2}`, true},
		{`#{a => 1}`, `#{a => 1, b => 2}`, true},
		{`#{a => 1}`, `#{a => 2}`, false},
		{`#{c => _}`, `#{a => 2}`, false},
		{`#{}`, `[]`, false},
		{`#{}`, `#{a => 1}`, true},
		{`<<"x">>`, `<<"x">>`, true},
		{`'_'`, `a`, false},
		{`1`, `1.0`, false},
	} {
		p, err := etf.ParsePattern(tc.pattern)
		require.NoError(t, err, tc.pattern)
		v, err := etf.Parse(tc.term)
		require.NoError(t, err, tc.term)
		assert.Equal(t, tc.want, etf.Match(p, v), "%s = %s", tc.pattern, tc.term)
	}
}

func TestElixirPattern(t *testing.T) {
	p, err := etf.ParseElixirPattern(`{:ok, %{"node" => _name, up: true}}`)
	require.NoError(t, err)
	v, err := etf.ParseElixir(`{:ok, %{"node" => :a, up: true, more: 1}}`)
	require.NoError(t, err)
	assert.True(t, etf.Match(p, v))
	_, err = etf.ParseElixir(`_`)
	require.Error(t, err, "a term has no variables")
	_, err = etf.Parse(`_`)
	require.Error(t, err)
	_, err = etf.Parse(`#{a := 1}`)
	require.Error(t, err)
}

func TestFill(t *testing.T) {
	for text, elixir := range map[string]bool{`'Elixir.Op':execute(#{p => _}, [x | _], {_})`: false, `Op.execute(%{p: _}, [:x | _], {_})`: true} {
		c, inElixir, err := etf.ParseCallPattern(text)
		require.NoError(t, err)
		assert.Equal(t, elixir, inElixir)
		var args etf.List
		for _, a := range c.Args {
			args = append(args, etf.Fill(a, etf.List{int64(7)}))
		}
		assert.Equal(t, `[#{p => [7]},[x,7],{[7]}]`, etf.Format(args))
	}
	_, err := etf.Append(nil, etf.Any{})
	require.Error(t, err, "what was not filled cannot be sent")
}
