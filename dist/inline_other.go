//go:build !linux && !darwin

package dist

import "net"

// inline is for systems whose gathering write Go gives us: on the others all is queued.
type inline struct{}

func newInline(net.Conn) *inline { return nil }

func (*inline) write(_, _ []byte) (int, error) { return 0, nil }
