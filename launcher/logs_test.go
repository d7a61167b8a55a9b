package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openLog(t *testing.T, path string) *logFile {
	t.Helper()
	l := &logFile{path: path}
	require.NoError(t, l.reopen())
	t.Cleanup(func() { _ = l.file.Close() })
	return l
}

func TestLogLinesGetTheirTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, path)
	begin := time.Now().Truncate(time.Millisecond)
	for _, part := range []string{"one\ntwo", " and a half\n", "\n", "", "four"} {
		l.write([]byte(part))
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var texts []string
	for line := range strings.SplitSeq(string(b), "\n") {
		at, text := stamped(line)
		assert.False(t, at.Before(begin), line)
		texts = append(texts, text)
	}
	assert.Equal(t, []string{"one", "two and a half", "", "four"}, texts)
	for _, odd := range []string{"", "short", "2026-13-22T21:18:49.123Z month 13", strings.Repeat("x", 50)} {
		at, text := stamped(odd)
		assert.True(t, at.IsZero())
		assert.Equal(t, odd, text)
	}
}

// TestLogIsBounded: a reader that keeps up misses nothing, and two files are all there ever is.
func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l := openLog(t, path)
	follower := tail{path: path}
	defer follower.close()
	chunk := strings.Repeat(strings.Repeat("x", 98)+"\n", 300)
	seen, written := 0, 0
	for range 4 * maxLog / len(chunk) {
		l.write(fmt.Appendf(nil, "%d\n%s", written, chunk))
		written++
		lines, err := follower.rest()
		require.NoError(t, err)
		for _, line := range lines {
			if _, text := stamped(line); len(text) < 90 {
				require.Equal(t, fmt.Sprint(seen), text)
				seen++
			}
		}
	}
	assert.Equal(t, written, seen)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
	for _, e := range entries {
		fi, err := e.Info()
		require.NoError(t, err)
		assert.LessOrEqual(t, fi.Size(), int64(maxLog+2*len(chunk)))
	}
	late := tail{path: path}
	defer late.close()
	lines, err := late.rest()
	require.NoError(t, err)
	_, last := stamped(lines[len(lines)-1])
	assert.Equal(t, strings.Repeat("x", 98), last)
	assert.Greater(t, len(lines), maxLog/200, "who comes late reads the older file as well")

	l.write([]byte(strings.Repeat("y", maxLog))) // no line ever ends
	l.write([]byte("y"))
	assert.Less(t, l.size, int64(maxLog))
}

// TestLogPipeDrains: what was printed is in the log when drain returns, though the pipe stays open.
func TestLogPipeDrains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	p, w, err := newLogPipe(openLog(t, path))
	require.NoError(t, err)
	for i := range 50 {
		text := strings.Repeat("z", i*1000) + "\n"
		_, err := w.WriteString(text)
		require.NoError(t, err)
		p.drain()
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(string(b), "Z "+text), "round %d", i)
	}
	require.NoError(t, w.Close())
	for range p.drained { // its end
	}
	p.drain()
}
