package etf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
)

// Texts of either language. The runtime reads them too, and has to agree, also on which are no terms.
var erlangTexts = []string{
	"a", "'A b'", `'\x{e9}\101\n\'\^a'`, "é", "a@b", "' '", "''", "'fun'",
	"0", "-1", "+1", "- 5", "16#fF", "2#101", "36#Zz", "1_000", "16#ff_ff", "-16#ff", "9223372036854775808", "-9223372036854775808",
	"$a", `$\n`, `$\x{1F600}`, "$ ", "$日", `$\^Z`, `$\101`, `$\\`, "-$a", "$%",
	"1.0", "-1.5e3", "1.5E-3", "1_0.2_5", "0.0", "-0.0", "1.0e+5", "1.7976931348623157e308",
	`""`, `"abc"`, `"a\tb\"\\"`, `"日本"`, `"a" "b"`, "\"a\\\nb\"", "\"a\nb\"", `"\x41\x{e9}\s\d\e"`,
	"[]", "[1,2]", "[1|2]", "[1,2|[3]]", "[a,[b|c]|d]", "[ 1 , 2 ]", "{}", "{a}", "{a,{b,[c]}}", "[[],[]|[]]",
	"#{}", "#{a=>1}", "# {a => 1}", "#{a => 1,b => #{c => [1]}}", "#{1 => 2, 1.0 => 3}",
	"<<>>", "<<1,2>>", "<<256>>", "<<-1>>", `<<"abc">>`, `<<"é">>`, `<<"é"/utf8>>`, `<<"日"/utf16-little>>`, `<<"a"/utf32>>`, "<<5:3>>",
	"<<1:1,2:7>>", "<<1:16/little>>", "<<258:12/little>>", "<<1.5/float>>", "<<1.5:32/float-little>>", "<<1:8/unit:2>>", "<<3:2/integer-unit:4>>",
	"<<$a,$b>>", "<<16#1F600/utf8>>", `<<"ab":16>>`, "<<1:4,<<5:4>>/bitstring>>", "<<<<1,2>>/binary,3>>", "<<<<1,2>>:1/binary>>",
	"<<1/signed>>", "<<1:0>>", "<<2:20/big>>", "<< 1 , 2:4 / little >>", "<<-5:12>>", "<<1.5:64/float>>",
	"fun m:f/1", "fun 'M x':'f'/255", "a % comment", " % first\n b", "{a, % x\n b}",
	// no terms
	"", "A", "_", "a b", "[1", "[1,]", "[|1]", "[1|2,3]", "{1,}", "{1", "#{a}", "#{a =>}", "#{,}", "'abc", `"abc`, "1.e5", "16#", "37#1",
	"1#0", "1__0", "_1", "1_", "2#2", "fun", "fun m", "fun m:f", "fun m:f/", "fun m:f/a", "end", "[end]", "{when}", "1.0e", "1.0e999", "-a", "--1",
	"<<1", "<<1>", "<<a>>", "<<1:a>>", "<<1/foo>>", "<<1.5>>x", "<<55296/utf8>>", "<<1/utf8:8>>", "<<<<1>>:2/binary>>", "<<1:8/utf8>>", ")",
	"a:b", "a.b", "[a;b]", `"\x{110000}"`, `"\xg"`, "#r{a=1}", "a()", "1 + 2", "<<1.5:16/integer>>",
}

func TestParseLikeErlang(t *testing.T) {
	for _, source := range erlangTexts {
		ours, err := etf.Parse(source)
		theirs, ok := termOf(t, "parse", source)
		if !ok {
			require.Error(t, err, "%q became %s", source, etf.Format(ours))
			continue
		}
		if assert.NoError(t, err, "%q, %s for Erlang", source, etf.Format(theirs)) {
			assert.True(t, etf.Equal(theirs, ours), "%q: %s, %s for Erlang", source, etf.Format(ours), etf.Format(theirs))
		}
	}
}

