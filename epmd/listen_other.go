//go:build !linux

package epmd

import "net"

func newAcceptor(_ *Server, l *net.TCPListener, _ string) (acceptor, error) {
	return &plainAcceptor{l}, nil
}
