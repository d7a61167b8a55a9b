package etf_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/beamctl/beamctl/dist/etf"
)

// parse reads Erlang text that is known to be right.
func parse(t require.TestingT, text string) etf.Term {
	term, err := etf.Parse(text)
	require.NoError(t, err, text)
	return term
}

// assigned assigns the term that text says to a new T.
func assigned[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, etf.Assign(parse(t, text), &v), text)
	return v
}

// refused does the same and expects an error of a kind, with the path to the part at fault.
func refused[T any](t *testing.T, text string, kind error, path ...string) {
	t.Helper()
	var v T
	err := etf.Assign(parse(t, text), &v)
	require.ErrorIs(t, err, kind, text)
	e, ok := errors.AsType[*etf.AssignError](err)
	require.True(t, ok)
	require.Equal(t, strings.Join(path, ""), e.Path)
}

type application struct {
	Name    etf.Atom
	Title   string `erl:"description"`
	Version string `erl:"vsn"`
	Hidden  int    `erl:"-"`
	ignored int    // not exported
}

type record struct {
	_    struct{} `erl:",tuple"`
	Tag  etf.Atom
	ID   int
	Opts map[string]int
}

func TestAssignScalars(t *testing.T) {
	assert.True(t, assigned[bool](t, "true"))
	assert.Equal(t, 7, assigned[int](t, "7"))
	assert.Equal(t, int8(-128), assigned[int8](t, "-128"))
	assert.Equal(t, uint8(255), assigned[uint8](t, "255"))
	assert.Equal(t, uint64(math.MaxUint64), assigned[uint64](t, "16#ffffffffffffffff"))
	assert.Equal(t, []float64{1.5, 2}, assigned[[]float64](t, "[1.5,2]"))
	assert.Equal(t, []float32{1.5, 2}, assigned[[]float32](t, "[1.5,2]"))
	assert.Equal(t, "é", assigned[string](t, `<<"é"/utf8>>`))
	assert.Equal(t, "é", assigned[string](t, `"é"`))
	assert.Equal(t, "ok", assigned[string](t, "ok"))
	assert.Empty(t, assigned[string](t, "[]"))
	assert.Equal(t, etf.Atom("ok"), assigned[etf.Atom](t, "ok"))
	assert.Equal(t, etf.Charlist("abc"), assigned[etf.Charlist](t, `"abc"`))
	assert.Equal(t, []byte("abc"), assigned[[]byte](t, `<<"abc">>`))
	assert.Equal(t, []byte("abc"), assigned[[]byte](t, `"abc"`))
	assert.Equal(t, [3]byte{1, 2, 3}, assigned[[3]byte](t, "<<1,2,3>>"))
	assert.Equal(t, big.NewInt(5), assigned[*big.Int](t, "5"))
	assert.Equal(t, *new(big.Int).Lsh(big.NewInt(1), 100), assigned[big.Int](t, "1267650600228229401496703205376"))
	assert.Nil(t, assigned[*big.Int](t, "undefined"))
	assert.Equal(t, etf.Raw{97, 5}, assigned[etf.Raw](t, "5"))
	assert.Equal(t, etf.Export{Module: "m", Function: "f", Arity: 1}, assigned[etf.Export](t, "fun m:f/1"))
	assert.Equal(t, any(int64(5)), assigned[any](t, "5"))

	refused[int8](t, "128", etf.ErrInteger)
	refused[uint](t, "-1", etf.ErrInteger)
	refused[uint8](t, "256", etf.ErrInteger)
	refused[int64](t, "16#ffffffffffffffff", etf.ErrInteger)
	refused[uint64](t, "16#1ffffffffffffffff", etf.ErrInteger)
	refused[float32](t, "1.0e300", etf.ErrFloat)
	refused[int](t, "1.0", etf.ErrType)
	refused[bool](t, "1", etf.ErrType)
	refused[etf.Atom](t, `"ok"`, etf.ErrType)
	refused[string](t, "[1,a]", etf.ErrType)
	refused[string](t, "[-1]", etf.ErrType)
	refused[etf.Pid](t, "ok", etf.ErrType)
	refused[[2]int](t, "[1,2,3]", etf.ErrType)
	refused[chan int](t, "1", etf.ErrType)
	refused[error](t, "1", etf.ErrType)

	require.Error(t, etf.Assign(int64(1), nil))
	require.Error(t, etf.Assign(int64(1), 5))
	require.Error(t, etf.Assign(int64(1), (*int)(nil)))
	require.Error(t, etf.Assign(int64(1), (*etf.Term)(nil)))
}

