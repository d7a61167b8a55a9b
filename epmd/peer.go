package epmd

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// peer is one client's connection to a Server.
type peer struct {
	s       *Server
	id      int
	conn    net.Conn
	got     []byte // what was read before serve
	asker   string
	pending *list.Element // its place among the connections without a request; guarded by s.mu
}

// serve reads the one request and answers it. There is nobody to tell an error.
func (p *peer) serve() {
	defer func() { _ = p.conn.Close() }()
	p.limitTime()
	body, err := readRequest(p.conn, p.got)
	p.s.settle(p)
	if err != nil {
		return
	}
	r, err := parseRequest(body)
	if err != nil {
		return
	}
	switch {
	case r.op == opPort:
		_, _ = p.conn.Write(p.s.appendLookup(nil, r.name, p.asker))
	case r.op == opNames:
		p.names()
	case !p.local():
		// Like epmd: what changes or exposes more than a lookup needs is for this machine's processes.
	case r.op == opAlive:
		p.alive(r.node)
	case r.op == opDump:
		p.dump()
	case r.op == opKill:
		p.kill()
	case r.op == opStop:
		p.stop(r.name)
	}
}

// requestBuffer is what a request is read into: one byte more than it can have, to see that there is more.
const requestBuffer = 2 + maxRequest + 1

// readRequest returns the body of one request, of which got has been read.
func readRequest(r io.Reader, got []byte) ([]byte, error) {
	b := append(make([]byte, 0, requestBuffer), got...)
	for {
		if body, err := splitRequest(b); !errors.Is(err, errShort) {
			return body, err
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// splitRequest returns the body of the request that b is, at least one byte, or errShort. Like epmd it takes more
// bytes than that for an error: nothing is pipelined.
func splitRequest(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, errShort
	}
	end := 2 + int(binary.BigEndian.Uint16(b))
	switch {
	case end == 2, end > 2+maxRequest, len(b) > end:
		return nil, fmt.Errorf("%w: a request of %d bytes, %d came", ErrProtocol, end-2, len(b)-2)
	case len(b) < end:
		return nil, errShort
	}
	return b[2:end], nil
}

func (p *peer) limitTime() { _ = p.conn.SetDeadline(time.Now().Add(p.s.cfg.RequestTimeout)) }

// local tells whether the client is on this machine. What is not TCP is the owner's own listener.
func (p *peer) local() bool {
	remote, ok := p.conn.RemoteAddr().(*net.TCPAddr)
	if !ok || remote.IP.IsLoopback() {
		return true
	}
	here, ok := p.conn.LocalAddr().(*net.TCPAddr)
	return ok && here.IP.Equal(remote.IP)
}

// alive registers n until the connection ends, or says anything more.
func (p *peer) alive(n Node) {
	ok := p.s.hold(p)
	defer p.s.release(p)
	if ok {
		n, ok = p.s.register(n, p)
	}
	p.limitTime() // anew: the hook may have taken its time
	_, err := p.conn.Write(aliveReply(n.HighestVersion, n.Creation))
	if !ok {
		return
	}
	if err == nil {
		_ = p.conn.SetDeadline(time.Time{})
		_, _ = p.conn.Read(make([]byte, 1))
	}
	p.s.unregister(n.Name, p.id, p.asker)
}

// appendLookup appends the answer to asker's lookup of name.
func (s *Server) appendLookup(dst []byte, name, asker string) []byte {
	n, _, ok := s.registry.lookup(name)
	if !ok {
		return append(dst, tagPort, resultError)
	}
	if s.cfg.Hooks.Lookup != nil {
		n = s.cfg.Hooks.Lookup(asker, n)
	}
	return appendPortReply(dst, n)
}

// listing begins a reply to NAMES or DUMP: the EPMD's port.
func (p *peer) listing() []byte {
	port := 0
	if a, ok := p.conn.LocalAddr().(*net.TCPAddr); ok {
		port = a.Port
	}
	return binary.BigEndian.AppendUint32(nil, uint32(port)) //nolint:gosec // a port
}

func (p *peer) names() {
	reply := p.listing()
	for _, n := range p.s.registry.nodes() {
		reply = appendNamesLine(reply, n)
	}
	_, _ = p.conn.Write(reply)
}

func (p *peer) dump() {
	reply := p.listing()
	for _, d := range p.s.registry.dump() {
		reply = appendDumpLine(reply, d)
	}
	_, _ = p.conn.Write(reply)
}

func (p *peer) kill() {
	if !p.s.cfg.AllowKill {
		_, _ = p.conn.Write([]byte("NO"))
		return
	}
	_, _ = p.conn.Write([]byte("OK"))
	p.s.shut()
}

func (p *peer) stop(name string) {
	if !p.s.cfg.AllowKill {
		return // epmd closes the connection without a word
	}
	reply := "NOEXIST"
	if p.s.stop(name) {
		reply = "STOPPED"
	}
	_, _ = p.conn.Write([]byte(reply))
}
