package launcher

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFileWatch changes files in all the ways in which builds do.
func TestFileWatch(t *testing.T) {
	root := realTemp(t)
	at := func(name string) string { return filepath.Join(root, name) }
	write(t, at("_build/test/lib/a/ebin/a.beam"), "1")
	dirs := func() ([]string, error) {
		return append(glob(root, "_build/test/lib/*/ebin"), at("_build/test/consolidated")), nil
	}
	w, err := watchFiles(root, dirs, isCode)
	require.NoError(t, err)
	defer w.close()
	for _, c := range []struct {
		what   string
		change func()
		silent bool
	}{
		{what: "nothing", change: func() {}, silent: true},
		{what: "touched, read and other files", change: func() {
			now := time.Now()
			write(t, at("_build/test/lib/a/ebin/note"), "")
			write(t, at("_build/test/lib/a/priv/a.beam"), "")
			_, err := os.ReadFile(at("_build/test/lib/a/ebin/a.beam"))
			require.NoError(t, err)
			require.NoError(t, os.Chtimes(at("mix.exs"), now, now))
		}, silent: true},
		{what: "a file written", change: func() { write(t, at("_build/test/lib/a/ebin/a.beam"), "22") }},
		{what: "renamed into place", change: func() {
			write(t, at("_build/test/lib/a/ebin/a.tmp"), "333")
			require.NoError(t, os.Rename(at("_build/test/lib/a/ebin/a.tmp"), at("_build/test/lib/a/ebin/a.beam")))
		}},
		{what: "a new application", change: func() { write(t, at("_build/test/lib/b/ebin/b.beam"), "1") }},
		{what: "a directory that was not there", change: func() { write(t, at("_build/test/consolidated/p.beam"), "1") }},
		{what: "a file removed", change: func() { require.NoError(t, os.Remove(at("_build/test/lib/b/ebin/b.beam"))) }},
		{what: "all removed", change: func() { require.NoError(t, os.RemoveAll(at("_build"))) }},
		{what: "all made anew", change: func() { write(t, at("_build/test/lib/a/ebin/a.beam"), "4") }},
		{what: "a directory exchanged", change: func() {
			require.NoError(t, os.RemoveAll(at("_build/test/lib/a/ebin")))
			write(t, at("_build/test/lib/a/ebin/a.beam"), "55")
		}},
		{what: "without a word from the system", change: func() {
			for _, dir := range w.events.WatchList() {
				require.NoError(t, w.events.Remove(dir))
			}
			write(t, at("_build/test/lib/a/ebin/a.beam"), "by looking")
		}},
		{what: "written again, there", change: func() { write(t, at("_build/test/lib/a/ebin/a.beam"), "666") }},
	} {
		write(t, at("mix.exs"), "")
		time.Sleep(2 * settleTime) // which is written, too
		c.change()
		limit := time.Minute
		if c.silent {
			limit = 4 * settleTime
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := w.next(ctx)
		cancel()
		if c.silent {
			assert.ErrorIs(t, err, context.DeadlineExceeded, c.what)
		} else {
			require.NoError(t, err, c.what)
		}
	}
}

// What is written bit by bit is told of at the end, and not for each bit.
func TestFileWatchSettles(t *testing.T) {
	root := realTemp(t)
	w, err := watchFiles(root, func() ([]string, error) { return []string{root}, nil }, isCode)
	require.NoError(t, err)
	defer w.close()
	const writes = 60
	var pauses atomic.Int64 // that a busy machine made: what is written may be told of in each
	go func() {
		for i, last := 0, time.Now(); i < writes; i++ {
			_ = os.WriteFile(filepath.Join(root, "a.beam"), make([]byte, i+1), 0o600)
			if now := time.Now(); now.Sub(last) > settleTime/2 {
				pauses.Add(1)
			}
			last = time.Now()
			time.Sleep(settleTime / 25)
		}
	}()
	told := 0
	for size := int64(0); size < writes; told++ {
		require.NoError(t, w.next(t.Context()))
		st, err := os.Stat(filepath.Join(root, "a.beam"))
		require.NoError(t, err)
		size = st.Size()
	}
	assert.Less(t, told, writes/4+int(pauses.Load()))
}
