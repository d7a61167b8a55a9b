package launcher

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// PortRange is where a port may come from, both ends included. As text it is 4100-4199, 4000, or any.
type PortRange struct{ Lo, Hi int }

// anyPort is what "any" stands for: ports that no kernel gives to outgoing connections unless it is told to (Linux takes
// 32768 and up, others 49152 and up), so that one which is free now is still free when the node listens.
var anyPort = PortRange{20000, 29999}

// DistPort is the name of the port at which a node's distribution listens.
const DistPort = "dist"

// defaultPorts can be used without being declared.
var defaultPorts = map[string]PortRange{"http": {4100, 4199}, DistPort: {9100, 9199}}

var errPortRange = errors.New("is no port range: 4100-4199, 4000 or any")

// UnmarshalText reads a range. Its error doesn't repeat the text.
func (r *PortRange) UnmarshalText(text []byte) error {
	if string(text) == "any" {
		*r = anyPort
		return nil
	}
	lo, hi, ranged := strings.Cut(string(text), "-")
	if !ranged {
		hi = lo
	}
	l, err1 := strconv.Atoi(strings.TrimSpace(lo))
	h, err2 := strconv.Atoi(strings.TrimSpace(hi))
	if err1 != nil || err2 != nil || l < 1 || h < l || h > 65535 {
		return errPortRange
	}
	*r = PortRange{l, h}
	return nil
}

// MarshalText is its inverse.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r PortRange) String() string {
	switch {
	case r == anyPort:
		return "any"
	case r.Lo == r.Hi:
		return strconv.Itoa(r.Lo)
	default:
		return fmt.Sprintf("%d-%d", r.Lo, r.Hi)
	}
}

// portTable holds the ports that are reserved for the nodes of a cluster, from when they are first asked for. A port is
// reserved against all other beamctl processes by lockPort, and looked at for whether somebody else has it.
type portTable struct {
	mu   sync.Mutex
	held map[portKey]*heldPort
}

type portKey struct{ node, name string }

type heldPort struct {
	port    int
	release func()
}

// ErrNoPort says that no port of a range can be had.
var ErrNoPort = errors.New("no port")

// reserve returns the node's port of that name, always the same one until release.
func (t *portTable) reserve(node, name string, r PortRange) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := portKey{node, name}
	if h := t.held[key]; h != nil {
		return h.port, nil
	}
	h, err := reservePort(r)
	if errors.Is(err, ErrNoPort) && defaultPorts[name] == r { // nobody has asked for just these
		h, err = reservePort(anyPort)
	}
	if err != nil {
		return 0, noPortFinding(node, name, r, err)
	}
	if t.held == nil {
		t.held = make(map[portKey]*heldPort)
	}
	t.held[key] = h
	return h.port, nil
}

// of returns the ports of a node by name.
func (t *portTable) of(node string) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	ports := make(map[string]int)
	for k, h := range t.held {
		if k.node == node {
			ports[k.name] = h.port
		}
	}
	return ports
}

// release gives a node's ports back; those of all nodes if it is "".
func (t *portTable) release(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, h := range t.held {
		if node == "" || k.node == node {
			h.release()
			delete(t.held, k)
		}
	}
}

func noPortFinding(node, name string, r PortRange, err error) error {
	f := &checks.Finding{
		What: fmt.Sprintf("%s gets no port %s: all of %s are taken", node, name, r), Saw: err.Error(),
		Fix: fmt.Sprintf("give `ports: {%s: …}` in beamctl.yaml a wider range, or end what holds them", name), Err: err,
	}
	if r.Lo == r.Hi {
		f.What = fmt.Sprintf("%s cannot have port %d (%s): it is taken", node, r.Lo, name)
		if pid, cmd, ok := checks.PortHolder(r.Lo); ok {
			f.Saw = fmt.Sprintf("held by pid %d: %s", pid, cmd)
		}
		f.Fix = fmt.Sprintf("end what holds it, or give `ports: {%s: …}` in beamctl.yaml a range", name)
	}
	return f
}

// errReserved says that another node has reserved the port.
var errReserved = errors.New("reserved for another node of this or another cluster")

// probes is how often a port that must be had is looked at: somebody else may be looking at it, too.
const (
	probes     = 3
	probePause = 5 * time.Millisecond
)

// reservePort takes the first free port of r, those first that the kernel won't give to an outgoing connection meanwhile.
func reservePort(r PortRange) (*heldPort, error) {
	fixed := r.Lo == r.Hi
	var last error
	for _, outside := range []bool{true, false} {
		for p := r.Lo; p <= r.Hi; p++ {
			if ephemeral(p) == outside {
				continue
			}
			release, err := lockPort(p)
			if err != nil {
				last = err
				continue
			}
			for n := 1; ; n++ {
				if err = checks.ProbePort(p, fixed); err == nil || !fixed || n == probes {
					break
				}
				time.Sleep(probePause)
			}
			if err != nil {
				release()
				last = err
				continue
			}
			return &heldPort{p, release}, nil
		}
	}
	return nil, fmt.Errorf("%w in %s: %w", ErrNoPort, r, last)
}

// ephemeral tells whether the kernel may give the port to any outgoing connection.
func ephemeral(port int) bool { return checks.KernelPorts().Has(port) }

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}
