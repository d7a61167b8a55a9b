package diagnose

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	r := NewRedactor("COOKIEMONSTER", "abc", "line one\nline two", "")
	for in, want := range map[string]string{
		"nothing here":                                   "nothing here",
		"a COOKIEMONSTER b":                              "a [removed] b",
		"abc":                                            "abc", // too short to be looked for
		"x line two y":                                   "x [removed] y",
		`password: "hunter2", user: "joe"`:               `password: [removed], user: "joe"`,
		`#{password => <<"hunter2">>,n => 1}`:            `#{password => [removed],n => 1}`,
		`[{password,<<"hunter2">>},{n,1}]`:               `[{password,[removed]},{n,1}]`,
		`{db_password, "hun\"ter2"}`:                     `{db_password, [removed]}`,
		"DB_PASSWORD=hunter2 COLOUR=red":                 "DB_PASSWORD=[removed] COLOUR=red",
		"api_key: hunter2":                               "api_key: [removed]",
		`{"secret_token":"hunter2","a":1}`:               `{"secret_token":[removed],"a":1}`,
		"erl -name a@b -setcookie hunter2 -noshell":      "erl -name a@b -setcookie [removed] -noshell",
		"iex --cookie hunter2":                           "iex --cookie [removed]",
		"Authorization: Bearer hunter2":                  "Authorization: Bearer [removed]",
		"postgres://app:hunter2@db/prod":                 "postgres://app:[removed]@db/prod",
		"http://h:4000/path@x":                           "http://h:4000/path@x",
		"erlang:set_cookie(node(), hunter2)":             "erlang:set_cookie(node(), [removed])",
		"%{token: 'hunter2'}":                            "%{token: [removed]}",
		"the cookie file was read, --cookie-file /a/b/c": "the cookie file was read, --cookie-file /a/b/c",
	} {
		assert.Equal(t, want, r.Text(in))
	}
}

func TestRedactLines(t *testing.T) {
	t.Parallel()
	in := "one\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\ntwo\r\n" +
		"2026-11-22T10:00:00.000Z  state #{token =>\n2026-11-22T10:00:00.001Z               <<\"hunter2\">>, n => 1}\n" +
		strings.Repeat("x", maxLine-8) + " hunter2password\nlast"
	var out bytes.Buffer
	require.NoError(t, NewRedactor("hunter2password").Copy(&out, strings.NewReader(in)))
	assert.NotContains(t, out.String(), "MIIE")
	assert.NotContains(t, out.String(), "hunter2")
	lines := strings.Split(out.String(), "\n")
	assert.Equal(t, []string{"one", removed, "two", "2026-11-22T10:00:00.000Z  state #{token =>", "2026-11-22T10:00:00.001Z               [removed], n => 1}"}, lines[:5])
	assert.Contains(t, lines[5], "bytes more)")
	assert.Equal(t, "last", lines[6])
}

func FuzzRedact(f *testing.F) {
	f.Add("password: \"x\"\nCOOKIEMONSTER")
	f.Add("-----BEGIN PRIVATE KEY-----\nCOOKIEMONSTER\n-----END PRIVATE KEY-----")
	f.Add("=proc_heap:<0.1.0>\nCOOKIEMONSTER\n=proc:<0.2.0>\nName: COOKIEMONSTER\n")
	f.Fuzz(func(t *testing.T, s string) {
		hide := NewRedactor("COOKIEMONSTER")
		var text, dump bytes.Buffer
		if err := hide.Copy(&text, strings.NewReader(s)); err != nil {
			t.Fatal(err)
		}
		if err := copyDump(&dump, strings.NewReader(s), hide); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text.String()+dump.String()+hide.Text(s), "COOKIEMONSTER") {
			t.Fatalf("%q", s)
		}
	})
}
