package etf

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A SyntaxError says where a text stopped being a term, and what would have been right there.
type SyntaxError struct {
	Column int    // in characters, from 1
	Want   string // what was expected
	Got    string // what stood there, "" for the end of the text
}

func (e *SyntaxError) Error() string {
	got := e.Got
	if got == "" {
		got = "the end"
	}
	return fmt.Sprintf("column %d: expected %s, found %s", e.Column, e.Want, got)
}

// shown is how many characters of a text an error repeats.
const shown = 20

// scanner reads text for both syntaxes. Its methods that yield (value, error) leave pos behind what they read.
type scanner struct {
	s       string
	pos     int
	depth   int
	comment byte // begins a comment to the end of the line
	pattern bool // variables whose name begins with _ are terms, too: Any
}

// wantAt returns the error that something else was expected at a position.
func (s *scanner) wantAt(pos int, want string) error {
	e := &SyntaxError{Column: utf8.RuneCountInString(s.s[:pos]) + 1, Want: want}
	if rest := s.s[pos:]; rest != "" {
		end := strings.IndexFunc(rest, unicode.IsSpace)
		if end <= 0 {
			end = len(rest)
		}
		runes := []rune(rest[:min(end, shown*utf8.UTFMax)])
		e.Got = strconv.Quote(string(runes[:min(len(runes), shown)]))
	}
	return e
}

func (s *scanner) want(want string) error { return s.wantAt(s.pos, want) }

