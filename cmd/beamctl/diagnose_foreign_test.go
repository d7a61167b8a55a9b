package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/beamctl/beamctl/checks/diagnose"
)

// TestDiagnoseForeign: brokers that beamctl did not start, with the mistakes that people make. Beside it RabbitMQ's own tool is asked the same;
// what it says is in the log of the test.
func TestDiagnoseForeign(t *testing.T) {
	for _, f := range []*foreign{startRabbit(t), startEjabberd(t)} {
		alive, host, _ := strings.Cut(f.name, "@")
		t.Run(alive, func(t *testing.T) {
			w := newWorld(t, "")
			w.write("wrong.cookie", "a-mistaken-cookie")
			wrongCookie := filepath.Join(w.dir, "wrong.cookie")
			silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts; nobody ever reads
			require.NoError(t, err)
			defer silent.Close()
			closed := closedPort(t)
			compare := func(env []string, args ...string) {
				if alive == "rabbit" {
					out, code := f.diagnostics(t, env, args...)
					t.Logf("rabbitmq-diagnostics %v, exit code %d:\n%s", args, code, out)
				}
			}
			diagnosed := func(epmd, attach, cookie string, more ...string) (*diagnose.Report, int) {
				w.env = append(w.env, epmd) // the last one counts
				return w.diagnose(append([]string{"--attach", attach, "--cookie-file", cookie}, more...)...)
			}

			var r *diagnose.Report
			eventually(t, "nothing is wrong", func() bool { r, _ = diagnosed(f.epmdEnv(), f.name, f.cookieFile); return r.OK })
			require.Len(t, r.Nodes, 1)
			for _, rung := range r.Nodes[0].Ladder {
				assert.Equal(t, diagnose.RungOK, rung.Status, "%+v", rung)
			}
			assert.Contains(t, r.Nodes[0].Ladder[1].Saw, alive)
			assert.Equal(t, "25", r.Nodes[0].Release)
			assert.Greater(t, r.Nodes[0].Top.Processes, 100)
			compare(nil, "ping")
			compare(nil, "check_running")

			for _, c := range []struct {
				name, epmd, attach, cookie string
				rung                       string
				says                       []string
				others                     func() // what RabbitMQ's own tool says of it
			}{
				{
					"wrong cookie", f.epmdEnv(), f.name, wrongCookie,
					"cookie",
					[]string{"rejects the cookie", "--cookie-file"},
					func() { compare(nil, "--erlang-cookie", "a-mistaken-cookie", "ping") },
				},
				{
					"another name", f.epmdEnv(), alive + "x@" + host, f.cookieFile,
					"name",
					[]string{"EPMD does not know the name", "it knows " + alive, "is " + f.name + " meant?"},
					func() { compare(nil, "-n", alive+"x@"+host, "ping") },
				},
				{
					"another host part", f.epmdEnv(), alive + "@" + map[string]string{"localhost": "127.0.0.1", "127.0.0.1": "localhost"}[host], f.cookieFile,
					"handshake",
					[]string{"is called " + f.name, "call it " + f.name},
					func() { compare(nil, "-n", alive+"@localhost.localdomain", "ping") },
				},
				{
					"EPMD unreachable", "ERL_EPMD_PORT=" + closed, f.name, f.cookieFile,
					"epmd",
					[]string{"no EPMD answers", "connection refused", "give the node's address"},
					func() { compare([]string{"ERL_EPMD_PORT=" + closed}, "ping") },
				},
				{
					"TCP only", f.epmdEnv(), f.name + "=" + silent.Addr().String(), f.cookieFile,
					"handshake",
					[]string{f.name + " does not answer\n", "not a byte comes back", fmt.Sprintf("(pid %d) listens there", os.Getpid())},
					func() {},
				},
				{
					"EPMD's own port", f.epmdEnv(), fmt.Sprintf("%s=127.0.0.1:%d", f.name, f.epmdPort), f.cookieFile,
					"handshake",
					[]string{"answers as an EPMD"},
					func() {},
				},
				{
					"nothing listens", f.epmdEnv(), f.name + "=127.0.0.1:" + closed, f.cookieFile,
					"tcp",
					[]string{"connection refused", "address that was given"},
					func() {},
				},
			} {
				t.Run(c.name, func(t *testing.T) {
					var more []string
					if c.name == "TCP only" { // which takes all of its time
						more = []string{"--timeout", "5s"}
					}
					r, code := diagnosed(c.epmd, c.attach, c.cookie, more...)
					assert.Equal(t, exitFailed, code)
					require.Len(t, r.Findings, 1, "%+v", r.Findings)
					t.Logf("beamctl: %s", &r.Findings[0].Finding)
					for _, rung := range r.Nodes[0].Ladder {
						assert.Equal(t, rung.Name == c.rung, rung.Status == diagnose.RungFail, "%+v", rung)
					}
					for _, s := range c.says {
						assert.Contains(t, r.Findings[0].Error(), s)
					}
					c.others()
				})
			}

			t.Run("EPMD unreachable, the address given", func(t *testing.T) {
				eventually(t, "nothing is wrong", func() bool {
					r, code := diagnosed("ERL_EPMD_PORT="+closed, fmt.Sprintf("%s=127.0.0.1:%d", f.name, f.distPort(t)), f.cookieFile)
					return r.OK && code == exitOK
				})
			})
			t.Run("its log", func(t *testing.T) {
				eventually(t, "it is read, and what RabbitMQ thinks of the wrong cookie is there", func() bool {
					r, _ := diagnosed(f.epmdEnv(), f.name, f.cookieFile, "--log", f.log())
					require.Len(t, r.Logs.Files, 1)
					cookies := func(g diagnose.Group) bool { return g.Kind == diagnose.KindCookie }
					return r.Logs.Entries > 0 && (alive != "rabbit" || slices.ContainsFunc(r.Logs.Groups, cookies))
				})
			})
		})
	}
}
