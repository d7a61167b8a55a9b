package etf

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// elixirPrefix begins the atoms that are Elixir's module names: Foo.Bar is 'Elixir.Foo.Bar'.
const elixirPrefix = "Elixir."

// elixirOperators are the atoms besides identifiers that Elixir writes without quotes (Macro.classify_atom/1).
var elixirOperators = sync.OnceValue(func() map[Atom]bool {
	return wordSet(`! != !== && &&& & * ** + ++ +++ - -- --- -> . .. ... / < <- <<< <<>> <<~ <= <> <|> <~ <~>
		= == === =~ > >= >>> @ \\ ^ ^^^ {} %{} % | |> || ||| ~> ~>> ~~~ ..//`)
})

func wordSet(words string) map[Atom]bool {
	set := map[Atom]bool{}
	for w := range strings.FieldsSeq(words) {
		set[Atom(w)] = true
	}
	return set
}

// aliasPattern is compiled when it is first used: a program that prints no Elixir starts faster.
var aliasPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^Elixir(\.[A-Z][A-Za-z0-9_]*)*$`) })

// isAlias reports whether a is a module name that Elixir writes as one.
func isAlias(a Atom) bool {
	return strings.HasPrefix(string(a), "Elixir") && aliasPattern().MatchString(string(a))
}

// isElixirIdentifier reports whether a needs no quotes: a letter or _, then letters, digits, _ and, in atoms, @; ? or !
// may end it. Letters are Unicode's, except for the ordinals ª and º, which Elixir does not normalise.
func isElixirIdentifier(a Atom, at bool) bool {
	body := string(a)
	if n := len(body); n > 1 && (body[n-1] == '?' || body[n-1] == '!') {
		body = body[:n-1]
	}
	for i, r := range body {
		letter := r == '_' || unicode.IsLetter(r) && r != 'ª' && r != 'º'
		rest := unicode.IsDigit(r) || unicode.Is(unicode.Mn, r) || at && r == '@'
		if !letter && (i == 0 || !rest) {
			return false
		}
	}
	return body != "" && isOneScript(body)
}

// scriptSets are the writing systems that may mix in one identifier (UTS 39, "highly restrictive"); any other script
// stays alone.
var scriptSets = [][]*unicode.RangeTable{
	{unicode.Latin, unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Latin, unicode.Han, unicode.Bopomofo},
	{unicode.Latin, unicode.Han, unicode.Hangul},
}

// isOneScript reports whether Elixir would take the letters of s for one script: it refuses to read others unquoted.
func isOneScript(s string) bool {
	fits := func(set ...*unicode.RangeTable) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLetter(r) && !unicode.In(r, set...) })
	}
	if fits(unicode.Latin) {
		return true
	}
	for _, set := range scriptSets {
		if fits(set...) {
			return true
		}
	}
	first := strings.IndexFunc(s, unicode.IsLetter)
	for _, script := range unicode.Scripts {
		if r, _ := utf8.DecodeRuneInString(s[first:]); unicode.Is(script, r) {
			return fits(script)
		}
	}
	return false
}

func appendElixirAtom(dst []byte, a Atom) []byte {
	switch {
	case a == "true" || a == "false" || a == "nil":
		return append(dst, a...)
	case a == "Elixir":
		return append(dst, a...)
	case isAlias(a):
		return append(dst, a[len(elixirPrefix):]...)
	case isElixirIdentifier(a, true) || elixirOperators()[a]:
		return append(append(dst, ':'), a...)
	}
	return appendElixirQuoted(append(dst, ':'), string(a))
}

// appendElixirKey writes a as the key of a keyword list: name and colon.
func appendElixirKey(dst []byte, a Atom) []byte {
	if isElixirIdentifier(a, true) && a != "Elixir" || elixirOperators()[a] && a != "..//" && a != "->" {
		return append(append(dst, a...), ':')
	}
	return append(appendElixirQuoted(dst, string(a)), ':')
}

// notCallable are the atoms that need no quotes, except as the name of a function.
var notCallable = wordSet(`. .. ... ..// -> {} %{} <<>> %`)

// appendElixirFunction writes a as a function's name behind a dot.
func appendElixirFunction(dst []byte, a Atom) []byte {
	first, _ := utf8.DecodeRuneInString(string(a))
	if isElixirIdentifier(a, false) && !unicode.IsUpper(first) || elixirOperators()[a] && !notCallable[a] {
		return append(dst, a...)
	}
	return appendElixirQuoted(dst, string(a))
}

func appendElixirQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		dst = appendElixirChar(dst, r)
	}
	return append(dst, '"')
}

// elixirEscapes are the characters with a letter of their own behind a backslash.
var elixirEscapes = map[rune]string{
	0: `\0`, '\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`, 0x1b: `\e`, 0x7f: `\d`,
	'\\': `\\`, '"': `\"`,
}

// appendElixirChar writes r as it stands between double quotes. A # is escaped only where it would begin an
// interpolation: that is seen when the brace comes.
func appendElixirChar(dst []byte, r rune) []byte {
	if s, ok := elixirEscapes[r]; ok {
		return append(dst, s...)
	}
	switch {
	case r == '{' && len(dst) > 0 && dst[len(dst)-1] == '#':
		return append(dst[:len(dst)-1], `\#{`...)
	case r < ' ':
		return fmt.Appendf(dst, `\x%02X`, r)
	case 0x80 <= r && r < 0xA0 || r == 0xFEFF || isBidi(r):
		return fmt.Appendf(dst, `\u%04X`, r)
	}
	return utf8.AppendRune(dst, r)
}

// isBidi reports the characters that reorder text around them: printed raw they could hide what a term says.
func isBidi(r rune) bool {
	return 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069
}
