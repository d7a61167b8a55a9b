package etf

import (
	"strings"
	"unicode/utf8"
)

// Parse reads one term in Erlang's syntax: what an Erlang shell takes as a literal, with an optional dot at the end.
//
//	atom 'quoted' -1 16#ff 1_000 $a $\n 1.5e-3 "string" <<1, "text"/utf8, 5:3>> [a, b | c] {t, u} #{k => v} fun m:f/1
//
// Errors are *[SyntaxError].
func Parse(text string) (Term, error) {
	p := newErlangParser(text)
	t, err := p.term()
	if err != nil {
		return nil, err
	}
	p.accept(".")
	return t, p.end()
}

// erlangParser reads terms by recursive descent.
type erlangParser struct{ scanner }

func newErlangParser(text string) *erlangParser {
	return &erlangParser{scanner{s: text, comment: '%'}}
}

const wantErlang = "an Erlang term"

func (p *erlangParser) term() (Term, error) {
	p.space()
	c := p.peek()
	switch {
	case c == '[':
		p.pos++
		return p.listTerm()
	case c == '{':
		p.pos++
		elems, err := p.terms("}")
		return Tuple(elems), err
	case c == '#':
		return p.mapTerm()
	case c == '"':
		return p.stringTerm()
	case c == '~':
		return p.sigil()
	case c == '<':
		return p.binaryTerm()
	case c == '-' || c == '+':
		return p.signed()
	case c == '$':
		p.pos++
		r, err := p.char()
		return int64(r), err
	case isDigit(rune(c)):
		return p.number()
	case c == '_' && p.pattern:
		p.while(isErlangNameChar)
		return Any{}, nil
	}
	at := p.pos
	a, err := p.atom(wantErlang)
	if err != nil {
		return nil, err
	}
	if a == "fun" && p.s[at] != '\'' {
		return p.export()
	}
	return a, nil
}

func (p *erlangParser) terms(closing string) ([]Term, error) {
	elems := []Term{}
	err := p.list(closing, false, func() error {
		t, err := p.term()
		elems = append(elems, t)
		return err
	})
	return elems, err
}

// listTerm reads what follows a bracket.
func (p *erlangParser) listTerm() (Term, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var elems List
	if p.accept("]") {
		return elems, nil
	}
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		elems = append(elems, t)
		switch {
		case p.accept("]"):
			return elems, nil
		case p.accept("|"):
			tail, err := p.term()
			if err != nil {
				return nil, err
			}
			return cons(elems, tail), p.expect("]")
		case !p.accept(","):
			p.space()
			return nil, p.want(", | or ]")
		}
	}
}

func (p *erlangParser) mapTerm() (Term, error) {
	p.pos++
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	m := Map{}
	err := p.list("}", false, func() error {
		key, err := p.term()
		if err != nil {
			return err
		}
		if !p.pattern || !p.accept(":=") {
			if err := p.expect("=>"); err != nil {
				return err
			}
		}
		value, err := p.term()
		m = append(m, MapEntry{key, value})
		return err
	})
	return lastWins(m), err
}

// atom reads an atom, quoted or not; also a reserved word, which then must be "fun".
func (p *erlangParser) atom(want string) (Atom, error) {
	p.space()
	at := p.pos
	if p.peek() == '\'' {
		text, err := p.quoted('\'')
		if err != nil {
			return "", err
		}
		return p.atomOf(text, at)
	}
	if r, _ := utf8.DecodeRuneInString(p.s[at:]); !isErlangLower(r) {
		return "", p.want(want)
	}
	text := p.while(isErlangNameChar)
	if reservedWords[Atom(text)] && text != "fun" {
		return "", p.wantAt(at, want+" (quote the reserved word)")
	}
	return p.atomOf(text, at)
}

// export reads what follows fun: m:f/1.
func (p *erlangParser) export() (Term, error) {
	module, err := p.atom("a module")
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	function, err := p.atom("a function")
	if err != nil {
		return nil, err
	}
	return p.arity(Export{Module: module, Function: function})
}

