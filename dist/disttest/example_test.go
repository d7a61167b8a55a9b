package disttest_test

import (
	"fmt"
	"log"

	"github.com/beamctl/beamctl/dist/disttest"
)

// A recorded session is text that people read, and that a test plays again byte for byte.
func ExampleParseTrace() {
	trace, err := disttest.ParseTrace(`
# a node says hello to the process inbox
< status    736f6b
> message   83440068046106586400036140620000000100000000000000056400007705696e626f78770568656c6c6f
< tick
`)
	if err != nil {
		log.Print(err)
		return
	}
	for _, m := range trace.Messages {
		fmt.Println(m.Out, m.Kind, m.Text())
	}
	// Output:
	// false status sok
	// true message {6,<a@b.1.0>,'',inbox} hello
	// false tick
}
