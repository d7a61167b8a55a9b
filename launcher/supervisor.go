package launcher

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/epmd"
	"github.com/beamctl/beamctl/launcher/control"
	"github.com/beamctl/beamctl/launcher/internal/proc"
	"github.com/beamctl/beamctl/node"
)

// startArgs is what the CLI asks of a fresh supervisor.
type startArgs struct {
	ID     string `json:"id"`
	Place  place  `json:"place"`
	Spec   Spec   `json:"spec"`
	Binary string `json:"binary"` // to run the guardian from
	Tied   bool   `json:"tied"`   // the cluster ends when the client hangs up
	GoOn   bool   `json:"go_on"`  // a node that doesn't start doesn't end the others
	Stale  bool   `json:"stale"`  // sources may be newer than what was compiled from them
	Forget bool   `json:"forget"` // the client removes the logs after a failure
}

// stopArgs asks for the cluster's end.
type stopArgs struct {
	Keep bool `json:"keep"` // the state directory, with its logs
}

// supervisor is one cluster's truth: it holds the lock, the registry, the guardian and the connections to the nodes.
type supervisor struct {
	startArgs
	lock    *os.File
	events  *eventLog
	guard   *guard
	epmd    *epmd.Server
	node    *node.Node
	control *control.Server
	cookie  dist.Cookie
	signer  *authority // with `tls: auto`, else nil
	ports   portTable
	disk    diskSums

	membersMu sync.Mutex
	members   []*member       // replaced when it changes
	changing  chan struct{}   // holds one token: who has it starts and stops nodes
	up        context.Context //nolint:containedctx // the cluster's own: it ends when the cluster begins to
	wg        sync.WaitGroup  // restarts by policy
	told      sync.WaitGroup  // ends of nodes that the guardian has told of, until they are events

	recordMu sync.Mutex
	record   Record

	begin   chan startArgs          // the start request
	quit    context.CancelCauseFunc // asks for the end; the first *ending counts
	started chan struct{}           // closed when the start is over: startErr tells how
	ended   chan struct{}           // closed when nothing is left: endErr tells how

	startErr, endErr error
	partial          error // of nodes that did not start, in a cluster that was to run without them
}

// ending says why a cluster is to end, and what is to remain.
type ending struct {
	reason string
	keep   State // "": nothing remains; else the files do, with this State
}

func (e *ending) Error() string { return e.reason }

// farewellTimeout is how long a client may take to read that all is over.
const farewellTimeout = 5 * time.Second

// runSupervisor is the whole life of a supervisor process: conn carries the start request, lock is held until the end.
func runSupervisor(conn net.Conn, lock *os.File) error {
	signal.Ignore(syscall.SIGHUP)
	if err := proc.Subreaper(); err != nil { // for when the guardian dies
		return err
	}
	ctx, quit := context.WithCancelCause(context.Background())
	s := &supervisor{
		lock: lock, events: newEventLog(), changing: make(chan struct{}, 1), up: ctx,
		begin: make(chan startArgs, 1), quit: quit, started: make(chan struct{}), ended: make(chan struct{}),
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		sig := <-term
		quit(&ending{reason: "the supervisor got the signal " + sig.String()})
	}()

	s.control = control.NewServer(s.handle)
	hungUp := s.control.Go(conn)
	select {
	case s.startArgs = <-s.begin:
	case <-hungUp: // whoever started us was killed; the server has a deadline for the request
		return errors.New("no start request came")
	}

	s.startErr = s.bringUp(ctx)
	if s.startErr == nil {
		s.changing <- struct{}{} // from now on
		close(s.started)
		<-ctx.Done()
		<-s.changing // which ctx has ended, too
	}
	end, asked := context.Cause(ctx).(*ending) //nolint:errorlint // it is never wrapped
	if !asked {
		end = &ending{reason: s.startErr.Error(), keep: Failed}
	} else if s.startErr != nil {
		s.startErr = end
	}
	s.endErr = s.tearDown(end)
	if s.startErr != nil {
		close(s.started)
	}
	close(s.ended)
	s.control.Wait(farewellTimeout)
	return s.endErr
}

