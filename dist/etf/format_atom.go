package etf

import (
	"fmt"
	"unicode/utf8"
)

// reservedWords are those of erl_scan:reserved_word/1.
var reservedWords = map[Atom]bool{
	"after": true, "and": true, "andalso": true, "band": true, "begin": true, "bnot": true, "bor": true, "bsl": true,
	"bsr": true, "bxor": true, "case": true, "catch": true, "cond": true, "div": true, "end": true, "fun": true,
	"if": true, "let": true, "not": true, "of": true, "or": true, "orelse": true, "receive": true, "rem": true,
	"try": true, "when": true, "xor": true,
}

// appendErlangAtom writes a, in quotes where Erlang needs them.
func appendErlangAtom(dst []byte, a Atom) []byte {
	if isPlainAtom(a) && !reservedWords[a] {
		return append(dst, a...)
	}
	dst = append(dst, '\'')
	for _, r := range a {
		dst = appendErlangChar(dst, r, '\'')
	}
	return append(dst, '\'')
}

// isPlainAtom reports whether a begins with a lower case letter of latin1 and goes on with letters, digits, _ and @.
func isPlainAtom(a Atom) bool {
	for i, r := range a {
		if i == 0 && !isErlangLower(r) || !isErlangNameChar(r) {
			return false
		}
	}
	return a != ""
}

func isErlangLower(r rune) bool {
	return 'a' <= r && r <= 'z' || 'ß' <= r && r <= 'ÿ' && r != '÷'
}

func isErlangUpper(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'À' <= r && r <= 'Þ' && r != '×'
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isErlangNameChar(r rune) bool {
	return isErlangLower(r) || isErlangUpper(r) || isDigit(r) || r == '_' || r == '@'
}

// erlangEscapes are the characters with a letter of their own behind a backslash.
var erlangEscapes = map[rune]byte{
	'\b': 'b', '\t': 't', '\n': 'n', '\v': 'v', '\f': 'f', '\r': 'r', 0x1b: 'e', 0x7f: 'd', '\\': '\\',
}

// appendErlangChar writes r as it stands between these quotes.
func appendErlangChar(dst []byte, r rune, quote rune) []byte {
	if r == quote {
		return append(dst, '\\', byte(quote))
	}
	if r > '\\' && r < 0x7f || r >= ' ' && r < '\\' || r >= 0xA0 {
		return utf8.AppendRune(dst, r)
	}
	if c, ok := erlangEscapes[r]; ok {
		return append(dst, '\\', c)
	}
	return append(dst, '\\', byte(r>>6)+'0', byte(r>>3&7)+'0', byte(r&7)+'0')
}

func typeName(t any) string {
	if t == nil {
		return "nil"
	}
	return fmt.Sprintf("%T", t)
}
