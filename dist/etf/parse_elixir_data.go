package etf

import (
	"strings"
	"unicode/utf8"
)

// listTerm reads what follows a bracket.
func (p *elixirParser) listTerm() (Term, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var elems List
	for !p.accept("]") {
		pairs, err := p.keywords("]", true)
		if err != nil {
			return nil, err
		}
		if pairs != nil {
			return append(elems, pairs...), nil
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		elems = append(elems, t)
		if p.accept("|") {
			tail, err := p.term()
			if err != nil {
				return nil, err
			}
			return cons(elems, tail), p.expect("]")
		}
		if err := p.separator("]"); err != nil {
			return nil, err
		}
	}
	return elems, nil
}

// separator passes over a comma; the closing token may stand in its place and is left.
func (p *elixirParser) separator(closing string) error {
	if p.accept(",") {
		return nil
	}
	p.space()
	if strings.HasPrefix(p.s[p.pos:], closing) {
		return nil
	}
	return p.want(", or " + closing)
}

// arguments reads terms up to the closing token. Keywords at the end are one more term, a list.
func (p *elixirParser) arguments(closing string, trailingComma bool) ([]Term, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	elems := []Term{}
	for !p.accept(closing) {
		pairs, err := p.keywords(closing, trailingComma)
		if err != nil {
			return nil, err
		}
		if pairs != nil {
			return append(elems, pairs), nil
		}
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		elems = append(elems, t)
		if err := p.separator(closing); err != nil {
			return nil, err
		}
		if !trailingComma && p.s[p.pos-1] == ',' && p.accept(closing) {
			return nil, p.wantAt(p.pos-len(closing), wantElixir)
		}
	}
	return elems, nil
}

// keywords reads key: value pairs and the closing token, or nothing if no key comes next.
func (p *elixirParser) keywords(closing string, trailingComma bool) (List, error) {
	var pairs List
	for {
		key, ok, err := p.keyword()
		if err != nil {
			return nil, err
		}
		if !ok {
			if pairs == nil {
				return nil, nil
			}
			return nil, p.want("a keyword (they come last)")
		}
		value, err := p.term()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, Tuple{key, value})
		if p.accept(closing) {
			return pairs, nil
		}
		if !p.accept(",") {
			p.space()
			return nil, p.want(", or " + closing)
		}
		if trailingComma && p.accept(closing) {
			return pairs, nil
		}
	}
}