// bringUp makes the cluster. Whatever it has made when it fails, tearDown ends.
func (s *supervisor) bringUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Spec.Ready, ErrNotReady)
	defer cancel()
	if err := s.events.open(s.Place.events()); err != nil {
		return err
	}
	s.record = Record{
		Schema: recordSchema, ID: s.ID, State: Starting, Since: time.Now().UTC(), Spec: s.Spec, Supervisor: proc.Self(),
	}
	// First the record, so that everything after it can be found again.
	if err := s.update(nil); err != nil {
		return err
	}
	if err := s.writeSecrets(); err != nil {
		return err
	}
	var err error
	if s.guard, err = startGuardian(s.Binary, s.ID, s.lock, os.Stderr); err != nil {
		return err
	}
	go func() {
		<-s.guard.gone
		s.quit(&ending{reason: "the guardian process was killed; the nodes ended with it", keep: Dead})
	}()
	go s.watchFiles()
	if err := s.openDoors(ctx); err != nil {
		return err
	}
	if s.node, err = node.Start(node.Config{}); err != nil {
		return err
	}
	if err := s.update(func(r *Record) { r.Guardian = s.guard.id }); err != nil {
		return err
	}
	if err := s.build(ctx); err != nil {
		return err
	}
	if err := s.startNodes(ctx, s.all(), s.GoOn); err != nil {
		if !s.GoOn || s.up.Err() != nil {
			return err
		}
		s.partial = err
	}
	if err := s.update(func(r *Record) { r.State = Ready }); err != nil {
		return err
	}
	s.events.emit("", StageReady, "") // last: whoever reads it may read the record
	return nil
}

// cookieBytes of randomness make a cookie of twice as many characters.
const cookieBytes = 20