func TestAssignCompounds(t *testing.T) {
	assert.Equal(t, []int{1, 2}, assigned[[]int](t, "[1,2]"))
	assert.Equal(t, []string{"a", "b"}, assigned[[]string](t, `["a",b]`))
	assert.Equal(t, [2]any{etf.Atom("a"), int64(1)}, assigned[[2]any](t, "{a,1}"))
	assert.Equal(t, map[string]int{"a": 1, "b": 2}, assigned[map[string]int](t, `#{a => 1, <<"b">> => 2}`))
	assert.Equal(t, map[etf.Atom]any{"a": int64(1), "b": etf.Atom("true")}, assigned[map[etf.Atom]any](t, "[{a,1},b,{a,2}]"))
	assert.Equal(t, map[[2]int]bool{{1, 2}: true}, assigned[map[[2]int]bool](t, "#{{1,2} => true}"))

	app := application{Name: "kv", Title: "A store", Version: "1.0"}
	for _, text := range []string{
		`{kv,"A store",<<"1.0">>}`,
		`#{name => kv, description => "A store", vsn => "1.0", extra => x}`,
		`#{<<"name">> => kv, <<"description">> => "A store", <<"vsn">> => "1.0"}`,
		`[{name,kv},{description,"A store"},{vsn,"1.0"},{vsn,"2.0"},started]`,
	} {
		assert.Equal(t, app, assigned[application](t, text), text)
	}
	kept := application{Version: "old", Hidden: 2, ignored: 3}
	require.NoError(t, etf.Assign(parse(t, "#{name => kv, ignored => 4, hidden => 5}"), &kept))
	assert.Equal(t, application{Name: "kv", Version: "old", Hidden: 2, ignored: 3}, kept)

	list := assigned[[]*record](t, "[{r,1,#{a => 1}},undefined,nil]")
	assert.Equal(t, []*record{{Tag: "r", ID: 1, Opts: map[string]int{"a": 1}}, nil, nil}, list)

	refused[record](t, "{r,x,#{}}", etf.ErrType, ".ID")
	refused[[]record](t, "[{r,1,#{}},{r,1,#{a => 1.5}}]", etf.ErrType, "[1].Opts[a]")
	refused[map[int]int](t, "#{a => 1}", etf.ErrType, "(key)")
	refused[map[any]int](t, "#{[] => 1}", etf.ErrType, "(key)")
	refused[record](t, "{r,1}", etf.ErrType)
	refused[record](t, "[1]", etf.ErrType)
	refused[map[string]int](t, "[{a,1,2}]", etf.ErrType)
	refused[map[string]int](t, `#{a => 1, <<"a">> => 2}`, etf.ErrDuplicateKey)
	require.EqualError(t, etf.Assign(parse(t, "[1,two]"), new([]int)),
		"etf: cannot assign two to int at [1]: the term is of another kind")
}

// celsius has its own idea of its term.
type celsius float64

func (c celsius) AppendETF(dst []byte) ([]byte, error) {
	return etf.Append(dst, etf.Tuple{etf.Atom("celsius"), float64(c)})
}

func (c *celsius) AssignETF(t etf.Term) error {
	var pair struct {
		Unit   etf.Atom
		Degree float64
	}
	if err := etf.Assign(t, &pair); err != nil {
		return err
	}
	*c = celsius(pair.Degree)
	return nil
}

func TestOwnTypes(t *testing.T) {
	type weather struct{ Now, Later celsius }
	in := weather{20, 15.5}
	b := marshal(t, in)
	require.Equal(t, "#{later => {celsius,15.5},now => {celsius,20.0}}", etf.Format(unmarshal(t, b)))
	var out weather
	require.NoError(t, etf.Unmarshal(b, &out))
	require.Equal(t, in, out)
	require.True(t, etf.Equal(in, unmarshal(t, b)))
	require.Equal(t, "{celsius,20.0}", etf.Format(celsius(20)))
}