// space passes over white space and comments.
func (s *scanner) space() {
	for s.pos < len(s.s) {
		r, size := utf8.DecodeRuneInString(s.s[s.pos:])
		switch {
		case unicode.IsSpace(r):
			s.pos += size
		case s.s[s.pos] == s.comment:
			line := strings.IndexByte(s.s[s.pos:], '\n')
			if line < 0 {
				line = len(s.s) - s.pos
			}
			s.pos += line
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte { return s.peekAt(0) }

func (s *scanner) peekAt(i int) byte {
	if s.pos+i >= len(s.s) {
		return 0
	}
	return s.s[s.pos+i]
}

// accept passes over a token and the space before it, if it is there.
func (s *scanner) accept(token string) bool {
	at := s.pos
	s.space()
	if !strings.HasPrefix(s.s[s.pos:], token) {
		s.pos = at
		return false
	}
	s.pos += len(token)
	return true
}

func (s *scanner) expect(token string) error {
	if s.accept(token) {
		return nil
	}
	s.space()
	return s.want(token)
}

// end fails unless nothing but space is left.
func (s *scanner) end() error {
	if s.space(); s.pos < len(s.s) {
		return s.want("the end")
	}
	return nil
}

// while returns the longest run of characters that satisfy ok.
func (s *scanner) while(ok func(rune) bool) string {
	rest := s.s[s.pos:]
	end := strings.IndexFunc(rest, func(r rune) bool { return !ok(r) })
	if end < 0 {
		end = len(rest)
	}
	s.pos += end
	return rest[:end]
}

// rune returns the next character.
func (s *scanner) rune(want string) (rune, error) {
	r, size := utf8.DecodeRuneInString(s.s[s.pos:])
	if size == 0 || r == utf8.RuneError && size == 1 {
		return 0, s.want(want)
	}
	s.pos += size
	return r, nil
}

func (s *scanner) enter() error {
	if s.depth >= MaxDepth {
		return s.want(fmt.Sprintf("at most %d levels of nesting", MaxDepth))
	}
	s.depth++
	return nil
}

// list reads elements up to the closing token, which it passes over. The opening one is passed already.
func (s *scanner) list(closing string, trailingComma bool, element func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.accept(closing) {
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.accept(closing) {
			return nil
		}
		if !s.accept(",") {
			s.space()
			return s.want(", or " + closing)
		}
		if trailingComma && s.accept(closing) {
			return nil
		}
	}
}

// maxDigits bounds a number as text: converting takes time that grows with the square of its length.
const maxDigits = 100_000

// digits reads digits of a base, which single underscores may separate.
func (s *scanner) digits(base int) (string, error) {
	at := s.pos
	text := s.while(func(r rune) bool { return r == '_' || digitValue(r) < base })
	clean := strings.ReplaceAll(text, "_", "")
	if clean == "" || text[0] == '_' || text[len(text)-1] == '_' || strings.Contains(text, "__") {
		return "", s.wantAt(at, fmt.Sprintf("digits of base %d", base))
	}
	if len(clean) > maxDigits {
		return "", s.wantAt(at, fmt.Sprintf("at most %d digits", maxDigits))
	}
	return clean, nil
}

// digitValue returns the value of a digit in bases up to 36, more than that for other characters.
func digitValue(r rune) int {
	switch {
	case isDigit(r):
		return int(r - '0')
	case 'a' <= r && r <= 'z':
		return int(r-'a') + 10
	case 'A' <= r && r <= 'Z':
		return int(r-'A') + 10
	}
	return math.MaxInt
}

// integerOf converts digits; they have been checked.
func integerOf(digits string, base int) Term {
	if n, err := strconv.ParseInt(digits, base, 64); err == nil {
		return n
	}
	n, _ := new(big.Int).SetString(digits, base)
	return n
}

// fraction reads what makes a float of the digits before it: a point, digits, perhaps an exponent.
// ok is false if no fraction follows.
func (s *scanner) fraction(whole string, at int) (f float64, ok bool, err error) {
	if s.peek() != '.' || !isDigit(rune(s.peekAt(1))) {
		return 0, false, nil
	}
	s.pos++
	part, err := s.digits(10)
	if err != nil {
		return 0, false, err
	}
	text := whole + "." + part
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		text += "e"
		if c := s.peek(); c == '-' || c == '+' {
			text += string(c)
			s.pos++
		}
		exponent, err := s.digits(10)
		if err != nil {
			return 0, false, err
		}
		text += exponent
	}
	if f, err = strconv.ParseFloat(text, 64); err != nil {
		return 0, false, s.wantAt(at, "a float within 64 bits")
	}
	return f, true, nil
}

// negate returns -t for a number.
func negate(t Term) Term {
	switch t := t.(type) {
	case int64:
		if t == math.MinInt64 {
			return new(big.Int).Neg(big.NewInt(t))
		}
		return -t
	case *big.Int:
		if n := new(big.Int).Neg(t); !n.IsInt64() {
			return n
		}
		return int64(math.MinInt64)
	case float64:
		return -t
	}
	return nil
}

// hexRune reads hexadecimal digits, between braces or exactly n of them, as a code point.
func (s *scanner) hexRune(n int) (rune, error) {
	at := s.pos
	isHex := func(r rune) bool { return digitValue(r) < 16 }
	var text string
	if s.peek() == '{' {
		s.pos++
		text = s.while(isHex)
		if s.peek() != '}' {
			return 0, s.want("}")
		}
		s.pos++
	} else {
		for len(text) < n && isHex(rune(s.peek())) {
			text += string(s.peek())
			s.pos++
		}
		if len(text) < n {
			return 0, s.want(fmt.Sprintf("%d hexadecimal digits", n))
		}
	}
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, s.wantAt(at, "a code point")
	}
	return rune(v), nil
}

// atomOf checks the text of an atom that began at a position.
func (s *scanner) atomOf(text string, at int) (Atom, error) {
	if !validAtom(text) {
		return "", s.wantAt(at, fmt.Sprintf("an atom of at most %d characters", MaxAtomRunes))
	}
	return Atom(text), nil
}

// verbatim reads text up to the same quote, without escapes.
func (s *scanner) verbatim(quote byte) (string, error) {
	s.pos++
	end := strings.IndexByte(s.s[s.pos:], quote)
	if end < 0 {
		s.pos = len(s.s)
		return "", s.want("a closing " + string(quote))
	}
	text := s.s[s.pos : s.pos+end]
	s.pos += end + 1
	return text, nil
}

// arity reads the end of a fun's name: a slash and a number.
func (s *scanner) arity(e Export) (Term, error) {
	if err := s.expect("/"); err != nil {
		return nil, err
	}
	s.space()
	at := s.pos
	digits, err := s.digits(10)
	if err != nil {
		return nil, s.wantAt(at, "an arity")
	}
	n, _ := integerOf(digits, 10).(int64)
	if n > 255 || len(digits) > 3 {
		return nil, s.wantAt(at, "an arity of at most 255")
	}
	e.Arity = uint8(n)
	return e, nil
}

// cons returns the list of elems and then tail, which may be a list itself.
func cons(elems List, tail Term) Term {
	switch tail := tail.(type) {
	case List:
		return append(elems, tail...)
	case ImproperList:
		return ImproperList{Elems: append(elems, tail.Elems...), Tail: tail.Tail}
	}
	return ImproperList{Elems: elems, Tail: tail}
}

// charsOf returns the code points of text as a list.
func charsOf(text string) List {
	var chars List
	for _, r := range text {
		chars = append(chars, int64(r))
	}
	return chars
}

// lastWins drops entries whose key comes again later, as map syntax has it.
func lastWins(m Map) Map {
	if !hasDuplicateKey(m) {
		return m
	}
	index := keyIndex{slots: make([]int32, slotsFor(len(m)))}
	for _, e := range m {
		index.m = append(index.m, e)
		last := len(index.m) - 1
		if at := index.probe(e.Key); index.slots[at] != 0 {
			index.m[index.slots[at]-1] = e
			index.m = index.m[:last]
		} else {
			index.slots[at] = int32(last + 1)
		}
	}
	return index.m
}
