package diagnose

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/epmd/epmdtest"
	"github.com/beamctl/beamctl/node"
	"github.com/beamctl/beamctl/node/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	step    = time.Minute            // what a rung may take here: none of them is to run out of time
	silence = 500 * time.Millisecond // and where one is known to get no answer, for a start
)

// quiet is a node that has no peers yet.
func quiet(t *testing.T) *node.Node {
	t.Helper()
	n, err := node.Start(node.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// broken climbs to t, and checks that the ladder breaks on that rung: all below are fine, none above was reached.
func broken(t *testing.T, target checks.Target, at string) *checks.Finding {
	t.Helper()
	ladder, f := climb(t.Context(), quiet(t), target, step)
	return brokenAt(t, ladder, f, target, at)
}

// silent is broken for a rung that gets no answer: it takes all the time there is, which has to be enough for those below.
func silent(t *testing.T, target checks.Target, at string) *checks.Finding {
	t.Helper()
	for some := silence; ; some *= 4 {
		ladder, f := climb(t.Context(), quiet(t), target, some)
		failed := slices.IndexFunc(ladder, func(r Rung) bool { return r.Status == RungFail })
		if failed >= 0 && ladder[failed].Name == at || some > step/4 {
			return brokenAt(t, ladder, f, target, at)
		}
	}
}

func brokenAt(t *testing.T, ladder []Rung, f *checks.Finding, target checks.Target, at string) *checks.Finding {
	t.Helper()
	require.Len(t, ladder, len(rungs))
	seen := false
	for _, r := range ladder {
		switch {
		case r.Name == at:
			seen = true
			assert.Equal(t, RungFail, r.Status, "%+v", r)
			assert.NotEmpty(t, r.Saw)
		case seen:
			assert.Equal(t, RungUnreached, r.Status, "%+v", r)
		default:
			assert.Contains(t, []RungStatus{RungOK, RungSkipped}, r.Status, "%+v", r)
		}
	}
	require.True(t, seen, "there is a rung %s: %+v", at, ladder)
	require.NotNil(t, f)
	assert.NotEmpty(t, f.Cause)
	assert.NotEmpty(t, f.Fix)
	assert.NotContains(t, f.Error(), target.Cookie.Secret())
	t.Logf("%s\n%s", at, f)
	return f
}

// listener is the port of something that listens on loopback.
func listener(t *testing.T, serve func(net.Conn)) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	return l.Addr().(*net.TCPAddr)
}

func TestEveryRungIsClimbed(t *testing.T) {
	c := nodetest.New(t)
	e := c.Erl("fine")
	n := c.Node(e) // it has booted
	target := checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie, Apps: []string{"kernel"}}
	ladder, f := climb(t.Context(), n, target, step)
	require.Nil(t, f)
	for i, r := range ladder {
		assert.Equal(t, rungs[i].name, r.Name)
		assert.Equal(t, RungOK, r.Status, "%+v", r)
		assert.NotEmpty(t, r.Saw)
	}
	reg, err := c.EPMD.Client().Lookup(t.Context(), "fine")
	require.NoError(t, err)
	target.EPMD, target.Addr = "", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(reg.Port)))
	ladder, f = climb(t.Context(), n, target, step)
	require.Nil(t, f)
	assert.Equal(t, RungSkipped, ladder[1].Status)
	assert.Equal(t, RungSkipped, ladder[2].Status)
	assert.Equal(t, RungOK, ladder[8].Status)
}

