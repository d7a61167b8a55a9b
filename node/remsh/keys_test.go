package remsh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   []string // as it is read
		want []key
	}{
		{"text", []string{"abc é\r"}, []key{{text: "abc é\r"}}},
		{"a character in two pieces", []string{"a\xc3", "\xa9"}, []key{{text: "a"}, {text: "é"}}},
		{"no UTF-8", []string{"a\xff"}, []key{{text: "a\ufffd"}}},
		{"our keys", []string{"a\x03\x04\x1c\x07b"}, []key{{text: "a"}, {key: 3}, {key: 4}, {key: 0x1c}, {key: 7}, {text: "b"}}},
		{"keys of the line editor", []string{"a\x1b[Ab\x01\x1bfc\x1bOP"}, []key{{text: "a"}, {text: "\x1b[A"}, {text: "b"}, {text: "\x01"}, {text: "\x1bf"}, {text: "c"}, {text: "\x1bOP"}}},
		{"escape alone", []string{"\x1b", "x"}, []key{{text: "\x1b"}, {text: "x"}}},
		{"pasted", []string{"a\x1b[200~b\tc\n\x03\x1b[Ad\x1b[201~e"}, []key{{text: "ab  c\r[Ade"}}},
		{"pasted in pieces", []string{"\x1b[20", "0~b\x1b[2", "01~\x03"}, []key{{text: "b"}, {key: 3}}},
	} {
		var k keys
		var got []key
		for _, in := range c.in {
			got = append(got, k.feed([]byte(in))...)
		}
		assert.Equal(t, c.want, got, c.name)
	}
}

// Input of any kind comes out in its order, whatever pieces it is read in, and none is kept for long.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("a\x1b[200~b\tc\n\x03\x1b[Ad\x1b[201~e\xc3"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		var k keys
		for n := int(piece)%16 + 1; len(in) > 0; {
			part := in[:min(n, len(in))]
			in = in[len(part):]
			for _, key := range k.feed(part) {
				if key.key == 0 && strings.ToValidUTF8(key.text, "") != key.text {
					t.Fatalf("%q", key.text)
				}
			}
			if len(k.rest) > len(pasteBegin) {
				t.Fatalf("kept %q", k.rest)
			}
		}
	})
}

// What a node has shown, hostile as it may be, neither panics nor brings the terminal anything that moves it where the screen does not know.
func FuzzCells(f *testing.F) {
	f.Add([]byte("a\x1b[31mb\x1b]0;t\a\x1b[2J\xff\u009b日\t\r"), true)
	f.Fuzz(func(t *testing.T, text []byte, bare bool) {
		for _, c := range cells(text, bare) {
			if strings.ContainsAny(c.text, "\r\n\b\a\u009b") || c.escape() && !strings.HasSuffix(c.text, "m") || c.width < 0 {
				t.Fatalf("%q", c.text)
			}
		}
		d := newDrawing(25, 10, 4)
		d.print(text)
		d.insert(text)
		d.show()
	})
}
