// Package control is the supervisor's API on a unix socket, server and client: one request per connection, as JSON
// lines, answered by any number of events and then one result or error.
//
//	→ {"v":1,"op":"stop","args":{…}}
//	← {"event":{…}}
//	← {"result":{…}}            or {"error":{"code":"…","message":"…"}}
//
// What the operations are and mean is the caller's. A client that hangs up withdraws its request. The version is that of
// this framing and of the operations' meaning: a server answers a request of a version that it doesn't know with
// the code "version" and its own, so that an older supervisor and a newer CLI can say what is the matter.
package control

import "encoding/json"

// Version is the version of the protocol that this package speaks.
const Version = 1

// maxLine bounds one request or answer: the environment and specification of 200 nodes stay far below.
const maxLine = 8 << 20

// Request asks the supervisor for one operation.
type Request struct {
	Version int             `json:"v"`
	Op      string          `json:"op"`
	Args    json.RawMessage `json:"args,omitempty"`
}

// answer is one line that comes back; exactly one field is set.
type answer struct {
	Event  json.RawMessage `json:"event,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Codes of Error that this package itself uses.
const (
	CodeVersion = "version" // the server doesn't know the request's version
	CodeUnknown = "unknown" // nor the operation
	CodeFailed  = "failed"  // the operation failed, and nothing more is known of how
)

// Error is an operation's failure as it crosses the socket.
type Error struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail,omitempty"` // what Code says it is
}

func (e *Error) Error() string { return e.Message }