// keyword reads a key with its colon, or nothing. Space has to follow: &:a is no key.
func (p *elixirParser) keyword() (key Atom, ok bool, err error) {
	p.space()
	at := p.pos
	var text string
	switch c := p.peek(); c {
	case '"', '\'':
		if text, err = p.quoted(c); err != nil {
			return "", false, err
		}
	default:
		if text = p.name(true); text == "" {
			text = p.operator()
		}
	}
	if text == "" && p.pos == at || p.peek() != ':' || !isSpace(p.peekAt(1)) {
		p.pos = at
		return "", false, nil
	}
	p.pos++
	key, err = p.atomOf(text, at)
	return key, true, err
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// mapTerm reads %{...} and %Mod{...}.
func (p *elixirParser) mapTerm() (Term, error) {
	p.pos++
	m := Map{}
	if c := p.peek(); 'A' <= c && c <= 'Z' {
		name, err := p.alias()
		if err != nil {
			return nil, err
		}
		m = append(m, MapEntry{structKey, name})
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	for !p.accept("}") {
		pairs, err := p.keywords("}", true)
		if err != nil {
			return nil, err
		}
		if pairs != nil {
			for _, pair := range pairs {
				m = append(m, MapEntry{pair.(Tuple)[0], pair.(Tuple)[1]})
			}
			break
		}
		key, err := p.term()
		if err != nil {
			return nil, err
		}
		if err := p.expect("=>"); err != nil {
			return nil, err
		}
		value, err := p.term()
		if err != nil {
			return nil, err
		}
		m = append(m, MapEntry{key, value})
		if err := p.separator("}"); err != nil {
			return nil, err
		}
	}
	return lastWins(m), nil
}

// binaryTerm reads <<...>>.
func (p *elixirParser) binaryTerm() (Term, error) { return p.bits(true, p.segment) }

// segment reads Value[::Type-Type], where a type may be a size: 16, size(16), unit(8).
func (p *elixirParser) segment() (g segment, err error) {
	g.size = -1
	if p.peek() == '"' {
		g.value, err = p.quoted('"')
	} else {
		g.value, err = p.term()
	}
	if err != nil {
		return g, err
	}
	for more := p.accept("::"); more; more = p.accept("-") {
		if err := p.specifier(&g); err != nil {
			return g, err
		}
	}
	if text, ok := g.value.(string); ok && (g.kind == "binary" || g.kind == "bitstring") {
		g.value = []byte(text)
	}
	if g.kind == "" { // literals in a binary are what they look like
		switch g.value.(type) {
		case string:
			g.kind = "utf8"
		case []byte:
			g.kind = "binary"
		case Bitstring:
			g.kind = "bitstring"
		}
	}
	return g, nil
}

// specifier reads one of the types behind a segment's ::, or a size in the place of one.
func (p *elixirParser) specifier(g *segment) (err error) {
	p.space()
	at := p.pos
	if isDigit(rune(p.peek())) {
		g.size, err = p.size("a size")
		return err
	}
	spec := p.while(isElixirWordChar)
	if (spec == "size" || spec == "unit") && p.accept("(") {
		n, err := p.size("a " + spec)
		if err != nil {
			return err
		}
		if err := p.expect(")"); err != nil {
			return err
		}
		if spec == "size" {
			g.size = n
		} else if g.unit = n; n < 1 || n > 256 {
			return p.wantAt(at, "a unit from 1 to 256")
		}
		return nil
	}
	if !g.set(spec) {
		return p.wantAt(at, "a size or one of integer, float, binary, bitstring, utf8, utf16, utf32, little, big")
	}
	return nil
}

// quoted reads text up to the same quote. Interpolation is not literal and refused.
func (p *elixirParser) quoted(quote byte) (string, error) {
	p.pos++
	var text strings.Builder
	for {
		switch c := p.peek(); {
		case p.pos >= len(p.s):
			return "", p.want("a closing " + string(quote))
		case c == quote:
			p.pos++
			return text.String(), nil
		case c == '#' && p.peekAt(1) == '{':
			return "", p.want(`a literal text (write \#{ for the characters)`)
		case c == '\\' && p.peekAt(1) == '\n': // a line goes on
			p.pos += 2
			continue
		case c == '\\' && p.peekAt(1) == 'x' && p.peekAt(2) != '{': // a byte, not a character
			p.pos += 2
			r, err := p.hexRune(2)
			if err != nil {
				return "", err
			}
			text.WriteByte(byte(r))
			continue
		}
		r, err := p.char()
		if err != nil {
			return "", err
		}
		text.WriteRune(r)
	}
}

// charlist reads text up to the same quote as a list of code points.
func (p *elixirParser) charlist(quote byte) (Term, error) {
	at := p.pos
	text, err := p.quoted(quote)
	if err == nil && !utf8.ValidString(text) {
		err = p.wantAt(at, "a charlist of UTF-8")
	}
	return charsOf(text), err
}

// char reads one character of a quoted text or behind ?.
func (p *elixirParser) char() (rune, error) {
	r, err := p.rune("a character")
	if err != nil || r != '\\' {
		return r, err
	}
	if r, err = p.rune("a character behind the backslash"); err != nil {
		return 0, err
	}
	if i := strings.IndexRune("0abdefnrstv", r); i >= 0 {
		return rune("\x00\a\b\x7f\x1b\f\n\r \t\v"[i]), nil
	}
	switch r {
	case 'x':
		return p.hexRune(2)
	case 'u':
		return p.hexRune(4)
	}
	return r, nil
}