// Everything below the handshake, with a real EPMD, and ports that other servers have.
func TestLowRungs(t *testing.T) {
	t.Parallel()
	cookie := dist.NewCookie("nothing-secret")
	for name, c := range map[string]struct {
		target func(t *testing.T) checks.Target
		rung   string
		mute   bool // it waits for more, or says nothing at all
		says   []string
	}{
		"unresolvable host": {
			target: func(*testing.T) checks.Target { return checks.Target{Name: "a@nosuch.invalid"} },
			rung:   "resolve", says: []string{"does not resolve", "nosuch.invalid"},
		},
		"an address that is none": {
			target: func(*testing.T) checks.Target { return checks.Target{Name: "a@127.0.0.1", Addr: "127.0.0.1"} },
			rung:   "resolve", says: []string{"is no address", "missing port"},
		},
		"a port that is none": {
			target: func(*testing.T) checks.Target { return checks.Target{Name: "a@127.0.0.1", Addr: "127.0.0.1:99999"} },
			rung:   "resolve", says: []string{"is no address", "no port"},
		},
		"no EPMD": {
			target: func(t *testing.T) checks.Target {
				return checks.Target{Name: "a@127.0.0.1", EPMD: nodetest.ClosedAddr(t)}
			},
			rung: "epmd", says: []string{"no EPMD answers", "connection refused", "address:port"},
		},
		"an HTTP server on EPMD's port": {
			target: func(t *testing.T) checks.Target { return checks.Target{Name: "a@127.0.0.1", EPMD: httpServer(t)} },
			rung:   "epmd", mute: true, says: []string{"is not an EPMD", "HTTP/1.", "listens there"},
		},
		"wrong name": {
			target: func(t *testing.T) checks.Target {
				e := epmdtest.Start(t)
				registered(t, e, "rabbit", 1)
				registered(t, e, "other", 1)
				return checks.Target{Name: "rabbitt@127.0.0.1", EPMD: e.Addr}
			},
			rung: "name", says: []string{`as "rabbitt"; it knows`, "other", "is rabbit@127.0.0.1 meant?"},
		},
		"no name at all": {
			target: func(t *testing.T) checks.Target {
				return checks.Target{Name: "a@127.0.0.1", EPMD: epmdtest.Start(t).Addr}
			},
			rung: "name", says: []string{"it knows no name", "is down"},
		},
		"an HTTP server": {
			target: func(t *testing.T) checks.Target {
				return checks.Target{Name: "a@127.0.0.1", Addr: httpServer(t)}
			},
			rung: "handshake", mute: true, says: []string{"does not speak the distribution protocol", "HTTP/1.", "HTTP server has the port"},
		},
		"an EPMD instead of a node": {
			target: func(t *testing.T) checks.Target {
				return checks.Target{Name: "a@127.0.0.1", Addr: epmdtest.Start(t).Addr}
			},
			rung: "handshake", says: []string{"answers as an EPMD"},
		},
		"an SSH server": {
			target: func(t *testing.T) checks.Target {
				at := listener(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n")); _, _ = c.Read(make([]byte, 100)) })
				return checks.Target{Name: "a@127.0.0.1", Addr: at.String()}
			},
			rung: "handshake", says: []string{"SSH-2.0-OpenSSH_9.2", "SSH server"},
		},
		"an AMQP listener": {
			target: func(t *testing.T) checks.Target {
				at := listener(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 8)); _, _ = c.Write([]byte("AMQP\x00\x00\x09\x01")) })
				return checks.Target{Name: "a@127.0.0.1", Addr: at.String()}
			},
			rung: "handshake", says: []string{"AMQP port", "25672"},
		},
		"garbage": {
			target: func(t *testing.T) checks.Target {
				at := listener(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 8)); _, _ = c.Write([]byte{0xff, 0xfe, 0xfd, 0xfc, 0}) })
				return checks.Target{Name: "a@127.0.0.1", Addr: at.String()}
			},
			rung: "handshake", says: []string{"<ff fe fd fc 00>", "something else"},
		},
		"closes without a word": {
			target: func(t *testing.T) checks.Target {
				at := listener(t, func(net.Conn) {})
				return checks.Target{Name: "a@127.0.0.1", Addr: at.String()}
			},
			rung: "handshake", says: []string{"closes it without a word", "listens there"},
		},
		"never a byte": {
			target: func(t *testing.T) checks.Target {
				at := listener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
				return checks.Target{Name: "a@127.0.0.1", Addr: at.String()}
			},
			rung: "handshake", mute: true, says: []string{"not a byte comes back in ", "does not answer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := c.target(t)
			target.Cookie = cookie
			climbed := broken
			if c.mute {
				climbed = silent
			}
			f := climbed(t, target, c.rung)
			for _, s := range c.says {
				assert.Contains(t, f.Error(), s)
			}
		})
	}
}

func httpServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// registered registers a name with a port that need not be open.
func registered(t *testing.T, e *epmdtest.EPMD, name string, port uint16) {
	t.Helper()
	r, err := e.Client().Register(t.Context(), epmd.Node{Name: name, Port: port, Type: epmd.TypeNormal, HighestVersion: 6, LowestVersion: 5})
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
}

