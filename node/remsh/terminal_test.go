package remsh

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/dist/etf"
	"github.com/beamctl/beamctl/node"
)

// What a user does in an Erlang shell, on every release.
func TestErlang(t *testing.T) {
	onReleases(t, Erlang, func(t *testing.T, x *target) {
		u := x.sit(x.open(""), 70, 20)
		processes := x.count("process_count")
		u.enter("1 + 2.", "3")

		// In the middle of a line, and history.
		u.types("4 + 5." + left + left + "1")
		u.Wait(t, u.ps("4 + 15."))
		u.types("\r")
		u.line++
		u.ready("19")
		u.types(up + up)
		u.Wait(t, u.ps("1 + 2."))
		u.types(down + ctrlA + right + right + right + right + ctrlK + "6." + ctrlA + "X = " + ctrlE)
		u.Wait(t, u.ps("X = 4 + 6."))
		u.types("\r")
		u.line++
		u.ready("10")
		u.types("atom one" + ctrlW)
		u.Wait(t, u.ps("atom"))
		u.types("\x7f\x7f\x7f\x7f\x7f")
		u.ready()

		// Completion, of a name and as a list.
		u.types("lists:dropw\t")
		u.Wait(t, u.ps("lists:dropwhile("))
		u.types(ctrlA + ctrlK + "lists:key\t")
		u.Until(t, "keyfind", func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), "keyfind") })
		u.types(ctrlA + ctrlK)
		u.ready()

		// Wide characters, in the line and as a result.
		u.types("\"日本\"." + left + left + left + "é")
		u.Wait(t, u.ps(`"日é本".`))
		u.types("\r")
		u.line++
		u.ready("[26085,233,26412]")
		u.enter(`io:format("~ts~n", [[26085, 26412]]).`, "日本", "ok")

		// Several lines. What is printed meanwhile goes above.
		u.types("begin\r1 +\r")
		u.Until(t, "the third line", func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), "1 +") })
		u.types("1 end.\r")
		u.line++
		u.ready("2")
		u.types("half a li")
		u.Wait(t, u.ps("half a li"))
		x.say("printed by another\n")
		u.Wait(t, "printed by another", u.ps("half a li"))
		u.types("ne")
		u.Wait(t, u.ps("half a line"))

		// Interrupting: the line, and an endless loop.
		u.types(ctrlC)
		u.Until(t, "a new prompt", func(lines []string) bool {
			return strings.Contains(strings.Join(lines, "\n"), u.ps("half a line")+"\n") && lines[len(lines)-1] == u.ps()
		})
		u.types("(fun F() -> F() end)().\r")
		u.Wait(t, u.ps("(fun F() -> F() end)()."))
		u.types(ctrlC)
		u.line++
		u.ready("** exception exit: killed")
		u.enter("X.", "10")

		// Pasted: tabs do not complete, control characters do nothing.
		u.types("\x1b[200~lists:\tsum([1,\t2" + ctrlD + ctrlC + "]).\x1b[201~")
		u.Wait(t, u.ps("lists:  sum([1,  2])."))
		u.types("\r")
		u.line++
		u.ready("3")

		u.types(ctrlG)
		u.Until(t, "the menu", func(lines []string) bool { return strings.HasPrefix(lines[len(lines)-1], "(c)ontinue") })
		u.types("c")
		u.ready()

		// The prompt that comes again below a list of completions is one that Ctrl-D leaves at, once it is empty.
		u.types("lists:key\t")
		u.Until(t, "the list, and the line again", func(lines []string) bool {
			return strings.Contains(strings.Join(lines, "\n"), "keymerge") && slices.Contains(lines, u.ps("lists:key"))
		})
		u.types(ctrlA + ctrlK)
		u.ready()
		u.types(ctrlD)
		require.NoError(t, u.left())
		x.eventually("no process is left", func() bool { return x.count("process_count") < processes })
	})
}

// say prints from a process of the shell's group.
func (x *target) say(text string) {
	x.t.Helper()
	x.call("io", "put_chars", x.group(), []byte(text))
}

// The same with IEx, where the release has it.
func TestIEx(t *testing.T) {
	onReleases(t, Elixir, func(t *testing.T, x *target) {
		u := x.sit(x.open(""), 70, 20)
		processes := x.count("process_count")
		u.enter("1 + 2", "3")
		u.types("4 + 5" + left + "1")
		u.Wait(t, u.ps("4 + 15"))
		u.types("\r")
		u.line++
		u.ready("19")
		u.types(up + up + ctrlA + "value = " + ctrlE)
		u.Wait(t, u.ps("value = 1 + 2"))
		u.types("\r")
		u.line++
		u.ready("3")
		u.types("Enum.frequ\t")
		u.Until(t, "frequencies, or a list of it", func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), "Enum.frequencies") })
		u.types(ctrlA + ctrlK)
		u.ready()
		u.enter(`"日本" <> "x"`, `"日本x"`)
		u.types("Enum.map([1, 2], fn x ->\rx * 2\rend)\r")
		u.line++
		u.ready("[2, 4]")
		u.types("Process.sleep(:infinity)\r")
		u.Wait(t, u.ps("Process.sleep(:infinity)"))
		u.types(ctrlC)
		u.Until(t, "interrupted", func(lines []string) bool {
			return strings.Contains(strings.Join(lines, "\n"), "** (EXIT) interrupted") && lines[len(lines)-1] == u.ps()
		})
		u.enter("6 * 7", "42") // its variables are gone with what it evaluated
		u.types(ctrlD)
		require.NoError(t, u.left())
		x.eventually("no process is left", func() bool { return x.count("process_count") < processes })
	})
}

