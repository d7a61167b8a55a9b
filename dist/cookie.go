package dist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/beamctl/beamctl/dist/etf"
)

// Cookie is the secret that the nodes of one cluster share. It prints, formats and marshals as
// "[cookie]", so that it cannot end up in a log, an error or JSON by accident; Secret is the only way to it.
type Cookie struct{ secret string }

// NewCookie makes a Cookie of a secret as Erlang holds it (the text of the cookie atom).
func NewCookie(secret string) Cookie { return Cookie{secret} }

// maxCookieFile bounds what ReadCookieFile reads: a cookie is an atom, 255 characters of at most 4 bytes, and a newline.
const maxCookieFile = 2048

// ReadCookieFile reads a cookie as OTP's auth server does: the file's first line, without the newline.
func ReadCookieFile(path string) (Cookie, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return Cookie{}, fmt.Errorf("cookie file: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	b, err := io.ReadAll(io.LimitReader(f, maxCookieFile))
	if err != nil {
		return Cookie{}, fmt.Errorf("cookie file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return Cookie{}, fmt.Errorf("cookie file %s: %w", path, ErrNoCookie)
	}
	if utf8.RuneCountInString(line) > etf.MaxAtomRunes {
		return Cookie{}, fmt.Errorf("cookie file %s: %w: its first line is longer than an atom's %d characters", path, ErrNoCookie, etf.MaxAtomRunes)
	}
	return Cookie{line}, nil
}

// ErrNoCookie says that a cookie is needed and none was given.
var ErrNoCookie = errors.New("no cookie")

// Secret returns the cookie itself. Callers must not log it.
func (c Cookie) Secret() string { return c.secret }

// IsZero tells whether no cookie is set.
func (c Cookie) IsZero() bool { return c.secret == "" }

const redacted = "[cookie]"

func (Cookie) String() string               { return redacted }
func (Cookie) GoString() string             { return redacted }
func (Cookie) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format keeps every fmt verb from reaching the secret.
func (Cookie) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
