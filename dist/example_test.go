package dist_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/beamctl/beamctl/dist"
	"github.com/beamctl/beamctl/dist/etf"
)

// printer is a Receiver that prints what it gets.
type printer struct{ got chan struct{} }

func (p printer) Receive(_ *dist.Conn, ctl *dist.Control, payload []byte) error {
	message, _, err := etf.Decode(payload)
	fmt.Printf("to %s: %s\n", etf.Format(ctl.To), etf.Format(message))
	close(p.got)
	return err
}

func (printer) Closed(*dist.Conn, error) {}

// Both ends of a connection, which for once are in one program: a node that lets everybody in who has the cookie, and one that sends it a message.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cookie := dist.NewCookie("chocolate")
	ours, theirs := net.Pipe()

	inbox := printer{make(chan struct{})}
	go func() {
		_, err := dist.Accept(ctx, theirs, dist.Config{
			Local:  dist.Identity{Name: "b@127.0.0.1", Creation: 2, Flags: dist.Hidden},
			Cookie: cookie, Receiver: inbox,
		}, func(dist.Identity) dist.Admission { return dist.Admission{Status: dist.StatusOK} })
		if err != nil {
			log.Print(err)
		}
	}()

	conn, err := dist.Dial(ctx, ours, dist.Config{
		Local: dist.Identity{Name: "a@127.0.0.1", Creation: 1, Flags: dist.Hidden},
		Peer:  "b@127.0.0.1", Cookie: cookie, Receiver: printer{},
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer conn.Close()
	fmt.Println("connected with", conn.Peer().Name)

	message, err := etf.Append(nil, etf.Tuple{etf.Atom("hello"), []byte("world")})
	if err != nil {
		log.Print(err)
		return
	}
	self := etf.Pid{Node: "a@127.0.0.1", ID: 1, Creation: 1}
	if err := conn.Send(ctx, &dist.Control{Op: dist.OpRegSend, From: self, To: etf.Atom("inbox")}, message); err != nil {
		log.Print(err)
		return
	}
	<-inbox.got
	// Output:
	// connected with b@127.0.0.1
	// to inbox: {hello,<<"world">>}
}
