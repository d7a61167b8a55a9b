package etf_test

import (
	"fmt"

	"github.com/beamctl/beamctl/dist/etf"
)

func ExampleMarshal() {
	b, err := etf.Marshal(etf.Tuple{etf.Atom("ok"), 42, "text", []any{1.5}})
	fmt.Printf("%d %v\n", b, err)
	// Output: [131 104 4 119 2 111 107 97 42 109 0 0 0 4 116 101 120 116 108 0 0 0 1 70 63 248 0 0 0 0 0 0 106] <nil>
}

func ExampleUnmarshal() {
	b, err := etf.Marshal(etf.Map{{Key: etf.Atom("name"), Value: etf.Atom("kv")}, {Key: etf.Atom("vsn"), Value: etf.Charlist("1.2")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var app struct {
		Name    etf.Atom
		Version string `erl:"vsn"`
	}
	err = etf.Unmarshal(b, &app)
	fmt.Println(app.Name, app.Version, err)
	// Output: kv 1.2 <nil>
}

func ExampleAppend() {
	frame, err := etf.Append([]byte("header "), etf.Atom("ok"))
	fmt.Printf("%q %v\n", frame, err)
	// Output: "header w\x02ok" <nil>
}

func ExampleDecode() {
	term, rest, err := etf.Decode([]byte{104, 2, 119, 2, 'o', 'k', 97, 42, 106})
	fmt.Println(etf.Format(term), len(rest), err)
	// Output: {ok,42} 1 <nil>
}

func ExampleSkip() {
	b := []byte{104, 2, 119, 2, 'o', 'k', 97, 42, 106}
	n, err := etf.Skip(b)
	reply, _ := etf.Append(nil, etf.Tuple{etf.Atom("reply"), etf.Raw(b[:n])})
	term, _, _ := etf.Decode(reply)
	fmt.Println(etf.Format(term), err)
	// Output: {reply,{ok,42}} <nil>
}

func ExampleAssign() {
	term, err := etf.Parse(`[{kernel,"ERTS  CXC 138 10","8.5.3"},{stdlib,"ERTS  CXC 138 10","4.2"}]`)
	if err != nil {
		fmt.Println(err)
		return
	}
	var apps []struct{ Name, Description, Version string }
	err = etf.Assign(term, &apps)
	fmt.Println(apps[1].Name, apps[1].Version, err)
	// Output: stdlib 4.2 <nil>
}

func ExampleFormat() {
	term := etf.Tuple{etf.Atom("error"), etf.Map{{Key: []byte("a"), Value: etf.List{int64('h'), int64('i')}}}, etf.Atom("Elixir.Foo")}
	fmt.Println(etf.Format(term))
	fmt.Println(etf.FormatElixir(term))
	// Output:
	// {error,#{<<"a">> => "hi"},'Elixir.Foo'}
	// {:error, %{"a" => ~c"hi"}, Foo}
}

func ExampleParse() {
	term, err := etf.Parse(`{ok, [16#ff, $a, "text"], #{k => <<1:4>>}}.`)
	fmt.Println(etf.Format(term), err)
	_, err = etf.Parse(`{ok, [1, 2}`)
	fmt.Println(err)
	// Output:
	// {ok,[255,97,"text"],#{k => <<1:4>>}} <nil>
	// column 11: expected , | or ], found "}"
}

func ExampleParseElixir() {
	term, err := etf.ParseElixir(`{:ok, "text", [key: nil]}`)
	fmt.Println(etf.Format(term), err)
	// Output: {ok,<<"text">>,[{key,nil}]} <nil>
}

func ExampleParseCall() {
	for _, source := range []string{"lists:nth(1, [a, b])", "Enum.at([:a, :b], 0)"} {
		call, err := etf.ParseCall(source)
		fmt.Println(call.Module, call.Function, etf.Format(etf.List(call.Args)), err)
	}
	// Output:
	// lists nth [1,[a,b]] <nil>
	// Elixir.Enum at [[a,b],0] <nil>
}

func ExampleEqual() {
	a, _ := etf.Parse("#{a => 1,b => [2]}")
	b, _ := etf.Parse("#{b => [2],a => 1}")
	fmt.Println(etf.Equal(a, b), etf.Equal(int64(1), 1.0))
	// Output: true false
}
