package launcher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/beamctl/beamctl/launcher/internal/proc"
)

const (
	// termTimeout is what a node gets between SIGTERM, at which a BEAM stops as by init:stop, and SIGKILL.
	termTimeout = 3 * time.Second
	// killTimeout bounds the wait for the guardian to have killed the rest.
	killTimeout = endTimeout + time.Second
)

// tearDown ends everything that bringUp has made, as far as it got: the nodes politely, what they left with SIGKILL,
// then doors and files. It goes on after an error and returns all of them.
func (s *supervisor) tearDown(end *ending) error {
	s.events.emit("", StageStopping, end.reason)
	s.wg.Wait() // restarts by policy: the reason for the end has ended them
	var errs []error
	if s.guard != nil {
		s.stopNodes(s.all())
		ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
		_ = s.guard.end(ctx) // whatever it says, or if it hangs: what counts is what is left
		cancel()
		ctx, cancel = context.WithTimeout(context.Background(), killTimeout)
		errs = append(errs, s.killRest(ctx))
		cancel()
		select {
		case <-s.guard.gone: // having told of each node's end
			s.told.Wait()
		case <-time.After(newsTimeout):
		}
	}
	if s.node != nil {
		errs = append(errs, s.node.Close())
	}
	if s.epmd != nil {
		errs = append(errs, s.epmd.Close())
	}
	s.events.emit("", StageStopped, "")
	s.events.close()
	switch {
	case !s.Place.lockedBy(s.lock):
		if _, err := os.Stat(s.Place.lock()); errors.Is(err, fs.ErrNotExist) { // nobody else's: what was made anew in a start
			errs = append(errs, s.Place.remove())
		}
		errs = append(errs, removeIndex(s.ID))
	case end.keep != "":
		errs = append(errs, s.update(func(r *Record) { r.State = end.keep; r.Failure = end.reason }), s.Place.removeSecrets())
	default:
		errs = append(errs, s.Place.remove(), removeIndex(s.ID))
	}
	return errors.Join(errs...)
}

// stopNodes asks nodes to stop, all at once, and those that don't with growing insistence.
func (s *supervisor) stopNodes(members []*member) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, m := range members {
		l := m.now()
		l.asked.Store(true)
		if !l.runs() {
			continue
		}
		wg.Go(func() {
			// Its applications haven't started yet, and there is nothing to be polite about; or it stands still, and hears nothing.
			if !closed(l.joined) || proc.Stopped(m.process(l).Pid) {
				s.guard.signal(m.short, syscall.SIGKILL)
				return
			}
			if s.askToStop(m, l) && s.ends(m, l, s.Spec.Stop) {
				return
			}
			s.guard.signal(m.short, syscall.SIGTERM)
			if !s.ends(m, l, termTimeout) {
				s.events.emit(m.name, StageStopping, "it took SIGKILL")
				s.guard.signal(m.short, syscall.SIGKILL)
			}
		})
	}
}

// askToStop calls init:stop, for which a node that is busy has as much time as for stopping; true if it has heard it, or is gone already.
func (s *supervisor) askToStop(m *member, l *life) bool {
	if s.ends(m, l, 0) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Spec.Stop)
	defer cancel()
	_, err := s.node.Call(ctx, m.name, "init", "stop")
	return err == nil
}

// aliveEvery is how often a process is looked at whose end the guardian should tell: it may hang.
const aliveEvery = 100 * time.Millisecond

// ends tells whether a node's process ends within d. Nobody can tell without a guardian, who then needs no waiting for.
func (s *supervisor) ends(m *member, l *life, d time.Duration) bool {
	deadline := time.After(d)
	look := time.NewTicker(aliveEvery)
	defer look.Stop()
	for {
		select {
		case <-l.exited:
			return true
		case <-s.guard.gone:
			return true
		case <-look.C:
			if id := m.process(l); id.Pid != 0 && !id.Alive() {
				return true
			}
		case <-deadline:
			return false
		}
	}
}

// killRest ends what the guardian left: our own descendants, if it was killed and they fell to us, and whatever else
// carries the cluster's marker.
func (s *supervisor) killRest(ctx context.Context) error {
	if err := killFamily(ctx); err != nil {
		return err
	}
	return killMarked(ctx, s.ID)
}

// killMarked ends every process that carries the marker of cluster id, but for this one.
func killMarked(ctx context.Context, id string) error {
	return proc.KillAll(ctx, func() ([]proc.ID, error) { return marked(id) })
}

// marked returns the living processes that carry the marker of cluster id, but for this one.
func marked(id string) ([]proc.ID, error) {
	all, err := proc.Marked(MarkerEnv)
	if err != nil {
		return nil, err
	}
	var out []proc.ID
	for _, p := range all[id] {
		if p.Pid != os.Getpid() {
			out = append(out, p)
		}
	}
	return out, nil
}
