package etf

// Call is a function call with literal arguments.
type Call struct {
	Module   Atom
	Function Atom
	Args     []Term
}

// ParseCall reads a call in Erlang's syntax, mod:fun(Args), or in Elixir's, Mod.fun(args) and :mod.fun(args). The
// arguments are literals of the same language ([Parse], [ParseElixir]). Elixir's may lack the parentheses when there
// are none; keywords at their end are one list, as in Elixir. Errors are *[SyntaxError].
func ParseCall(text string) (Call, error) {
	if isElixirCall(text) {
		return parseElixirCall(newElixirParser(text))
	}
	return parseErlangCall(newErlangParser(text))
}

// isElixirCall tells in which language a call is.
func isElixirCall(text string) bool {
	s := scanner{s: text, comment: '%'}
	s.space()
	c := s.peek()
	return c == ':' || 'A' <= c && c <= 'Z'
}

func parseErlangCall(p *erlangParser) (c Call, err error) {
	if c.Module, err = p.name("mod:fun(Args), Mod.fun(args) or :mod.fun(args)"); err != nil {
		return Call{}, err
	}
	if !p.accept(":") {
		p.space()
		return Call{}, p.want("a colon and a function")
	}
	if c.Function, err = p.name("a function"); err != nil {
		return Call{}, err
	}
	if err = p.expect("("); err != nil {
		return Call{}, err
	}
	if c.Args, err = p.terms(")"); err != nil {
		return Call{}, err
	}
	p.accept(".")
	if err = p.end(); err != nil {
		return Call{}, err
	}
	return c, nil
}

// name reads an atom that names a module or function, for which fun is no more good than other reserved words.
func (p *erlangParser) name(want string) (Atom, error) {
	p.space()
	at := p.pos
	a, err := p.atom(want)
	if err == nil && a == "fun" && p.s[at] != '\'' {
		return "", p.wantAt(at, want+" (quote the reserved word)")
	}
	return a, err
}

func parseElixirCall(p *elixirParser) (c Call, err error) {
	if c.Module, c.Function, err = p.remote(); err != nil {
		return Call{}, err
	}
	c.Args = []Term{}
	if p.peek() == '(' { // no space: f (x) is something else in Elixir
		p.pos++
		if c.Args, err = p.arguments(")", false); err != nil {
			return Call{}, err
		}
	}
	if err = p.end(); err != nil {
		return Call{}, err
	}
	return c, nil
}