// signed reads a sign and a number or character.
func (p *erlangParser) signed() (Term, error) {
	minus := p.peek() == '-'
	p.pos++
	p.space()
	if c := p.peek(); c != '$' && !isDigit(rune(c)) {
		return nil, p.want("a number")
	}
	t, err := p.term()
	if err == nil && minus {
		t = negate(t)
	}
	return t, err
}

// number reads digits, base#digits or a float.
func (p *erlangParser) number() (Term, error) {
	at := p.pos
	digits, err := p.digits(10)
	if err != nil {
		return nil, err
	}
	if p.peek() == '#' && isBaseDigit(p.peekAt(1)) {
		base, _ := integerOf(digits, 10).(int64)
		if base < 2 || base > 36 {
			return nil, p.wantAt(at, "a base from 2 to 36")
		}
		p.pos++
		if digits, err = p.digits(int(base)); err != nil {
			return nil, err
		}
		return integerOf(digits, int(base)), nil
	}
	f, ok, err := p.fraction(digits, at)
	if err != nil {
		return nil, err
	}
	if ok {
		return f, nil
	}
	return integerOf(digits, 10), nil
}

func isBaseDigit(c byte) bool { return digitValue(rune(c)) < 36 }

// stringTerm reads one or more string literals, which join.
func (p *erlangParser) stringTerm() (Term, error) {
	var chars List
	for {
		text, err := p.quoted('"')
		if err != nil {
			return nil, err
		}
		chars = append(chars, charsOf(text)...)
		if p.space(); p.peek() != '"' {
			return chars, nil
		}
	}
}

// sigil reads a string of OTP 27: ~"text", ~b"text" are binaries, ~s"text" a list; B and S take backslashes as they are.
func (p *erlangParser) sigil() (Term, error) {
	p.pos++
	kind := byte('b')
	if p.peek() != '"' {
		kind = p.peek()
		if !strings.ContainsRune("bBsS", rune(kind)) || p.peekAt(1) != '"' {
			return nil, p.want(`a string or one of b, B, s, S`)
		}
		p.pos++
	}
	read := p.quoted
	if kind == 'B' || kind == 'S' {
		read = p.verbatim
	}
	text, err := read('"')
	if err != nil {
		return nil, err
	}
	if kind == 'b' || kind == 'B' {
		return []byte(text), nil
	}
	return charsOf(text), nil
}

// quoted reads text up to the same quote.
func (p *erlangParser) quoted(quote byte) (string, error) {
	p.pos++
	var text strings.Builder
	for {
		switch c := p.peek(); {
		case p.pos >= len(p.s):
			return "", p.want("a closing " + string(quote))
		case c == quote:
			p.pos++
			return text.String(), nil
		}
		r, err := p.char()
		if err != nil {
			return "", err
		}
		text.WriteRune(r)
	}
}

// char reads one character of a quoted text or behind $.
func (p *erlangParser) char() (rune, error) {
	r, err := p.rune("a character")
	if err != nil || r != '\\' {
		return r, err
	}
	at := p.pos
	r, err = p.rune("a character behind the backslash")
	if err != nil {
		return 0, err
	}
	if i := strings.IndexRune("bdefnrstv", r); i >= 0 {
		return rune("\b\x7f\x1b\f\n\r \t\v"[i]), nil
	}
	switch {
	case r == 'x':
		return p.hexRune(2)
	case r == '^':
		c, err := p.rune("a character behind ^")
		return c & 31, err
	case '0' <= r && r <= '7':
		p.pos = at
		return p.octal(), nil
	}
	return r, nil
}

// octal reads one to three octal digits.
func (p *erlangParser) octal() (r rune) {
	for range 3 {
		c := p.peek()
		if c < '0' || c > '7' {
			break
		}
		r = r<<3 | rune(c-'0')
		p.pos++
	}
	return r
}
