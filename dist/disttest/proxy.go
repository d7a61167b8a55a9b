package disttest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// RecordingProxy passes one connection on to a node's distribution port and records it.
type RecordingProxy struct {
	Addr string // where to connect to instead

	ln   net.Listener
	over sync.WaitGroup
	mu   sync.Mutex
	rec  *Recorder
}

// StartRecordingProxy listens on loopback until the end of the test.
func StartRecordingProxy(t testing.TB, target, title string) *RecordingProxy {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("disttest: %v", err)
	}
	p := &RecordingProxy{Addr: ln.Addr().String(), ln: ln}
	p.over.Go(func() { p.serve(target, title) })
	t.Cleanup(func() {
		_ = ln.Close()
		p.mu.Lock()
		if p.rec != nil {
			_ = p.rec.Close()
		}
		p.mu.Unlock()
		p.over.Wait()
	})
	return p
}

// Trace returns what has been said so far, nil if nobody has connected.
func (p *RecordingProxy) Trace() *Trace {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rec == nil {
		return nil
	}
	return p.rec.Trace()
}

func (p *RecordingProxy) serve(target, title string) {
	in, err := p.ln.Accept()
	if err != nil {
		return
	}
	defer in.Close()
	nc, err := net.Dial("tcp", target) //nolint:noctx // on loopback, by a test
	if err != nil {
		return // who connected sees it
	}
	rec := Record(nc, title)
	p.mu.Lock()
	p.rec = rec
	p.mu.Unlock()
	p.over.Go(func() {
		_, _ = io.Copy(in, readerOnly{rec}) // or Copy would go past Read
		_ = in.Close()
	})
	_, _ = io.Copy(writerOnly{rec}, in)
	_ = rec.Close()
}

type (
	readerOnly struct{ io.Reader }
	writerOnly struct{ io.Writer }
)
