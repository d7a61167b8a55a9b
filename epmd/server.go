package epmd

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Defaults of [Config].
const (
	// DefaultRequestTimeout is how long a request may take to arrive, as long as OTP's epmd gives it (-packet_timeout). A node sends it in
	// one piece, at once, if the machine has a turn for it: one that is cut off does not boot.
	DefaultRequestTimeout = time.Minute
	// DefaultMaxPending is how many connections may be without a complete request: some hundred nodes that start at the
	// same moment, far from a process's usual 1,024 file descriptors.
	DefaultMaxPending = 256
	// DefaultMaxNodes is how many nodes may be registered. Each holds a file descriptor.
	DefaultMaxNodes = 512
)

// Config of a [Server]. The zero value serves, on loopback.
type Config struct {
	Hooks Hooks

	// RequestTimeout is how long a client may take from connecting to the end of its request, and for taking the reply.
	RequestTimeout time.Duration // 0: DefaultRequestTimeout
	// MaxPending bounds the connections whose request is not complete. The one that came first goes when there are more: a
	// flood pushes out its own, and a client that sends its request at once is served during it.
	MaxPending int // 0: DefaultMaxPending
	// MaxNodes bounds the registered nodes. More are refused as if their names were taken.
	MaxNodes int // 0: DefaultMaxNodes

	// AllowRemote lets Listen and Serve take addresses that other machines reach. Even then only local clients may
	// register, dump, kill or stop, as in epmd.
	AllowRemote bool
	// AllowKill lets clients end the server (KILL) and unregister names of others (STOP), as -relaxed_command_check does.
	AllowKill bool
}

// Hooks tell the server's owner what happens. asker is that of the listener on which the client came.
//
// Registered and Gone are called one at a time, in the order in which the registry changed: what came has gone before the
// same name comes again. A node gets its answer after Registered has returned. They may call Nodes, not Close.
// That the server ends is not the nodes' going: Close calls neither.
type Hooks struct {
	// Admit may refuse a registration, which the node takes for its name being in use. nil: everybody may. It is called as Registered is.
	Admit      func(n Node, asker string) bool
	Registered func(n Node, asker string)
	Gone       func(n Node, asker string)
	// Lookup may change what asker is told of n (its port, say). nil: n as it is. It may be called from several goroutines at
	// once, and should not wait for anything: other clients of the same listener wait for it.
	Lookup func(asker string, n Node) Node
}

// Errors of a [Server].
var (
	// ErrNotLoopback: Config.AllowRemote is not set, and other machines could reach the address.
	ErrNotLoopback = errors.New("not a loopback address")
	// ErrServerClosed: the server is closed.
	ErrServerClosed = errors.New("EPMD server closed")
)

// Server is an EPMD: one registry, any number of listeners.
type Server struct {
	cfg      Config
	registry *registry

	events sync.Mutex // a change of the registry and its hook are one step

	mu        sync.Mutex // guards the rest
	closed    bool
	acceptors map[acceptor]*listening
	pending   list.List // of *peer: request not complete; the oldest first
	held      map[int]*peer
	lastID    int

	done chan struct{} // closed when the server ends
	wg   sync.WaitGroup
}

// NewServer makes a server that listens nowhere yet.
func NewServer(cfg Config) *Server {
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = DefaultRequestTimeout
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = DefaultMaxPending
	}
	if cfg.MaxNodes <= 0 {
		cfg.MaxNodes = DefaultMaxNodes
	}
	return &Server{
		cfg: cfg, registry: newRegistry(),
		acceptors: make(map[acceptor]*listening), held: make(map[int]*peer), done: make(chan struct{}),
	}
}

// Listen adds a listener on addr (host:port, port 0 for a free one) and serves it in the background. Who connects to it is
// asker; "" if that cannot be known. The error is ErrNotLoopback, ErrServerClosed or that of the bind.
func (s *Server) Listen(addr, asker string) (net.Addr, error) {
	// Resolved first, so that the address that is checked is the one that is bound.
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("epmd listen: %w", err)
	}
	if !s.cfg.AllowRemote && !a.IP.IsLoopback() {
		return nil, fmt.Errorf("epmd listen on %s: %w", addr, ErrNotLoopback)
	}
	l, err := net.ListenTCP("tcp", a)
	if err != nil {
		return nil, fmt.Errorf("epmd listen: %w", err)
	}
	bound := l.Addr()
	acc, err := newAcceptor(s, l, asker)
	if err != nil {
		return nil, err
	}
	ended, err := s.add(acc, bound)
	if err != nil {
		return nil, err
	}
	go s.serve(acc, asker, ended) //nolint:errcheck // Close is what ends it
	return bound, nil
}

// Unlisten ends the listener of this address, and returns when nobody can connect there any more. Nodes that have registered over it
// stay. It tells whether there was one.
func (s *Server) Unlisten(addr net.Addr) bool {
	ended := s.stopListening(addr)
	if ended != nil {
		<-ended
	}
	return ended != nil
}

func (s *Server) stopListening(addr net.Addr) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a, l := range s.acceptors {
		if l.addr.String() == addr.String() {
			delete(s.acceptors, a) // so that it is stopped once
			a.stop()
			return l.ended
		}
	}
	return nil
}

