package launcher

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/beamctl/beamctl/checks/health"
	"github.com/beamctl/beamctl/dist/etf"
)

// HealthConfig says by which measure `beamctl health` judges, and what it asks beside its own checks.
type HealthConfig struct {
	// Warn when the median ping, or the best round trip between two nodes, takes longer: 50ms.
	Latency Duration `yaml:"latency"`
	// A supervisor or server that does not come back to its loop for so long is said to hang: 1s.
	Answer Duration `yaml:"answer"`
	// Warn when a node has allocated more: 512MiB, 2GiB. Left out, there is no limit.
	Memory Bytes `yaml:"memory"`
	// Warn when it has allocated more for one kind. Left out, there is no limit.
	MemoryKinds MemoryKindsConfig `yaml:"memory_kinds"`
	// Warn when more than this share of the processes, ports, atoms, ETS tables or descriptors that a node may have is in use: 0.8.
	Usage float64 `yaml:"usage"`
	// Warn when more processes wait for each scheduler: 10.
	RunQueue float64 `yaml:"run_queue"`
	// Warn when the schedulers work for a larger share of their time: 0.95.
	Schedulers float64 `yaml:"schedulers"`
	// Warn when a mailbox has more messages: 1000.
	Mailbox int `yaml:"mailbox"`
	// Warn when a node has so many times the processes of the others: 10.
	Spread float64 `yaml:"spread"`
	// Warn when one process holds a lock of global for longer: 1s.
	LockHeld Duration `yaml:"lock_held"`
	// Checks of your own.
	Probes []ProbeConfig `yaml:"probes"`
}

// MemoryKindsConfig are limits for kinds of memory, as erlang:memory/0 has them.
type MemoryKindsConfig struct {
	// The heaps, stacks and mailboxes of processes.
	Processes Bytes `yaml:"processes"`
	// Binaries of more than 64 bytes, which processes share.
	Binary Bytes `yaml:"binary"`
	// ETS tables.
	ETS Bytes `yaml:"ets"`
	// Loaded modules.
	Code Bytes `yaml:"code"`
	// The atom table.
	Atom Bytes `yaml:"atom"`
}

// ProbeConfig is a check of the user's own.
type ProbeConfig struct {
	// Name of the check: letters, digits, _ and -.
	Name string `yaml:"name"`
	// What to call: text as for beamctl rpc, in Erlang's or Elixir's syntax; or [Module, Function, [Args]], the arguments in Erlang's syntax; or a list of these, a chain in which every step but the last returns {ok, P}, and P takes the place of each _ in the next one's arguments.
	Call any `yaml:"call"`
	// What the result has to be; all of it.
	Expect ExpectConfig `yaml:"expect"`
	// Where: each node, or once, on the first that can be asked.
	On string `yaml:"on"`
	// How long the calls may take: 2s.
	Timeout Duration `yaml:"timeout"`
}

// ExpectConfig is what the result of a probe has to be.
type ExpectConfig struct {
	// This term, in the syntax of the call.
	Equals string `yaml:"equals"`
	// A term like this one, in which _ is any, and maps may have more keys.
	Match string `yaml:"match"`
	// A number: 3, 1..10, >0, <=99.
	Range string `yaml:"range"`
	// A list, tuple or map of so many elements, or a binary of so many bytes: 3, 1..10, >0.
	Length string `yaml:"length"`
	// Of this type.
	Type string `yaml:"type"`
}

// Where a probe is asked.
const (
	onEach = "each"
	onOnce = "once"
)

// Bytes is a number of bytes as 512MiB, 2GiB.
type Bytes int64

var errBytes = errors.New("is no size: 512MiB, 2GiB, 100MB")

// byteUnits are tried in this order.
var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
	{"", 1},
}

// UnmarshalText reads a size. Its error doesn't repeat the text.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(v*u.bytes >= 1 && v*u.bytes < math.MaxInt64) {
			return errBytes
		}
		*b = Bytes(v * u.bytes)
		return nil
	}
	return errBytes
}