// What only real nodes can show.
func TestHighRungs(t *testing.T) {
	t.Parallel()
	c := nodetest.New(t)
	at := func(e *nodetest.Erl) checks.Target {
		return checks.Target{Name: e.Name, EPMD: c.EPMD.Addr, Cookie: c.Cookie}
	}
	says := func(t *testing.T, f *checks.Finding, want ...string) {
		t.Helper()
		for _, w := range want {
			assert.Contains(t, f.Error(), w)
		}
	}
	ready := func(alive string, args ...string) *nodetest.Erl {
		e := c.Erl(alive, args...)
		_ = c.Node(e)
		return e
	}

	t.Run("killed", func(t *testing.T) {
		e := ready("killed")
		reg, err := c.EPMD.Client().Lookup(t.Context(), "killed")
		require.NoError(t, err)
		e.Kill()
		stale := epmdtest.Start(t) // one that has not noticed
		registered(t, stale, "killed", reg.Port)
		target := at(e)
		target.EPMD = stale.Addr
		says(t, broken(t, target, "tcp"), "nothing listens", "connection refused", strconv.Itoa(int(reg.Port)))
	})
	t.Run("wrong cookie", func(t *testing.T) {
		e := ready("cookie")
		target := at(e)
		target.Cookie = dist.NewCookie("mistaken-secret")
		says(t, broken(t, target, "cookie"), "rejects the cookie", "Invalid challenge reply", "--cookie-file")
		require.Eventually(t, func() bool { return strings.Contains(e.Output(), "Invalid challenge reply") }, 2*time.Minute, 10*time.Millisecond, "the log says what we said it does")
	})
	t.Run("wrong host part", func(t *testing.T) {
		e := ready("named")
		target := at(e)
		target.Name = "named@localhost"
		says(t, broken(t, target, "handshake"), "is called named@127.0.0.1", "call it named@127.0.0.1")
	})
	t.Run("not allowed", func(t *testing.T) {
		e := c.Erl("closed")
		c.Eval(`ok = erpc:call('closed@127.0.0.1', net_kernel, allow, [['friend@127.0.0.1', node()]])`)
		says(t, broken(t, at(e), "handshake"), "does not allow", "net_kernel:allow")
	})
	t.Run("stopped", func(t *testing.T) {
		e := ready("stopped")
		e.Stop()
		says(t, silent(t, at(e), "handshake"), "its process is stopped", "not a byte comes back", "kill -CONT "+strconv.Itoa(e.Pid))
	})
	t.Run("net_kernel suspended", func(t *testing.T) {
		e := ready("suspended")
		c.Eval(`erpc:call('suspended@127.0.0.1', sys, suspend, [net_kernel])`)
		says(t, silent(t, at(e), "handshake"), "its VM runs, and its net_kernel does not take connections", "sys:resume(net_kernel)")
	})
	t.Run("application stopped", func(t *testing.T) {
		e := ready("noapp", "-eval", "application:start(crypto), application:stop(crypto)")
		target := at(e)
		target.Apps = []string{"kernel", "crypto"}
		says(t, broken(t, target, "apps"), "crypto not running", "applications run, not crypto")
	})
	t.Run("TLS", func(t *testing.T) {
		authority := nodetest.NewAuthority(t)
		authority.Issue("node", "127.0.0.1")
		ours := &tls.Config{RootCAs: authority.Pool, Certificates: []tls.Certificate{authority.Issue("us", "127.0.0.1")}}
		e := c.Erl("secure", authority.Args("node")...)
		says(t, broken(t, at(e), "handshake"), "wants TLS", "inet_tls", "--tls-")

		target := at(e)
		target.TLS = ours
		require.Eventually(t, func() bool {
			ladder, f := climb(t.Context(), quiet(t), target, step)
			return f == nil && ladder[len(ladder)-1].Status == RungOK
		}, 2*time.Minute, 50*time.Millisecond, "with TLS there is nothing wrong")
		target.TLS = &tls.Config{RootCAs: nodetest.NewAuthority(t).Pool}
		says(t, broken(t, target, "handshake"), "authority that is not trusted")
		plain := at(ready("plain"))
		plain.TLS = ours
		says(t, silent(t, plain, "handshake"), "does not answer a TLS hello", "leave out the --tls flags")
	})
}

// Nodes so old that they lack something cannot be run here.
func TestOldNode(t *testing.T) {
	t.Parallel()
	cookie := dist.NewCookie("nothing-secret")
	for name, c := range map[string]struct {
		lacks  dist.Flags
		cookie RungStatus
	}{
		"before OTP 23": {dist.FlagMapTag, RungUnreached}, // which is told in the middle of the handshake
		"no spawning":   {dist.FlagSpawn, RungOK},
	} {
		t.Run(name, func(t *testing.T) {
			at := listener(t, func(nc net.Conn) {
				flags := (flagsOffered | dist.FlagNameMe) &^ c.lacks &^ dist.FlagMandatory25Digest
				conn, err := dist.Accept(t.Context(), nc, dist.Config{Local: dist.Identity{Name: "old@127.0.0.1", Creation: 7, Flags: flags}, Cookie: cookie, Receiver: deaf{}},
					func(dist.Identity) dist.Admission { return dist.Admission{Name: "guest@127.0.0.1", Creation: 8} })
				if err == nil {
					<-conn.Done()
					_ = conn.Close()
				}
			})
			ladder, f := climb(t.Context(), quiet(t), checks.Target{Name: "old@127.0.0.1", Addr: at.String(), Cookie: cookie}, step)
			require.NotNil(t, f)
			assert.Equal(t, c.cookie, ladder[5].Status, "%+v", ladder)
			assert.Equal(t, "flags", ladder[6].Name)
			assert.Equal(t, RungFail, ladder[6].Status, "%+v", ladder)
			assert.Contains(t, f.Saw, map[dist.Flags]string{dist.FlagMapTag: "MAP_TAG", dist.FlagSpawn: "SPAWN"}[c.lacks])
		})
	}
}
