package remsh

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/node"
)

// pipe runs lines through the shell, and returns what it prints.
func (x *target) pipe(language Language, in string) string {
	x.t.Helper()
	var out bytes.Buffer
	require.NoError(x.t, x.open(language).Pipe(x.ctx, strings.NewReader(in), &out))
	return out.String()
}

func TestPipeErlang(t *testing.T) {
	onReleases(t, Erlang, func(t *testing.T, x *target) {
		x.pipe("", "1.\n") // loads what there is to load
		processes := x.count("process_count")
		assert.Equal(t, "'n@127.0.0.1'\n", x.pipe("", "node().\n"))
		assert.Equal(t, "1\n2\n3\n4\n", x.pipe("", "1. 2. 3.\n\n\n 4."), "several in a line, and none in others")
		assert.Equal(t, "6\n", x.pipe("", "X = 1,\nY = 2 +\n3,\nX + Y.\n"))
		assert.Equal(t, "日本ö\nok\n", x.pipe("", `io:format("~ts~n", [[26085, 26412, $ö]]).`))
		assert.Equal(t, "a\tb\nok\n", x.pipe("", "io:format(\"a\tb~n\").\n"), "what is no key is text")
		assert.Contains(t, x.pipe("", "1/0.\n2.\n"), "\n2\n", "an exception ends nothing")
		assert.Contains(t, x.pipe("", "1.\nfoo"), "syntax error before: ")
		assert.Equal(t, "got it\nok\n", x.pipe("", "L = io:get_line(\"? \"),\nio:put_chars(L).\ngot it\n"))
		assert.Equal(t, "[]\n", x.pipe("", "nodes().\n"))
		assert.Empty(t, x.pipe("", ""))

		long := strings.Repeat("x", 100_000)
		assert.Equal(t, "100000\n", x.pipe("", `length("`+long+"\").\n"))
		err := x.open("").Pipe(x.ctx, strings.NewReader(strings.Repeat("x", MaxLine+1)), io.Discard)
		require.ErrorIs(t, err, ErrLineTooLong)
		err = x.open("").Pipe(x.ctx, strings.NewReader("io:put_chars(\"a\").\n"), broken{})
		require.ErrorIs(t, err, errBroken)
		_, err = Open(x.ctx, x.n, x.Name, Elixir)
		require.ErrorIs(t, err, ErrNoElixir)

		x.eventually("no process is left", func() bool { return x.count("process_count") <= processes })
		assert.Empty(t, strings.TrimSpace(x.Output()), "nothing is in the node's log")
		require.ErrorIs(t, x.open("").Pipe(x.ctx, strings.NewReader("erlang:halt().\n"), io.Discard), node.ErrNodeDown)
	})
}

func TestPipeElixir(t *testing.T) {
	onReleases(t, Elixir, func(t *testing.T, x *target) {
		assert.Equal(t, ":\"n@127.0.0.1\"\n", x.pipe("", "node()\n"))
		processes := x.count("process_count")
		assert.Equal(t, "3\n6\n", x.pipe("", "x = 1 +\n2\nx * 2"))
		assert.Equal(t, "日本ö\n:ok\n", x.pipe("", "IO.puts(\"日本ö\")\n"))
		assert.Equal(t, "2\n", x.pipe(Erlang, "1 + 1.\n"))
		assert.Equal(t, ":eof\n:eof\n", x.pipe("", "IO.inspect(IO.gets(\"? \"))"))
		assert.Contains(t, x.pipe("", "1 / 0\n:more\n"), "** (ArithmeticError)")
		assert.True(t, strings.HasSuffix(x.pipe("", "raise \"no\"\n:more\n"), ":more\n"))
		for _, in := range []string{"node().\n", "1 +", "IO.puts(\n1\n"} {
			var out bytes.Buffer
			require.ErrorIs(t, x.open("").Pipe(x.ctx, strings.NewReader("2\n"+in), &out), ErrUnfinished, in)
			assert.Equal(t, "2\n", out.String(), in)
		}
		for _, in := range []string{"2\n\n \n", "2 # two\n# none\n", "(\n2\n)\n\n", "1 +\n1 # two"} {
			assert.Equal(t, "2\n", strings.ReplaceAll(x.pipe("", in), "nil\n", ""), "an empty line is nil, and complete: %q", in)
		}
		assert.Equal(t, ":eof\n", x.pipe("", "IO.gets(\"...(\")"), "it was not IEx that wanted more")
		x.eventually("no process is left", func() bool { return x.count("process_count") <= processes })
	})
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
