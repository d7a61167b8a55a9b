package dist_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist"
)

func TestReadCookieFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cookie")
	read := func(text string) (string, error) {
		t.Helper()
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		c, err := dist.ReadCookieFile(path)
		return c.Secret(), err
	}
	most := strings.Repeat("x", 255)
	for text, want := range map[string]string{"abc": "abc", "abc\n": "abc", "abc\r\n": "abc", "abc\ndef\n": "abc", " a b \n": " a b ", most: most} {
		got, err := read(text)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{"", "\n", "\r\n", "\nabc"} {
		_, err := read(text)
		require.ErrorIs(t, err, dist.ErrNoCookie, "%q", text)
	}
	// What is no cookie is not taken for one, cut short, and not read to its end; nor is it shown.
	_, err := read(most + "y")
	require.ErrorIs(t, err, dist.ErrNoCookie)
	assert.NotContains(t, err.Error(), "xx")
	_, err = dist.ReadCookieFile("/dev/zero")
	require.ErrorIs(t, err, dist.ErrNoCookie)
	_, err = dist.ReadCookieFile(filepath.Join(t.TempDir(), "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