// MarshalText is its inverse.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, u := range []int{3, 2, 1, 0} {
		if unit := byteUnits[u]; int64(b)%int64(unit.bytes) == 0 {
			return strconv.FormatInt(int64(b)/int64(unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Health is what a configuration says of health checks.
type Health struct {
	Limits health.Limits
	Probes []health.Probe
}

// ResolveHealth reads the measures and probes of a configuration, and nothing else of it. Errors: as [Resolve].
func ResolveHealth(src Sources) (*Health, error) {
	dir, file, err := src.place()
	if err != nil {
		return nil, err
	}
	r := &resolver{origin: make(map[string]string)}
	errs := multierror.Append(nil, r.read(src.Env, file))
	h, faults := r.config.Health.resolve()
	for i := range h.Probes {
		if _, text := r.config.Health.Probes[i].Call.(string); !text && isFile(dir, "mix.exs") { // a text is in its own syntax
			h.Probes[i].Elixir = true
		}
	}
	for _, f := range faults {
		errs = multierror.Append(errs, &ConfigError{Where: r.from(f.key), Key: f.key, Text: f.text})
	}
	return h, errs.ErrorOrNil()
}

// resolve makes measures and probes of the configuration.
func (c *HealthConfig) resolve() (*Health, []fault) {
	h := &Health{Limits: health.Limits{
		Latency: time.Duration(c.Latency), Answer: time.Duration(c.Answer), Memory: int64(c.Memory), Usage: c.Usage, RunQueue: c.RunQueue,
		Kinds: health.MemoryKinds{
			Processes: int64(c.MemoryKinds.Processes), Binary: int64(c.MemoryKinds.Binary), ETS: int64(c.MemoryKinds.ETS),
			Code: int64(c.MemoryKinds.Code), Atom: int64(c.MemoryKinds.Atom),
		},
		Schedulers: c.Schedulers, Mailbox: c.Mailbox, Spread: c.Spread, LockHeld: time.Duration(c.LockHeld),
	}}
	var faults []fault
	add := func(key, format string, args ...any) {
		faults = append(faults, fault{"health." + key, fmt.Sprintf(format, args...)})
	}
	for _, l := range []struct {
		key   string
		value float64
		share bool
	}{
		{"usage", c.Usage, true},
		{"run_queue", c.RunQueue, false},
		{"schedulers", c.Schedulers, true},
		{"mailbox", float64(c.Mailbox), false},
		{"spread", c.Spread, false},
	} {
		if l.value < 0 {
			add(l.key, "is negative")
		} else if l.share && l.value > 1 {
			add(l.key, "is no share from 0 to 1")
		}
	}
	names := make(map[string]bool)
	for _, check := range health.All() {
		names[check.Name], names[string(check.Group)] = true, true
	}
	for i := range c.Probes {
		p, bad := c.Probes[i].resolve()
		for _, f := range bad {
			add(fmt.Sprintf("probes[%d]%s", i, f.key), "%s", f.text)
		}
		metric := strings.ReplaceAll(strings.ToLower(p.Name), "-", "_") // in which Prometheus would have two of the same
		if names[metric] {
			add(fmt.Sprintf("probes[%d].name", i), "a check, group or probe has this name, but for case, - and _")
		}
		names[metric] = true
		h.Probes = append(h.Probes, p)
	}
	return h, faults
}

var probeName = lazy(`^[a-zA-Z][a-zA-Z0-9_-]*$`)

func (c *ProbeConfig) resolve() (health.Probe, []fault) {
	p := health.Probe{Name: c.Name, Once: c.On == onOnce, Timeout: time.Duration(c.Timeout)}
	var faults []fault
	add := func(key, format string, args ...any) {
		faults = append(faults, fault{key, fmt.Sprintf(format, args...)})
	}
	if !probeName().MatchString(c.Name) {
		add(".name", "is no name: letters, digits, _ and -")
	}
	if c.On != "" && c.On != onEach && c.On != onOnce {
		add(".on", "is neither %s nor %s", onEach, onOnce)
	}
	steps, elixir, err := readCalls(c.Call)
	if err != nil {
		add(".call", "%v", err)
	}
	p.Steps, p.Elixir = steps, elixir || len(steps) > 0 && strings.HasPrefix(string(steps[len(steps)-1].Module), "Elixir.")
	pattern := func(key, text string, parse func(string) (etf.Term, error), make func(string, etf.Term) health.Expectation) {
		if text == "" {
			return
		}
		t, err := parse(text)
		if err != nil {
			add(".expect."+key, "%v", syntax(err))
			return
		}
		p.Expect = append(p.Expect, make(text, t))
	}
	if elixir {
		pattern("equals", c.Expect.Equals, etf.ParseElixir, health.Equals)
		pattern("match", c.Expect.Match, etf.ParseElixirPattern, health.Matches)
	} else {
		pattern("equals", c.Expect.Equals, etf.Parse, health.Equals)
		pattern("match", c.Expect.Match, etf.ParsePattern, health.Matches)
	}
	span := func(key, text string, make func(health.Range) health.Expectation) {
		if text == "" {
			return
		}
		r, err := health.ParseRange(text)
		if err != nil {
			add(".expect."+key, "%v", err)
			return
		}
		p.Expect = append(p.Expect, make(r))
	}
	span("range", c.Expect.Range, health.InRange)
	span("length", c.Expect.Length, health.OfLength)
	if c.Expect.Type != "" {
		e, ok := health.OfType(c.Expect.Type)
		if !ok {
			add(".expect.type", "is no type: list, tuple, map, binary, atom, boolean, number, integer, float, pid, port, reference, function")
		}
		p.Expect = append(p.Expect, e)
	}
	return p, faults
}

// syntax is an error of a term's syntax without the text that was found, which may be a secret.
func syntax(err error) error {
	if e, ok := errors.AsType[*etf.SyntaxError](err); ok {
		return fmt.Errorf("column %d: expected %s", e.Column, e.Want)
	}
	return err
}

var errCall = errors.New("is no call: text as for beamctl rpc, [Module, Function, [Args]], or a list of these")

// readCalls reads the steps of a probe. elixir tells in which language the last one is.
func readCalls(call any) (steps []etf.Call, elixir bool, err error) {
	list, ok := call.([]any)
	if !ok || isMFA(list) {
		list = []any{call}
	}
	for _, one := range list {
		var step etf.Call
		step, elixir, err = readCall(one)
		if err != nil {
			return nil, false, err
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 {
		return nil, false, errCall
	}
	for _, a := range steps[0].Args {
		if !etf.Equal(etf.Fill(a, etf.Atom("a")), etf.Fill(a, etf.Atom("b"))) {
			return nil, false, errors.New("the first step has a _, and nothing before it")
		}
	}
	return steps, elixir, nil
}

// isMFA tells [Module, Function, [Args]] from a chain.
func isMFA(list []any) bool {
	if len(list) != 3 {
		return false
	}
	_, ok := list[2].([]any)
	_, named := list[0].(string)
	return ok && named
}

func readCall(call any) (step etf.Call, elixir bool, err error) {
	switch call := call.(type) {
	case string:
		step, elixir, err = etf.ParseCallPattern(call)
		return step, elixir, syntax(err)
	case []any:
		if !isMFA(call) {
			break
		}
		module, _ := call[0].(string)
		function, ok := call[1].(string)
		if !ok {
			break
		}
		step = etf.Call{Module: etf.Atom(module), Function: etf.Atom(function), Args: []etf.Term{}}
		for _, a := range call[2].([]any) {
			arg, err := etf.ParsePattern(fmt.Sprint(a)) // 5 need not be quoted
			if err != nil {
				return step, false, syntax(err)
			}
			step.Args = append(step.Args, arg)
		}
		return step, false, nil
	}
	return step, false, errCall
}