var elixirTexts = []string{
	":a", ":A", `:"a b"`, `:'a b'`, ":a?", ":a!", ":a@b", ":+", ":<<>>", ":{}", ":%{}", ":..", ":é", ":Foo", `:"\n\u00e9"`, ":nil", ":true", ":&&",
	"nil", "true", "false", "Foo", "Foo.Bar", "Elixir", "Elixir.Foo", "Foo.Bar1_x",
	"0", "-1", "+1", "1_000", "0xFF", "0b101", "0o17", "9223372036854775808", "-0xff", "?a", `?\n`, "?日", "?\\s", `?\\`,
	"1.0", "-1.5e3", "1.5e-3", "1_0.2_5", "1.0E5",
	`""`, `"abc"`, `"é\n\t\"\\"`, `"\u00e9\u{1F600}\x41"`, `"\xff"`, `"a\#{b}"`, `"#a"`, "\"a\\\nb\"", `"\a\b\d\e\f\r\s\v\0\z"`,
	`''`, `'abc'`, `'é'`, `~c"abc"`, `~s"abc"`, `~S"a\n#{x}"`, `~C"a\n"`, `~c"\xC3\xA9"`,
	"[]", "[1, 2]", "[1 | 2]", "[1, 2 | [3]]", "[1,]", "[a: 1]", "[a: 1, b: 2]", "[1, a: 2]", `["a b": 1]`, "[a?: 1, b!: 2]", "[nil: 1, Foo: 2]", "[a: [b: {}]]",
	"{}", "{1}", "{1, 2}", "{1, a: 2}", "{1,}", "[+: 1]", "[<<>>: 1]", "[%{}: 1]",
	"%{}", "%{a: 1}", `%{"a" => 1}`, `%{1 => 2, a: 3}`, "%{:a => 1, :b => 2}", "%{a: 1,}", "%{a: 1, a: 2}", "%{[1] => {2}}",
	"<<>>", "<<1, 2>>", `<<"abc">>`, `<<"é">>`, "<<5::3>>", "<<5::size(3)>>", "<<1::16-little>>", "<<1::little-16>>", "<<1.5::float>>", "<<1.5::32-float>>",
	`<<"é"::utf16>>`, "<<?a::utf8>>", "<<1::4, 2::4>>", `<<"ab"::binary>>`, "<<1::size(2)-unit(8)>>", "<<256>>", "<<-1::4>>", "<<1,>>",
	"&Foo.bar/1", "&:lists.map/2", `&:m."a b"/1`, "&Foo.Bar.baz?/0",
	"1 # comment", "[1, # x\n 2]",
	// no terms
	"", "[1", "{1", "[1 | 2, 3]", "[a: 1, 2]", "%{a}", "%{a: 1", `"abc`, "'abc", "1.", "1_", "0x", "0b2", "1.0e", "1.0e999", "[,]", "{,}",
	`"a#{"`, "%", ":", ": a", "&Foo", "Foo.", "<<1", "<<1::foo>>", "<<1::utf8, >", `"\x"`, `"\u12"`, `"\u{110000}"`, "%{1 => }", "1 2", "[a:1]",
}

func TestParseLikeElixir(t *testing.T) {
	for _, source := range elixirTexts {
		ours, err := etf.ParseElixir(source)
		theirs, ok := termOf(t, "elixir", source)
		if source == "" { // an empty program is nil
			ok = false
		}
		if !ok {
			require.Error(t, err, "%q became %s", source, etf.FormatElixir(ours))
			continue
		}
		if assert.NoError(t, err, "%q, %s for Elixir", source, etf.FormatElixir(theirs)) {
			assert.True(t, etf.Equal(theirs, ours), "%q: %s, %s for Elixir", source, etf.FormatElixir(ours), etf.FormatElixir(theirs))
		}
	}
	term, err := etf.ParseElixir("%Foo{a: 1}") // needs the module there
	require.NoError(t, err)
	require.Equal(t, "%Foo{a: 1}", etf.FormatElixir(term))
	require.Equal(t, "#{'__struct__' => 'Elixir.Foo',a => 1}", etf.Format(term))
}

