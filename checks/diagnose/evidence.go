package diagnose

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/beamctl/beamctl/epmd"
)

// maxSeen bounds what is kept of what came over a connection: the first line of any protocol.
const maxSeen = 256

// recorder is a connection that keeps the first bytes that come over it: the evidence, when they are not what was expected.
type recorder struct {
	net.Conn
	ahead *bufio.Reader // takes all that has come: the handshake would read two bytes and give up
	mu    sync.Mutex
	seen  []byte
}

func record(nc net.Conn) *recorder {
	r := &recorder{Conn: nc}
	r.ahead = bufio.NewReader(io.TeeReader(nc, r.keeper()))
	return r
}

func (r *recorder) Read(b []byte) (int, error) { return r.ahead.Read(b) }

// keeper is a writer that keeps the beginning of what it gets.
func (r *recorder) keeper() io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, b[:min(len(b), maxSeen-len(r.seen))]...)
		return len(b), nil
	})
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// first returns the first bytes that came.
func (r *recorder) first() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.seen)
}

// answer is what a listener turned out to speak.
type answer struct {
	saw        string // the evidence
	cause, fix string
	tls        bool
}

// Prefixes of the first thing that other servers say, to our handshake or by themselves.
var greetings = []struct {
	prefix     string
	cause, fix string
}{
	{"HTTP/", "an HTTP server has the port", ""},
	{"SSH-", "an SSH server has the port", ""},
	{"AMQP", "this is an AMQP port, for RabbitMQ's clients; its distribution has another (25672, unless it is configured)", "leave out the port, so that EPMD is asked for the right one"},
	{"<?xml", "this is an XMPP port, for clients; the node's distribution has another", "leave out the port, so that EPMD is asked for the right one"},
	{"<stream", "this is an XMPP port, for clients; the node's distribution has another", "leave out the port, so that EPMD is asked for the right one"},
	{"-ERR", "a Redis or POP3 server has the port", ""},
	{"220 ", "a mail or FTP server has the port", ""},
	{"\x15\x03", "the node speaks TLS (-proto_dist inet_tls), or another TLS server has the port", tlsFix},
	{"\x16\x03", "the node speaks TLS (-proto_dist inet_tls), or another TLS server has the port", tlsFix},
}

const (
	tlsFix   = "for a node with TLS give the files that it has: --tls-optfile, or --tls-ca, --tls-cert and --tls-key"
	otherFix = "find out what listens there; the node's own port is what its EPMD says (beamctl epmd names)"
)

// recognize says what speaks with these first bytes, nil if that is not known.
func recognize(b []byte) *answer {
	for _, g := range greetings {
		if !bytes.HasPrefix(b, []byte(g.prefix)) {
			continue
		}
		a := &answer{saw: "it says " + printable(b), cause: g.cause, fix: g.fix, tls: b[0] < ' '}
		if a.tls {
			a.saw = fmt.Sprintf("it says %s: a record of TLS", hexBytes(b))
		}
		if a.fix == "" {
			a.fix = otherFix
		}
		return a
	}
	return nil
}

// printable quotes the first line of what a stranger says.
func printable(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	const most = 80
	return fmt.Sprintf("%q", bytes.TrimRight(line[:min(len(line), most)], "\r"))
}

func hexBytes(b []byte) string {
	const most = 8
	return fmt.Sprintf("<% x>", b[:min(len(b), most)])
}

// probeTime is what all probes of a silent listener together may take; a listener that answers does so at once, unless the machine is at its
// limit.
const probeTime = 3 * time.Second

// probe finds out what a listener speaks that has not answered the handshake, by asking in other ways, each on a connection of its own
// and all at once. It returns nil if it stays silent.
func probe(ctx context.Context, addr string) *answer {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	asks := []func(context.Context, string) *answer{probeTLS, probeHTTP, probeGreeting, probeEPMD}
	found := make([]*answer, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() {
			if found[i] = ask(ctx, addr); found[i] != nil {
				cancel() // the others may stop
			}
		})
	}
	wg.Wait()
	for _, a := range found {
		if a != nil {
			return a
		}
	}
	return nil
}

// probeTLS says hello, and looks at the certificate; nothing is sent to a server that it names.
func probeTLS(ctx context.Context, addr string) *answer {
	var subject string
	cfg := &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // only to see whether it is TLS; the connection is not used
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) > 0 {
				subject = s.PeerCertificates[0].Subject.String()
			}
			return nil
		},
	}
	d := tls.Dialer{Config: cfg}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = nc.Close()
	}
	var remote *net.OpError
	if err != nil && subject == "" && (!errors.As(err, &remote) || remote.Op != "remote error") {
		return nil
	}
	saw := "it answers a TLS hello"
	if subject != "" {
		saw += fmt.Sprintf(" with a certificate for %.80q", subject)
	}
	return &answer{saw: saw, cause: "the node speaks TLS (-proto_dist inet_tls), or another TLS server has the port", fix: tlsFix, tls: true}
}

// probeHTTP asks as a browser does.
func probeHTTP(ctx context.Context, addr string) *answer {
	return recognize(firstBytes(ctx, addr, "GET / HTTP/1.0\r\n\r\n"))
}

// probeGreeting waits for a server that speaks first.
func probeGreeting(ctx context.Context, addr string) *answer {
	b := firstBytes(ctx, addr, "")
	if a := recognize(b); a != nil || len(b) == 0 {
		return a
	}
	return &answer{saw: "it says " + printable(b) + " before it is asked anything", cause: "something else than a node has the port", fix: otherFix}
}

func probeEPMD(ctx context.Context, addr string) *answer {
	names, err := (&epmd.Client{Addr: addr}).Names(ctx)
	if err != nil {
		return nil
	}
	return &answer{
		saw:   fmt.Sprintf("it answers as an EPMD; names that it knows: %d", len(names)),
		cause: "this is the port of an EPMD, not of a node", fix: "leave out the port, or say where the EPMD is: ERL_EPMD_PORT",
	}
}

// firstBytes returns what comes first after request was sent.
func firstBytes(ctx context.Context, addr, request string) []byte {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil
	}
	defer nc.Close() //nolint:errcheck // nothing to lose
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := nc.Write([]byte(request)); err != nil {
		return nil
	}
	b := make([]byte, maxSeen)
	n, _ := nc.Read(b)
	return b[:n]
}
