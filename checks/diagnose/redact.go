package diagnose

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// removed stands where a secret was.
const removed = "[removed]"

const (
	// minSecret is the least length of a secret that is searched for by itself: shorter ones would take half of a log
	// with them. They are found by what stands before them.
	minSecret = 4
	// maxLine is what is kept of a line: more than anybody reads. The rest could not be searched for secrets that lie
	// across the cut.
	maxLine = 64 << 10
	// cutMargin is what is left out before a cut: the longest secret there is, a key in one line.
	cutMargin = 4 << 10
)

// Redactor takes secrets out of text: the ones that it is told, wherever they are, and what looks like one by its name.
type Redactor struct {
	known *strings.Replacer // nil: none is known
}

// NewRedactor returns a Redactor that knows these secrets: cookies, passwords. A secret of several lines is removed
// line by line.
func NewRedactor(secrets ...string) *Redactor {
	var parts []string
	for _, s := range secrets {
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= minSecret {
				parts = append(parts, line)
			}
		}
	}
	if len(parts) == 0 {
		return &Redactor{}
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) }) // of two that begin alike, the longer one
	var pairs []string
	for _, p := range slices.Compact(parts) {
		pairs = append(pairs, p, removed)
	}
	return &Redactor{known: strings.NewReplacer(pairs...)}
}

const (
	secretWord  = `[\w.\-]*(?:passw(?:or)?d|passphrase|_pass\b|secret|token|api_?key|access_?key|private_?key|credential|cookie)[\w.\-]*` //nolint:gosec // what a secret is called, not one
	secretValue = `(<<"[^"]*"(?:/utf8)?>>|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;}\])"'\[>][^\s,;}\])"']*)`                            //nolint:gosec // what one looks like
)

// Where a secret is found by what stands before it, which is kept, as is the third group, where there is one.
var secretPatterns = []pattern{
	lazy(`(?i)(\b` + secretWord + `["']?\s*(?:=>|:=|=|:)\s*)` + secretValue),         // password: "x", PASSWORD=x, %{token => x}
	lazy(`(?i)(\{\s*['"]?` + secretWord + `['"]?\s*,\s*)` + secretValue),             // {password,<<"x">>}
	lazy(`(?i)(\s--?(?:set)?cookie\s+)(\S+)`),                                        // -setcookie x
	lazy(`(?i)(\b(?:authorization["']?\s*[:=,]\s*["'<]*\w+|bearer)\s+)([^\s"'>,]+)`), // Authorization: Bearer x
	lazy(`(\b[a-z][a-z0-9+.\-]*://[^/\s:@"]*:)([^@\s/"]+)(@)`),                       // postgres://user:x@host
	lazy(`(?i)(\bset_cookie\((?:.*,\s*)?)([^(),\s]+)(\))`),                           // erlang:set_cookie(Node, x)
}

// OTP breaks long terms into lines: the value may come on the next one, behind beamctl's time.
var (
	valueOpen  = lazy(`(?i)(?:\b` + secretWord + `["']?\s*(?:=>|:=|=|:)|\{\s*['"]?` + secretWord + `['"]?\s*,)\s*$`)
	firstValue = lazy(`^((?:\d{4}-\d\d-\d\dT\S+Z )?\s*)` + secretValue)
)

// Text returns s without its secrets.
func (r *Redactor) Text(s string) string {
	if r.known != nil {
		s = r.known.Replace(s)
	}
	if !suspicious(s) {
		return s
	}
	for _, p := range secretPatterns {
		s = p().ReplaceAllString(s, "${1}"+removed+"${3}")
	}
	return s
}

// suspicious tells whether a pattern can find anything: few lines have these words, and the patterns are slow.
func suspicious(s string) bool {
	s = strings.ToLower(s)
	for _, word := range []string{"passw", "passp", "_pass", "secret", "token", "key", "credential", "cookie", "authorization", "bearer", "://"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}

// copyLiteral writes what it reads without the secrets that are known: for what is not text of strangers, but has words
// like theirs.
func (r *Redactor) copyLiteral(dst io.Writer, src io.Reader) error {
	if r.known == nil {
		_, err := io.Copy(dst, src)
		return err
	}
	b, err := io.ReadAll(src)
	if err == nil {
		_, err = r.known.WriteString(dst, string(b))
	}
	return err
}

// Copy writes what it reads without its secrets: keys in PEM and lines with more than 64 KiB are left out, but for
// their beginning.
func (r *Redactor) Copy(dst io.Writer, src io.Reader) error {
	return r.copyLines(dst, src, func(string) bool { return true })
}

// copyLines is Copy of the lines that keep wants.
func (r *Redactor) copyLines(dst io.Writer, src io.Reader, keep func(line string) bool) error {
	w := bufio.NewWriter(dst)
	inKey, open := false, false // open: the line before ends where a secret is to come
	err := eachLine(src, func(line string, left int64) bool {
		switch {
		case !keep(line):
			return true
		case strings.Contains(line, "-----BEGIN ") && strings.Contains(line, "PRIVATE KEY-----"):
			inKey = !strings.Contains(line, "-----END ")
			before, _, _ := strings.Cut(line, "-----BEGIN ")
			line = r.Text(before) + removed
		case inKey:
			if strings.Contains(line, "-----END ") {
				inKey = false
			}
			return true
		default:
			if open {
				line = firstValue().ReplaceAllString(line, "${1}"+removed)
			}
			open = suspicious(line) && valueOpen().MatchString(line)
			line = r.Text(line)
		}
		_, _ = w.WriteString(line)
		if left > 0 {
			_, _ = fmt.Fprintf(w, " … (%d bytes more)", left)
		}
		return w.WriteByte('\n') == nil
	})
	return errors.Join(err, w.Flush())
}

// eachLine calls f with each line, without its end; left is how many bytes of it are beyond maxLine. It ends when f
// returns false.
func eachLine(src io.Reader, f func(line string, left int64) bool) error {
	r := bufio.NewReaderSize(src, maxLine)
	for {
		b, err := r.ReadSlice('\n')
		line, left := strings.TrimRight(string(b), "\r\n"), int64(0)
		for errors.Is(err, bufio.ErrBufferFull) {
			b, err = r.ReadSlice('\n')
			left += int64(len(b))
		}
		if left > 0 && len(line) > cutMargin { // a secret that lies across the cut is not left in halves
			line, left = line[:len(line)-cutMargin], left+cutMargin
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		end := errors.Is(err, io.EOF)
		if end && line == "" {
			return nil
		}
		if !f(line, left) || end {
			return nil
		}
	}
}