// TestGoTypes writes what is no Term and reads it back.
func TestGoTypes(t *testing.T) {
	type named string
	for _, c := range []struct {
		v    any
		text string
	}{
		{uint8(5), "5"},
		{uint16(300), "300"},
		{uint32(1 << 31), "2147483648"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{uint(7), "7"},
		{int8(-1), "-1"},
		{int16(-300), "-300"},
		{int32(-70000), "-70000"},
		{5, "5"},
		{uintptr(1), "1"},
		{float32(1.5), "1.5"},
		{true, "true"},
		{false, "false"},
		{"é", `<<"é"/utf8>>`},
		{named("x"), `<<"x">>`},
		{etf.Charlist("abc"), `"abc"`},
		{etf.Charlist("日本"), `"日本"`},
		{etf.Charlist(""), "[]"},
		{big.NewInt(5), "5"},
		{big.NewInt(-1 << 40), "-1099511627776"},
		{[]any{1, "a"}, `[1,<<"a">>]`},
		{[]string{}, "[]"},
		{[]int{1, 2}, "[1,2]"},
		{[2]bool{true}, "[true,false]"},
		{map[string]int{"b": 2, "a": 1}, `#{<<"a">> => 1,<<"b">> => 2}`},
		{map[etf.Atom]any{}, "#{}"},
		{(*int)(nil), "undefined"},
		{new(int), "0"},
		{etf.Raw{97, 9}, "9"},
		{application{Name: "kv", Title: "x"}, `#{description => <<"x">>,name => kv,vsn => <<>>}`},
		{record{Tag: "r", ID: 4}, `{r,4,#{}}`},
		{etf.Bitstring{Bytes: []byte{0xff}, Bits: 3}, "<<7:3>>"},
		{etf.Bitstring{Bytes: []byte("ab"), Bits: 8}, `<<"ab">>`},
	} {
		require.Equal(t, c.text, etf.Format(c.v))
		require.True(t, etf.Equal(c.v, unmarshal(t, marshal(t, c.v))), c.text)
		require.False(t, etf.Equal(c.v, etf.Atom("other")))
	}
	require.Equal(t, "#Go<chan int>", etf.Format(make(chan int)))
	require.False(t, etf.Equal(make(chan int), etf.Atom("x")))
	require.False(t, etf.Equal(nil, nil), "no term")
}

func TestEqual(t *testing.T) {
	for _, c := range [][2]string{
		{"1", "1.0"},
		{"0.0", "-0.0"},
		{"a", `"a"`},
		{"[]", "{}"},
		{"#{}", "{}"},
		{`<<"a">>`, "a"},
		{"[1|2]", "[1,2]"},
		{"<<1:1>>", "<<1:2>>"},
		{"<<1:7>>", "<<2>>"},
		{"#{a => 1}", "#{a => 2}"},
		{"#{a => 1}", "#{b => 1}"},
		{"16#ffffffffffffffff", "16#fffffffffffffffe"},
		{"fun m:f/1", "fun m:f/2"},
	} {
		a, b := parse(t, c[0]), parse(t, c[1])
		require.False(t, etf.Equal(a, b), "%v", c)
		require.False(t, etf.Equal(b, a), "%v", c)
		require.True(t, etf.Equal(a, parse(t, c[0])))
	}
	require.True(t, etf.Equal(parse(t, "#{a => 1,#{x => y,z => 1.0} => 2}"), parse(t, "#{#{z => 1.0,x => y} => 2,a => 1}")))

	rapid.Check(t, func(t *rapid.T) {
		term := terms(3, false).Draw(t, "term")
		other := terms(3, false).Draw(t, "other")
		want := ask(t, "same", etf.Tuple{marshal(t, term), marshal(t, other)}) == etf.Term(etf.Atom("true"))
		require.Equal(t, want, etf.Equal(term, other))
	})
}

func TestLookups(t *testing.T) {
	m := parse(t, `#{a => 1, "s" => 2, #{} => 3}`).(etf.Map)
	got, ok := m.Get(parse(t, `"s"`))
	require.True(t, ok)
	require.EqualValues(t, 2, got)
	_, ok = m.Get(etf.Atom("b"))
	require.False(t, ok)

	l := parse(t, `[x,{a,1},{a,2},{b,1,2},c,"text"]`).(etf.List)
	got, ok = l.Lookup("a")
	require.True(t, ok)
	require.EqualValues(t, 1, got)
	got, ok = l.Lookup("c")
	require.True(t, ok)
	require.Equal(t, etf.Atom("true"), got)
	_, ok = l.Lookup("b")
	require.False(t, ok)
}