// However a session ends, and whatever the shell does at that moment, nothing is left on the node: no process, and after the first
// session no more atoms.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, r := range releases(t) {
		for _, language := range []Language{Erlang, Elixir} {
			t.Run(r.String()+" "+string(language), func(t *testing.T) {
				t.Parallel()
				x := boot(t, r, language)
				loop := map[Language]string{
					Erlang: `io:put_chars("on\n"), (fun F() -> F() end)().`, Elixir: `f = fn f -> f.(f) end; IO.puts("on"); f.(f)`,
				}[language]
				var processes, atoms int64
				for i, end := range []func(u *user){
					func(u *user) { u.types(ctrlBackslash) }, // the first loads what there is to load
					func(u *user) { u.types(ctrlBackslash) },
					func(u *user) { _ = u.keys.Close() },
					func(*user) { x.n.Disconnect(x.Name) },
				} {
					u := x.sit(x.open(""), 80, 24)
					u.types(loop + "\r")
					u.Wait(t, u.ps(loop), "on")
					end(u)
					err := u.left()
					if i == 3 {
						require.ErrorIs(t, err, node.ErrNodeDown)
					} else {
						require.NoError(t, err)
					}
					if i == 0 {
						x.eventually("no group is left", func() bool { return !x.hasGroup() })
						processes, atoms = x.count("process_count"), x.count("atom_count")
						continue
					}
					x.eventually("no process is left", func() bool { return x.count("process_count") <= processes })
					if i < 3 { // when the connection is lost IEx loads what it needs to say so
						assert.LessOrEqual(t, x.count("atom_count"), atoms)
					}
				}
				assert.Empty(t, strings.TrimSpace(x.Output()), "nothing is in the node's log")
			})
		}
	}
}

// hasGroup tells whether there is a group, or a shell.
func (x *target) hasGroup() bool {
	for _, p := range x.call("erlang", "processes").(etf.List) {
		info := etf.Format(x.call("erlang", "process_info", p, etf.List{etf.Atom("initial_call"), etf.Atom("dictionary")}))
		for _, what := range []string{"{shell,<", "{evaluator,<", "{erl_eval,exprs,"} {
			if strings.Contains(info, what) {
				return true
			}
		}
	}
	return false
}

// A shell that crashes is replaced. Who kills its group is what completion does on some releases.
func TestCrash(t *testing.T) {
	t.Parallel()
	x := boot(t, releases(t)[0], Erlang)
	u := x.sit(x.open(""), 70, 20)
	u.enter("X = 1.", "1")
	x.call("erlang", "exit", x.group(), etf.Atom("kill"))
	u.line = 1
	u.Until(t, "a new shell", func(lines []string) bool {
		return strings.Contains(strings.Join(lines, "\n"), "*** The shell has crashed: killed. This is a new one.") && lines[len(lines)-1] == u.ps()
	})
	u.enter("X = 2.", "2")
	u.types(ctrlG)
	u.types("q")
	require.NoError(t, u.left())
}

// group is the group that has a shell.
func (x *target) group() etf.Term {
	for _, p := range x.call("erlang", "processes").(etf.List) {
		if strings.Contains(etf.Format(x.call("erlang", "process_info", p, etf.Atom("dictionary"))), "{shell,<") {
			return p
		}
	}
	require.Fail(x.t, "there is no group")
	return nil
}

// The node stands still: the user is told how to get out, and gets out. Then it dies.
func TestNodeIsLost(t *testing.T) {
	t.Parallel()
	x := boot(t, releases(t)[0], Erlang)
	u := x.sit(x.open(""), 70, 20)
	x.Stop()
	u.types("1." + ctrlC)
	u.Wait(t, "*** "+x.Name+" does not answer. Ctrl-\\ leaves.")
	u.types(ctrlBackslash)
	require.NoError(t, u.left())
	x.Continue()

	u = x.sit(x.open(""), 70, 20)
	u.types("half")
	u.Wait(t, u.ps("half"))
	x.Kill()
	require.ErrorIs(t, u.left(), node.ErrNodeDown)
	assert.Equal(t, u.ps("half"), u.Lines()[len(u.Lines())-1])
}