// writeSecrets makes the cookie and what the nodes need to read it.
func (s *supervisor) writeSecrets() error {
	b := make([]byte, cookieBytes)
	_, _ = rand.Read(b) // never fails
	secret := fmt.Sprintf("%x", b)
	s.cookie = dist.NewCookie(secret)
	if err := os.WriteFile(s.Place.cookie(), []byte(secret+"\n"), 0o600); err != nil {
		return fmt.Errorf("cookie: %w", err)
	}
	if err := os.WriteFile(s.Place.boot(), bootScript, 0o600); err != nil {
		return fmt.Errorf("boot script: %w", err)
	}
	if s.Spec.TLS != TLSAuto {
		return nil
	}
	var err error
	if s.signer, err = newAuthority(s.Place, s.Spec.Cluster); err != nil {
		return err
	}
	hosts := []string{"127.0.0.1", "::1", "localhost"} // a guest is on any of the hosts that there are here
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for i := range s.Spec.Nodes {
		if h := s.Spec.Nodes[i].host(); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return s.signer.issue(tlsUser, hosts...)
}

// openDoors opens the EPMD, with a door for each node and one for the user, and the control socket.
func (s *supervisor) openDoors(ctx context.Context) error {
	s.epmd = epmd.NewServer(epmd.Config{Hooks: epmd.Hooks{Admit: s.admit, Registered: s.registered, Gone: s.gone, Lookup: s.lookup}})
	user, err := s.epmd.Listen(fmt.Sprintf("127.0.0.1:%d", s.Spec.Port), "")
	if err != nil {
		return &checks.Finding{
			What: fmt.Sprintf("the EPMD of cluster %s cannot listen", s.Spec.Cluster), Saw: err.Error(),
			Fix: "leave out --epmd-port: any free port will do", Err: err,
		}
	}
	for i := range s.Spec.Nodes {
		if _, err := s.door(ctx, s.Spec.Nodes[i]); err != nil {
			return err
		}
	}
	if strings.Contains(s.members[0].listen, ":") {
		if _, err := s.epmd.Listen(v6Door(user.String()), ""); err != nil {
			return fmt.Errorf("EPMD: %w", err)
		}
	}
	socket, err := s.listen() //nolint:contextcheck // the control server outlives the start
	if err != nil {
		return err
	}
	optFile, err := s.Spec.userOptFile(s.Place)
	if err != nil {
		return err
	}
	flags := distFlags(s.members[0].listen, optFile)
	if err := s.update(func(r *Record) { r.EPMD, r.Socket, r.ERLFlags = user.String(), socket, flags }); err != nil {
		return err
	}
	return s.recordNodes()
}

// door makes a member of the spec, with a door of its own to the EPMD.
func (s *supervisor) door(ctx context.Context, n NodeSpec) (m *member, err error) {
	m = newMember(&n)
	if m.listen, err = resolve(ctx, m.spec.host()); err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	if m.epmd, err = s.listenAs(m, "127.0.0.1:0"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.closeDoor(m)
		}
	}()
	if strings.Contains(m.listen, ":") { // with IPv6 erl_epmd asks there
		if _, err := s.listenAs(m, v6Door(m.epmd)); err != nil {
			return nil, err
		}
	}
	if s.signer != nil {
		if err := s.signer.issue(m.short, n.host()); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	s.membersMu.Lock()
	defer s.membersMu.Unlock()
	s.members = append(slices.Clone(s.members), m)
	return m, nil
}

// listenAs opens the EPMD at addr for m.
func (s *supervisor) listenAs(m *member, addr string) (string, error) {
	at, err := s.epmd.Listen(addr, m.short)
	if err != nil {
		return "", fmt.Errorf("%s: EPMD: %w", m.name, err)
	}
	m.doors = append(m.doors, at)
	return at.String(), nil
}

// closeDoor leaves no port open for who is no member any more.
func (s *supervisor) closeDoor(m *member) {
	for _, at := range m.doors {
		s.epmd.Unlisten(at)
	}
}

// v6Door is where nodes with IPv6 look for the EPMD that others have at addr.
func v6Door(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return net.JoinHostPort("::1", port)
}

// listen opens the control socket and enters the cluster in the index. The directory may vanish in between, when
// another cluster was the last to leave it.
func (s *supervisor) listen() (socket string, err error) {
	for range 10 {
		var dir string
		if dir, err = makeRuntimeDir(socketLen(s.Spec.Cluster)); err != nil {
			return "", err
		}
		if err = writeIndex(dir, s.ID, s.Place); err != nil {
			continue
		}
		socket = filepath.Join(dir, s.ID+socketSuffix)
		if err = s.control.Listen(socket); err == nil {
			return socket, nil
		}
	}
	return "", err
}

// resolve returns the address of a node name's host part: IPv4, unless it has none.
func resolve(ctx context.Context, host string) (string, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		var err6 error
		if addrs, err6 = net.DefaultResolver.LookupNetIP(ctx, "ip6", host); err6 != nil {
			return "", err
		}
	}
	return addrs[0].Unmap().String(), nil
}

// filesEvery is how often the supervisor looks whether its state directory is still there: a stat.
const filesEvery = time.Second

// watchFiles ends the cluster when somebody removes its state directory, or the project with it: nobody could find it any more.
func (s *supervisor) watchFiles() {
	look := time.NewTicker(filesEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if !s.Place.lockedBy(s.lock) {
				s.quit(&ending{reason: errFilesGone.Error()})
				return
			}
		case <-s.up.Done():
			return
		}
	}
}

// errFilesGone: what is now in the place of the state directory, if anything, is another cluster's.
var errFilesGone = errors.New("its state directory was removed")

// update changes the record and writes it.
func (s *supervisor) update(change func(*Record)) error {
	s.recordMu.Lock()
	defer s.recordMu.Unlock()
	if change != nil {
		change(&s.record)
	}
	if !s.Place.lockedBy(s.lock) {
		return errFilesGone
	}
	return s.record.write(s.Place)
}
