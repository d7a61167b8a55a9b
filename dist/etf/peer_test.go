package etf_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// erlang is the real Erlang runtime that the tests compare with, one for all of them.
type erlang struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
}

var peer = sync.OnceValues(startRuntime)

func TestMain(m *testing.M) {
	code := m.Run()
	if started {
		if r, err := peer(); err == nil {
			_ = r.in.Close() // it halts at the end of its input
			_ = r.cmd.Wait()
		}
	}
	os.Exit(code)
}

var started bool

// startRuntime compiles testdata/etf_peer.erl in a fresh erl, with Elixir's modules on its path, and leaves it listening.
func startRuntime() (*erlang, error) {
	started = true
	elixir, err := exec.Command("elixir", "-e", "IO.write(:code.lib_dir(:elixir))").Output()
	if err != nil {
		return nil, fmt.Errorf("elixir: %w", err)
	}
	source, err := filepath.Abs("testdata/etf_peer.erl")
	if err != nil {
		return nil, err
	}
	boot := fmt.Sprintf(`{ok, M, B} = compile:file(%s, [binary]), {module, M} = code:load_binary(M, "etf_peer", B),
		{ok, _} = application:ensure_all_started(elixir), M:main().`, etf.Format(etf.Charlist(source)))
	cmd := exec.Command("erl", "+pc", "unicode", "-noshell", "-noinput", "-pa", filepath.Join(string(elixir), "ebin"), "-eval", boot)
	cmd.Stderr = os.Stderr
	r := &erlang{cmd: cmd}
	if r.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if r.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return r, cmd.Start()
}

// ask sends one request to the runtime and returns its answer.
func ask(t require.TestingT, op etf.Atom, arg any) etf.Term {
	r, err := peer()
	require.NoError(t, err, "the tests need erl and elixir")
	r.mu.Lock()
	defer r.mu.Unlock()
	request, err := etf.Marshal(etf.Tuple{op, arg})
	require.NoError(t, err)
	overdue := time.AfterFunc(time.Minute, func() { _ = r.cmd.Process.Kill() })
	defer overdue.Stop()
	_, err = r.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...))
	require.NoError(t, err)
	var size [4]byte
	_, err = io.ReadFull(r.out, size[:])
	require.NoError(t, err)
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(r.out, answer)
	require.NoError(t, err)
	var term etf.Term
	require.NoError(t, etf.Unmarshal(answer, &term))
	if tuple, ok := term.(etf.Tuple); ok && len(tuple) > 0 && tuple[0] == etf.Term(etf.Atom("crash")) {
		require.Fail(t, "the runtime refused the request", "%s: %s", op, etf.Format(term))
	}
	return term
}

// text asks for something that is answered with a binary.
func text(t require.TestingT, op etf.Atom, arg any) string {
	b, ok := ask(t, op, arg).([]byte)
	require.True(t, ok)
	return string(b)
}

// termOf asks for {ok, Encoded}; ok is false when the runtime says error.
func termOf(t require.TestingT, op etf.Atom, arg any) (term etf.Term, ok bool) {
	answer, ok := ask(t, op, arg).(etf.Tuple)
	if !ok {
		return nil, false
	}
	require.NoError(t, etf.Unmarshal(answer[1].([]byte), &term))
	return term, true
}

func marshal(t require.TestingT, term any) []byte {
	b, err := etf.Marshal(term)
	require.NoError(t, err)
	return b
}

func unmarshal(t require.TestingT, b []byte) (term etf.Term) {
	require.NoError(t, etf.Unmarshal(b, &term))
	return term
}

func TestCorpus(t *testing.T) {
	corpus := ask(t, "corpus", etf.Atom("all")).(etf.List)
	require.Greater(t, len(corpus), 80)
	for _, entry := range corpus {
		want := string(entry.(etf.Tuple)[0].([]byte))
		var first etf.Term
		for i, e := range entry.(etf.Tuple)[1].(etf.List) {
			encoded := e.([]byte)
			term := unmarshal(t, encoded)
			if i == 0 {
				first = term
			}
			require.True(t, etf.Equal(first, term), "encoding %d of %s", i, want)

			ours := marshal(t, term)
			require.Equal(t, etf.Atom("true"), ask(t, "same", etf.Tuple{encoded, ours}), "%s", want)
			require.Equal(t, text(t, "encode", encoded), string(reordered(t, term, ours, encoded)), "%s", want)
			if encoded[1] != 80 {
				n, err := etf.Skip(encoded[1:])
				require.NoError(t, err)
				require.Equal(t, len(encoded)-1, n)
			}
			// Identifiers of other nodes print with a number that only the runtime knows, large maps in hash order.
			got := etf.FormatOptions{Node: "nonode@nohost"}.Format(term)
			if m, ok := term.(etf.Map); !strings.Contains(got, "a@b") && (!ok || len(m) <= 32) {
				require.Equal(t, want, got)
			}
		}
	}
}

// reordered returns what the runtime writes for a term that has gone through us. Maps keep the order they came in, so
// ours is that, unless another option of term_to_binary has ordered them in another way.
func reordered(t *testing.T, term etf.Term, ours, theirs []byte) []byte {
	if m, ok := term.(etf.Map); ok && len(m) > 32 {
		return []byte(text(t, "encode", theirs))
	}
	return ours
}
