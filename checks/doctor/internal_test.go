package doctor

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clock cannot be set wrong in a test without others being told wrong, too.
func TestClock(t *testing.T) {
	now := time.Now()
	for what, c := range map[string]struct{ now, written, later time.Time }{
		"":                                  {now, now.Add(-time.Second), now.Add(time.Second)},
		"the clock was never set":           {time.Unix(86400, 0), time.Unix(86400, 0), time.Unix(86401, 0)},
		"the file system has another clock": {now, now.Add(5 * time.Second), now},
		"the clock runs backwards":          {now, now, now.Add(-time.Millisecond)},
	} {
		x := &exam{Subject: &Subject{}}
		x.clock(c.now, c.written, c.later, "/tmp")
		if what == "" {
			assert.Empty(t, x.problems)
			continue
		}
		require.Len(t, x.problems, 1, what)
		assert.Equal(t, what, x.problems[0].What)
	}
}

func TestRequirements(t *testing.T) {
	for _, c := range []struct {
		version, requirement string
		want                 bool
	}{
		{"1.14.0", "~> 1.10", true},
		{"1.14.0", "~> 1.14.2", false},
		{"1.14.3", "~> 1.14.2", true},
		{"2.0.0", "~> 1.14", false},
		{"1.15.0", "~> 1.14.0", false},
		{"1.14.0", ">= 1.14.0 and < 1.15.0", true},
		{"1.15.0", ">= 1.14.0 and < 1.15.0", false},
		{"1.14.0", "== 1.14.0", true},
		{"1.14.0", "1.13.0", false},
		{"1.14.0", "~> 1.9 or ~> 2.0", true},
		{"1.14.0", "> 1.14.0", false},
		{"1.14.0", "<= 1.14.0", true},
		{"1.14.0", "!= 1.14.0", false},
		{"1.14.0", "", true},
		{"1.14.0", "whatever", true},
		{"1.20.0-rc.1", "~> 1.20-rc", true},
	} {
		assert.Equal(t, c.want, parseVersion(c.version).meets(c.requirement), "%s %s", c.version, c.requirement)
	}
	assert.Equal(t, version{27, 3, 4}, parseVersion("27.3.4.1"))
	assert.Equal(t, version{25}, parseVersion("25"))
	assert.Equal(t, version{}, parseVersion(""))
	assert.Equal(t, version{1, 20}, parseVersion("1.20-dev.7"))
	lo, hi, ok := otpRange(parseVersion("1.14.5"))
	assert.Equal(t, []any{23, 26, true}, []any{lo, hi, ok})
}

// The compiler of every module of the installed Elixir can be read, and of one that is compressed.
func TestCompilerOf(t *testing.T) {
	path, ok := lookPath("elixir", os.Getenv("PATH"))
	require.True(t, ok)
	root, ok := findRoot(path, func(dir string) bool { return exists(dir, "lib", "elixir", "ebin", "elixir.app") })
	require.True(t, ok)
	files, err := filepath.Glob(filepath.Join(root, "lib", "*", "ebin", "*.beam"))
	require.NoError(t, err)
	require.Greater(t, len(files), 200)
	versions := make(map[int]bool)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		v, err := compilerOf(bytes.NewReader(b))
		require.NoError(t, err, f)
		versions[compilerOTP(v)] = true
	}
	assert.Len(t, versions, 1, "one OTP has compiled them: %v", versions)
	assert.NotContains(t, versions, 0)

	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	plain, err := compilerOf(bytes.NewReader(b))
	require.NoError(t, err)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	packed, err := compilerOf(&z)
	require.NoError(t, err)
	assert.Equal(t, plain, packed)
}

func FuzzCompilerOf(f *testing.F) {
	f.Add([]byte("FOR1\x00\x00\x00\x10BEAMCInf\x00\x00\x00\x03\x83j\x00\x00"))
	f.Add([]byte("FOR1\x00\x00\x00\x10BEAMCInf\xff\xff\xff\xff"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := compilerOf(bytes.NewReader(b)); err == nil {
			compilerOTP(v)
		} else {
			require.ErrorIs(t, err, errNoBeam)
		}
	})
}