// Syntax of OTP 27.
func TestSigils(t *testing.T) {
	for source, want := range map[string]string{
		`~"a\n"`: `<<"a\n">>`, `~b"é"`: `<<"é"/utf8>>`, `~B"a\n"`: `<<"a\\n">>`, `~s"a\n"`: `"a\n"`, `~S"a\n"`: `"a\\n"`,
	} {
		require.Equal(t, want, etf.Format(parse(t, source)))
	}
	for _, bad := range []string{"~", "~x", `~b`, `~"a`, `~B"a`} {
		_, err := etf.Parse(bad)
		require.Error(t, err, bad)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for source, want := range map[string]string{
		"":                     "column 1: expected an Erlang term, found the end",
		"[1,2":                 "column 5: expected , | or ], found the end",
		"{é, b c}":             `column 7: expected , or }, found "c}"`,
		"#{a = 1}":             `column 5: expected =>, found "="`,
		"[a, B]":               `column 5: expected an Erlang term, found "B]"`,
		"{when}":               `column 2: expected an Erlang term (quote the reserved word), found "when}"`,
		"'abc":                 "column 5: expected a closing ', found the end",
		"40#1":                 `column 1: expected a base from 2 to 36, found "40#1"`,
		"fun m:f/300":          `column 9: expected an arity of at most 255, found "300"`,
		"<<1:8/utf8>>":         `column 3: expected no size, which utf8 has by itself, found "1:8/utf8>>"`,
		"<<0:99999999999999>>": `column 5: expected a size of at most 8388608, found "99999999999999>>"`,
		"a. b":                 `column 4: expected the end, found "b"`,
		"<<1:8388608/unit:256>>": "column 3: expected a segment of at most 8388608 bits, found " +
			`"1:8388608/unit:256>>"`,
	} {
		_, err := etf.Parse(source)
		require.EqualError(t, err, want)
		_, ok := errors.AsType[*etf.SyntaxError](err)
		require.True(t, ok)
	}
	_, err := etf.Parse(strings.Repeat("9", 200_000))
	require.ErrorContains(t, err, "at most 100000 digits")
	_, err = etf.Parse("'" + strings.Repeat("a", 256) + "'")
	require.ErrorContains(t, err, "at most 255 characters")
	require.Less(t, len(err.Error()), 200)
}

func TestParseCall(t *testing.T) {
	for source, want := range map[string]string{
		"lists:map(fun m:f/1, [1, 2])":      "lists:map(fun m:f/1,[1,2])",
		" erlang : node ( ) . ":             "erlang:node()",
		"'A':'b c'()":                       "'A':'b c'()",
		"m:f(#{a => <<1>>}, \"x\", $a, -1)": `m:f(#{a => <<1>>},"x",97,-1)`,
		"Enum.map([1], &Foo.bar/1)":         "'Elixir.Enum':map([1],fun 'Elixir.Foo':bar/1)",
		":erlang.node()":                    "erlang:node()",
		":erlang.node":                      "erlang:node()",
		"Foo.Bar.baz?(1, a: 2)":             "'Elixir.Foo.Bar':'baz?'(1,[{a,2}])",
		"Foo.run!(a: 1, b: nil)":            "'Elixir.Foo':'run!'([{a,1},{b,nil}])",
		"Kernel.+(1, 2)":                    "'Elixir.Kernel':'+'(1,2)",
		`:"my mod"."my fun"("x")`:           `'my mod':'my fun'(<<"x">>)`,
		"Elixir.Foo.f({}, %{}, 'abc')":      `'Elixir.Foo':f({},#{},"abc")`,
		"Foo.f(%{a: 1}, [b: 2])":            "'Elixir.Foo':f(#{a => 1},[{b,2}])",
	} {
		call, err := etf.ParseCall(source)
		require.NoError(t, err, source)
		args := make([]string, len(call.Args))
		for i, a := range call.Args {
			args[i] = etf.Format(a)
		}
		require.Equal(t, want, etf.Format(call.Module)+":"+etf.Format(call.Function)+"("+strings.Join(args, ",")+")")
	}
	for source, want := range map[string]string{
		"":               "column 1: expected mod:fun(Args), Mod.fun(args) or :mod.fun(args), found the end",
		"foo":            "column 4: expected a colon and a function, found the end",
		"foo.bar()":      `column 4: expected a colon and a function, found ".bar()"`,
		"erlang:node":    "column 12: expected (, found the end",
		"fun:f()":        `column 1: expected mod:fun(Args), Mod.fun(args) or :mod.fun(args) (quote the reserved word), found "fun:f()"`,
		"m:f(X)":         `column 5: expected an Erlang term, found "X)"`,
		"m:f(1":          "column 6: expected , or ), found the end",
		"m:f(1,)":        `column 7: expected an Erlang term, found ")"`,
		"m:f() g":        `column 7: expected the end, found "g"`,
		"Foo":            "column 4: expected a dot and a function, found the end",
		"Foo.bar (1)":    `column 9: expected the end, found "(1)"`,
		"Foo.bar(1,)":    `column 11: expected an Elixir term, found ")"`,
		"Foo.Bar":        "column 8: expected a dot and a function, found the end",
		"Foo.bar(x)":     `column 9: expected an Elixir term, found "x)"`,
		"Foo.bar(a: 1,)": `column 14: expected a keyword (they come last), found ")"`,
	} {
		_, err := etf.ParseCall(source)
		require.EqualError(t, err, want, source)
	}
}

func TestFormatOptions(t *testing.T) {
	pid := etf.Pid{Node: "n@h", ID: 5, Serial: 1}
	ref := etf.Ref{Node: "n@h", Len: 2, ID: [5]uint32{1, 2}}
	term := etf.List{pid, ref, etf.Port{Node: "n@h", ID: 7}, etf.Fun{Module: "m", Arity: 2, OldIndex: 3, OldUniq: 4}}
	assert.Equal(t, "[<n@h.5.1>,#Ref<n@h.2.1>,#Port<n@h.7>,#Fun<m.3.4>]", etf.Format(term))
	local := etf.FormatOptions{Node: "n@h"}
	assert.Equal(t, "[<0.5.1>,#Ref<0.2.1>,#Port<0.7>,#Fun<m.3.4>]", local.Format(term))
	assert.Equal(t, "[#PID<0.5.1>, #Reference<0.2.1>, #Port<0.7>, #Function<3.4/2 in :m>]", local.FormatElixir(term))

	short := etf.FormatOptions{MaxBytes: 10}
	assert.Equal(t, `"ab"`, short.Format(parse(t, `"ab"`)))
	for _, text := range []string{
		`"日本日本日本日本"`, "{1,2,3,4,5,6,7,8,9}", "[1,2,3,4,5,6,7,8,a]", "#{a => 1,b => 2,c => 3}", "<<1,2,3,4,5,6,7,8>>", "[{a,1},{b,2},{c,3}]",
		`#{"k" => <<"v">>,"l" => <<"w">>}`, "[aaaaaaaaaaa|bbbbbbbbbbbbbb]",
	} {
		for _, cut := range []string{short.Format(parse(t, text)), short.FormatElixir(parse(t, text))} {
			assert.LessOrEqual(t, len(cut), 13, cut)
			assert.Regexp(t, `^.*\.\.\.$`, cut)
			assert.NotContains(t, cut, "\uFFFD")
		}
	}
	assert.Equal(t, `"日本日...`, short.Format(parse(t, `"日本日本日本日本"`)))
	large := make(etf.List, 1_000_000)
	for i := range large {
		large[i] = int64(1000 + i)
	}
	assert.Less(t, allocated(func() { _ = short.Format(large) }), uint64(4096), "a huge term stops early")
}

func TestFormatElixirCharlists(t *testing.T) {
	for source, want := range map[string]string{
		`"abc"`: `~c"abc"`, `"a\"b\\"`: `~c"a\"b\\"`, `"é"`: "[233]", "[7]": `~c"\a"`, `"#{"`: `~c"\#{"`, "[]": "[]",
		"#{'__struct__' => 'Elixir.Foo',a => 1}":             "%Foo{a: 1}",
		"#{'__struct__' => foo,a => 1}":                      "%{__struct__: :foo, a: 1}",
		"#{'__struct__' => 'Elixir.Foo',\"x\" => 1}":         `%{:__struct__ => Foo, ~c"x" => 1}`,
		"#{'__struct__' => 'Elixir.Foo'}":                    "%Foo{}",
		"'\\x{85}'":                                          `:"\u0085"`,
		"<<\"\\x{202E}\"/utf8>>":                             `"\u202E"`,
		"#{1 => [{a,b}],{x} => 'Elixir.Foo.Bar', a => \"\"}": "%{1 => [a: :b], :a => [], {:x} => Foo.Bar}",
	} {
		require.Equal(t, want, etf.FormatElixir(parse(t, source)))
	}
}
