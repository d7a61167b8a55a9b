package node

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"

	"github.com/beamctl/beamctl/dist"
)

// maxFreeNames bounds the names kept for reuse. Each costs every node that has met it an atom; a peer that connects
// again and again is to find one of them.
const maxFreeNames = 4096

// dynamicNames gives names to nodes that ask for one, and uses them again, each time with another creation, as
// net_kernel does.
type dynamicNames struct {
	mu    sync.Mutex
	inUse map[string]*granted
	free  map[string][]string // host → names
	count int                 // of free names
	last  map[string]uint32   // creation with which a free name was last used
}

// granted is a name in use. One that nobody has proven the cookie with is not worth keeping.
type granted struct {
	creation uint32
	proven   bool
}

// grant returns a name for a node on host.
func (d *dynamicNames) grant(host string) (name string, creation uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inUse == nil {
		d.inUse, d.free, d.last = map[string]*granted{}, map[string][]string{}, map[string]uint32{}
	}
	f := d.free[host]
	if len(f) > 0 {
		name = f[len(f)-1]
		d.count--
		if d.free[host] = f[:len(f)-1]; len(f) == 1 {
			delete(d.free, host)
		}
		if creation = d.last[name] + 1; creation == 0 { // which means any
			creation = 1
		}
		delete(d.last, name)
	} else {
		var b [12]byte
		if _, err := rand.Read(b[:]); err != nil {
			return "", 0, fmt.Errorf("dynamic name: %w", err)
		}
		name = strconv.FormatUint(binary.BigEndian.Uint64(b[:]), 36) + "@" + host
		creation = binary.BigEndian.Uint32(b[8:]) | 1<<8
	}
	d.inUse[name] = &granted{creation, len(f) > 0}
	return name, creation, nil
}

// prove says that who got the name has the cookie.
func (d *dynamicNames) prove(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := d.inUse[name]; g != nil {
		g.proven = true
	}
}

// release takes a name back from a node that has gone; other nodes' names are ignored.
func (d *dynamicNames) release(id dist.Identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.inUse[id.Name]
	if g == nil || g.creation != id.Creation {
		return
	}
	delete(d.inUse, id.Name)
	if g.proven && d.count < maxFreeNames {
		host := dist.Host(id.Name)
		d.free[host] = append(d.free[host], id.Name)
		d.last[id.Name] = g.creation
		d.count++
	}
}
