package remsh

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// Keys that mean something to us; all others are for the node's line editor.
const (
	keyInterrupt = 0x03 // Ctrl-C
	keyEOF       = 0x04 // Ctrl-D
	keyMenu      = 0x07 // Ctrl-G
	keyLeave     = 0x1c // Ctrl-\
)

var (
	pasteBegin = []byte("\x1b[200~")
	pasteEnd   = []byte("\x1b[201~")
)

// bracketedPaste has the terminal mark what is pasted.
const (
	bracketedPasteOn  = "\x1b[?2004h"
	bracketedPasteOff = "\x1b[?2004l"
)

// key is a piece of input: text for the line editor, or one of our keys.
type key struct {
	text string
	key  byte
}

// readSize is how much input is read, and sent in one message, at a time.
const readSize = 4096

// keys takes input apart. It keeps what has come only in part.
type keys struct {
	rest  []byte
	paste bool
}

// feed returns what a piece of input means. Each control character and each key with an escape sequence is a piece of
// its own: the line editor of OTP 25 and before forgets what comes in one message with a key that calls up a line of
// the history.
func (k *keys) feed(in []byte) (out []key) {
	in = append(k.rest, in...)
	k.rest = nil
	var text []byte
	flush := func() {
		if len(text) > 0 {
			out = append(out, key{text: string(text)})
			text = nil
		}
	}
	for len(in) > 0 {
		if marker := marker(in, k.paste); marker != nil {
			if len(in) < len(marker) {
				k.rest = in
				break
			}
			in, k.paste = in[len(marker):], !k.paste
			continue
		}
		if !utf8.FullRune(in) || in[0] == esc && len(in) > 1 && !utf8.FullRune(in[1:]) {
			k.rest = in
			break
		}
		r, n := utf8.DecodeRune(in)
		switch {
		case r == esc && !k.paste:
			n = keyLen(in)
			flush()
			text = bytes.ToValidUTF8(in[:n], []byte(unprintable))
			flush()
		case k.paste:
			text = append(text, pasted(r, in[:n])...)
		case r == keyInterrupt || r == keyEOF || r == keyMenu || r == keyLeave:
			flush()
			out = append(out, key{key: byte(r)})
		case r < ' ' && r != '\r' && r != '\n':
			flush()
			out = append(out, key{text: string(r)})
		default:
			text = utf8.AppendRune(text, r) // a byte that is no UTF-8 becomes U+FFFD
		}
		in = in[n:]
	}
	flush()
	return out
}

// keyLen is the length of the key that begins with an escape: a sequence, or Alt with a character.
func keyLen(in []byte) int {
	switch {
	case len(in) > 2 && in[1] == 'O':
		return 3
	case escapeLen(in) > 0:
		return escapeLen(in)
	case len(in) > 1 && in[1] != esc && in[1] != '[' && in[1] != 'O':
		_, n := utf8.DecodeRune(in[1:])
		return 1 + n
	}
	return 1
}

// marker returns the marker that in begins with, perhaps in part. A lone escape is a key: nobody types so fast as to
// have one read together with what comes next, and a terminal does not send a marker in pieces that small.
func marker(in []byte, paste bool) []byte {
	m := pasteBegin
	if paste {
		m = pasteEnd
	}
	if bytes.HasPrefix(in, m) || len(in) > 2 && len(in) < len(m) && bytes.HasPrefix(m, in) {
		return m
	}
	return nil
}

// pasted is what a pasted character is for a line editor that takes control characters for keys: a tab would complete.
func pasted(r rune, raw []byte) []byte {
	switch {
	case r == '\t':
		return []byte("  ")
	case r == '\n' || r == '\r':
		return []byte("\r")
	case r < ' ' || r == 0x7f || r == utf8.RuneError:
		return nil
	}
	return raw
}

// readKeys sends what is typed until in ends, an error occurs or stop is closed; a read under way is not ended by that.
// The key that leaves is told at once, whatever else waits.
func readKeys(in io.Reader, to chan<- key, stop <-chan struct{}, leave func(error)) {
	var k keys
	buf := make([]byte, readSize)
	for {
		n, err := in.Read(buf)
		for _, key := range k.feed(buf[:n]) {
			if key.key == keyLeave {
				leave(errEnd)
				return
			}
			select {
			case to <- key:
			case <-stop:
				return
			}
		}
		if err != nil { // the terminal has gone
			leave(errEnd)
			return
		}
	}
}
