package etf

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseElixir reads one term in Elixir's syntax, literals only:
//
//	:atom :"quoted" nil Mod.Name -1 0xFF 1_000 ?a 1.5e-3 "binary" 'charlist' ~c"charlist" <<1, "text", 5::3>>
//	[1, 2 | 3] [key: 1] {t, u} %{k => v} %{key: 1} %Mod{key: 1} &Mod.fun/1
//
// A struct becomes the map with the fields given, no defaults: those only its module knows. Errors are *[SyntaxError].
func ParseElixir(text string) (Term, error) {
	p := newElixirParser(text)
	t, err := p.term()
	if err != nil {
		return nil, err
	}
	return t, p.end()
}

type elixirParser struct{ scanner }

func newElixirParser(text string) *elixirParser {
	return &elixirParser{scanner{s: text, comment: '#'}}
}

const wantElixir = "an Elixir term"

func (p *elixirParser) term() (Term, error) {
	p.space()
	r, _ := utf8.DecodeRuneInString(p.s[p.pos:])
	switch c := p.peek(); {
	case c == '[':
		p.pos++
		return p.listTerm()
	case c == '{':
		p.pos++
		elems, err := p.arguments("}", true)
		return Tuple(elems), err
	case c == '%':
		return p.mapTerm()
	case c == ':':
		p.pos++
		return p.atom()
	case c == '"':
		text, err := p.quoted('"')
		return []byte(text), err
	case c == '\'':
		return p.charlist('\'')
	case c == '~':
		return p.sigil()
	case c == '<':
		return p.binaryTerm()
	case c == '&':
		p.pos++
		return p.capture()
	case c == '?':
		p.pos++
		r, err := p.char()
		return int64(r), err
	case c == '-' || c == '+':
		return p.signed()
	case isDigit(rune(c)):
		return p.number()
	case 'A' <= c && c <= 'Z':
		return p.alias()
	case c == '_' && p.pattern:
		p.while(isElixirWordChar)
		return Any{}, nil
	case unicode.IsLetter(r):
		return p.word()
	}
	return nil, p.want(wantElixir)
}

// word reads one of the atoms that need no colon.
func (p *elixirParser) word() (Atom, error) {
	at := p.pos
	switch word := p.while(isElixirWordChar); word {
	case "true", "false", "nil":
		return Atom(word), nil
	}
	p.pos = at
	return "", p.want(wantElixir)
}

func isElixirWordChar(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// signed reads a sign and a number.
func (p *elixirParser) signed() (Term, error) {
	minus := p.peek() == '-'
	p.pos++
	p.space()
	if !isDigit(rune(p.peek())) && p.peek() != '?' {
		return nil, p.want("a number")
	}
	t, err := p.term()
	if err == nil && minus {
		t = negate(t)
	}
	return t, err
}

func (p *elixirParser) number() (Term, error) {
	at := p.pos
	if p.peek() == '0' {
		if i := strings.IndexByte("xob", p.peekAt(1)); i >= 0 {
			base := []int{16, 8, 2}[i]
			p.pos += 2
			digits, err := p.digits(base)
			if err != nil {
				return nil, err
			}
			return integerOf(digits, base), nil
		}
	}
	digits, err := p.digits(10)
	if err != nil {
		return nil, err
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

// alias reads a module name: Mod.Name.
func (p *elixirParser) alias() (Atom, error) {
	at := p.pos
	for {
		if c := p.peek(); c < 'A' || c > 'Z' {
			return "", p.want("a module name")
		}
		p.while(func(r rune) bool { return r < utf8.RuneSelf && isElixirWordChar(r) })
		if next := p.peekAt(1); p.peek() != '.' || next < 'A' || next > 'Z' {
			break
		}
		p.pos++
	}
	name := p.s[at:p.pos]
	if name != "Elixir" && !strings.HasPrefix(name, elixirPrefix) {
		name = elixirPrefix + name
	}
	return p.atomOf(name, at)
}

// name reads an identifier, perhaps with ? or ! at its end. In atoms it may hold @.
func (p *elixirParser) name(at bool) string {
	r, _ := utf8.DecodeRuneInString(p.s[p.pos:])
	if r != '_' && !unicode.IsLetter(r) {
		return ""
	}
	from := p.pos
	p.while(func(r rune) bool {
		return isElixirWordChar(r) || unicode.Is(unicode.Mn, r) || at && r == '@'
	})
	if c := p.peek(); (c == '?' || c == '!') && p.peekAt(1) != '=' {
		p.pos++
	}
	return p.s[from:p.pos]
}

// operator reads the longest operator, or "".
func (p *elixirParser) operator() string {
	const longest = 4
	for n := min(longest, len(p.s)-p.pos); n > 0; n-- {
		if op := p.s[p.pos : p.pos+n]; elixirOperators()[Atom(op)] {
			p.pos += n
			return op
		}
	}
	return ""
}

// atom reads what follows a colon.
func (p *elixirParser) atom() (Atom, error) {
	at := p.pos
	if c := p.peek(); c == '"' || c == '\'' {
		text, err := p.quoted(c)
		if err != nil {
			return "", err
		}
		return p.atomOf(text, at)
	}
	text := p.name(true)
	if text == "" {
		text = p.operator()
	}
	if text == "" {
		return "", p.want("an atom")
	}
	return p.atomOf(text, at)
}

// sigil reads ~c"list" or ~s"binary"; capitals take backslashes as they are.
func (p *elixirParser) sigil() (Term, error) {
	kind := p.peekAt(1)
	if !strings.ContainsRune("cCsS", rune(kind)) || p.peekAt(2) != '"' {
		return nil, p.want(`~c"..." or ~s"..."`)
	}
	p.pos += 2
	switch kind {
	case 'c':
		return p.charlist('"')
	case 's':
		text, err := p.quoted('"')
		return []byte(text), err
	}
	text, err := p.verbatim('"')
	if kind == 'S' {
		return []byte(text), err
	}
	return charsOf(text), err
}

// capture reads what follows &: Mod.fun/1.
func (p *elixirParser) capture() (Term, error) {
	module, function, err := p.remote()
	if err != nil {
		return nil, err
	}
	return p.arity(Export{Module: module, Function: function})
}

// remote reads Mod.fun or :mod.fun.
func (p *elixirParser) remote() (module, function Atom, err error) {
	p.space()
	switch c := p.peek(); {
	case c == ':':
		p.pos++
		module, err = p.atom()
	case 'A' <= c && c <= 'Z':
		module, err = p.alias()
	default:
		if module, err = p.word(); err != nil {
			err = p.want("Mod.fun or :mod.fun")
		}
	}
	if err != nil {
		return "", "", err
	}
	if p.peek() != '.' {
		return "", "", p.want("a dot and a function")
	}
	p.pos++
	at := p.pos
	var text string
	if p.peek() == '"' {
		text, err = p.quoted('"')
	} else if text = p.name(false); text == "" {
		text = p.operator()
	}
	if err == nil && text == "" && p.s[at:p.pos] == "" {
		err = p.want("a function")
	}
	if err != nil {
		return "", "", err
	}
	function, err = p.atomOf(text, at)
	return module, function, err
}