// Serve serves l, and closes it in the end. It returns ErrServerClosed after Close, or l's error: to end one listener of
// several, close it, or call Unlisten.
func (s *Server) Serve(l net.Listener, asker string) error {
	if a, ok := l.Addr().(*net.TCPAddr); ok && !s.cfg.AllowRemote && !a.IP.IsLoopback() {
		_ = l.Close()
		return fmt.Errorf("epmd serve on %s: %w", a, ErrNotLoopback)
	}
	acc := &plainAcceptor{l}
	ended, err := s.add(acc, l.Addr())
	if err != nil {
		return err
	}
	return s.serve(acc, asker, ended)
}

// acceptor is a listener that may have read something, or have answered by itself.
type acceptor interface {
	accept() (conn net.Conn, got []byte, err error)
	stop()  // makes accept return; called once at most, before close
	close() // called once, when accept is no longer called
}

// plainAcceptor is an acceptor of any listener.
type plainAcceptor struct{ net.Listener }

func (a *plainAcceptor) accept() (net.Conn, []byte, error) {
	conn, err := a.Accept()
	return conn, nil, err
}
func (a *plainAcceptor) stop()  { _ = a.Close() }
func (a *plainAcceptor) close() { _ = a.Close() }

// listening is what the server knows of an acceptor.
type listening struct {
	addr  net.Addr
	ended chan struct{} // closed when nobody can connect any more
}

// add makes a one of the server's acceptors. serve, which has to follow, closes ended.
func (s *Server) add(a acceptor, addr net.Addr) (ended chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		a.close()
		return nil, ErrServerClosed
	}
	ended = make(chan struct{})
	s.acceptors[a] = &listening{addr, ended}
	s.wg.Add(1) // serve's
	return ended, nil
}

// acceptPause is waited when the process is out of file descriptors: connections that end bring some back.
const acceptPause = 20 * time.Millisecond

func (s *Server) serve(a acceptor, asker string, ended chan<- struct{}) error {
	defer s.wg.Done()
	defer func() {
		s.mu.Lock()
		delete(s.acceptors, a) // so that stop is not called after close
		s.mu.Unlock()
		a.close()
		close(ended)
	}()
	for {
		conn, got, err := a.accept()
		if err == nil {
			s.admit(&peer{s: s, conn: conn, got: got, asker: asker})
			runtime.Gosched() // p has its request, and this thread is about to wait: a sixth off a registration's time
			continue
		}
		if !transient(err) {
			select {
			case <-s.done:
				return ErrServerClosed
			default:
				return err
			}
		}
		select {
		case <-s.done:
		case <-time.After(acceptPause):
		}
	}
}

// transient tells whether the next Accept may succeed.
func transient(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts to serve p, at the cost of the oldest that has not sent its request where there are too many.
func (s *Server) admit(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = p.conn.Close()
		return
	}
	s.lastID++
	p.id = s.lastID
	p.pending = s.pending.PushBack(p)
	if s.pending.Len() > s.cfg.MaxPending {
		oldest := s.pending.Remove(s.pending.Front()).(*peer)
		oldest.pending = nil
		_ = oldest.conn.Close()
	}
	s.wg.Go(p.serve)
}

// settle takes p from the pending connections.
func (s *Server) settle(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.pending != nil {
		s.pending.Remove(p.pending)
		p.pending = nil
	}
}

// hold puts p among the connections that register a node; false if there are as many as may be.
func (s *Server) hold(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.held) >= s.cfg.MaxNodes {
		return false
	}
	s.held[p.id] = p
	return true
}

func (s *Server) release(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, p.id)
}

// register is a change of the registry with its hook.
func (s *Server) register(n Node, p *peer) (Node, bool) {
	s.events.Lock()
	defer s.events.Unlock()
	if s.cfg.Hooks.Admit != nil && !s.cfg.Hooks.Admit(n, p.asker) {
		return n, false
	}
	n, ok := s.registry.register(n, p.id)
	if ok && s.cfg.Hooks.Registered != nil {
		s.cfg.Hooks.Registered(n, p.asker)
	}
	return n, ok
}

// unregister frees the name if connection id holds it.
func (s *Server) unregister(name string, id int, asker string) {
	s.events.Lock()
	defer s.events.Unlock()
	n, ok := s.registry.unregister(name, id)
	select {
	case <-s.done:
	default:
		if ok && s.cfg.Hooks.Gone != nil {
			s.cfg.Hooks.Gone(n, asker)
		}
	}
}

// stop unregisters a name that another connection holds, and ends that connection; false if there is none.
func (s *Server) stop(name string) bool {
	_, id, ok := s.registry.lookup(name)
	if !ok {
		return false
	}
	s.mu.Lock()
	p := s.held[id]
	s.mu.Unlock()
	if p == nil {
		return false // it is going, or not there yet
	}
	s.unregister(name, id, p.asker)
	_ = p.conn.Close()
	return true
}

// Nodes returns the registered nodes with their creations, the newest first.
func (s *Server) Nodes() []Node { return s.registry.nodes() }

// Done is closed when the server has begun to end: by Close, or by a client's KILL if that is allowed.
func (s *Server) Done() <-chan struct{} { return s.done }

// shut ends all connections and does not wait.
func (s *Server) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.done)
	for a := range s.acceptors {
		a.stop()
	}
	for el := s.pending.Front(); el != nil; el = el.Next() {
		_ = el.Value.(*peer).conn.Close()
	}
	for _, p := range s.held {
		_ = p.conn.Close()
	}
}

// Close ends the listeners and all connections, and waits until every goroutine of the server has ended.
func (s *Server) Close() error {
	s.shut()
	s.wg.Wait()
	return nil
}
