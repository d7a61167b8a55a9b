package epmd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Tags of requests and replies (erts/epmd/src/epmd.h).
const (
	opAlive     = 120 // ALIVE2_REQ
	opPort      = 122 // PORT_PLEASE2_REQ
	opNames     = 110
	opDump      = 100
	opKill      = 107
	opStop      = 115
	tagAliveX   = 118 // ALIVE2_X_RESP: 32 bits of creation
	tagAlive    = 121 // ALIVE2_RESP: 16 bits
	tagPort     = 119 // PORT2_RESP
	resultOK    = 0
	resultError = 1
)

const (
	// maxNameChars is what an Erlang atom can hold, and so a node name.
	maxNameChars = 255
	// maxNameBytes is MAXSYMLEN of epmd: 255 characters of at most 4 bytes of UTF-8.
	maxNameBytes = 4 * maxNameChars
	// maxExtra is what epmd takes as extra data: MAXSYMLEN too. No known node sends any.
	maxExtra = maxNameBytes
	// aliveHead is the fixed part of ALIVE2_REQ: tag, port, type, protocol, two versions, two lengths.
	aliveHead = 1 + 2 + 1 + 1 + 2 + 2 + 2 + 2
	// maxRequest is the longest request that can be valid: ALIVE2_REQ with the longest name and extra data.
	maxRequest = aliveHead + maxNameBytes + maxExtra
	// extendedVersion is the distribution version from which a node is told a creation of 32 bits.
	extendedVersion = 6
)

// What can be wrong with bytes. errShort is not an error of the peer's: more may come.
var (
	errShort = errors.New("incomplete")
	// ErrProtocol says that the peer sent what no EPMD sends.
	ErrProtocol = errors.New("not the EPMD protocol")
	// ErrBadName says that a name cannot be an alive name: empty, longer than 255 characters, not UTF-8, or with
	// control characters or an @ in it.
	ErrBadName = errors.New("bad node name")
)

// request is one request; which fields count depends on op.
type request struct {
	op   byte
	node Node   // opAlive
	name string // opPort, opStop
}

// checkName accepts what can be the alive part of a node name. Control characters would forge lines of a NAMES reply.
func checkName(name string) error {
	if name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxNameChars {
		return fmt.Errorf("%w: %d bytes", ErrBadName, len(name))
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '@' }); i >= 0 {
		return fmt.Errorf("%w: %q", ErrBadName, name)
	}
	return nil
}

// appendRequest appends r with its 2-byte length.
func appendRequest(dst []byte, r request) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0, 0, r.op)
	switch r.op {
	case opAlive:
		if err := checkName(r.node.Name); err != nil {
			return dst[:start], err
		}
		if len(r.node.Extra) > maxExtra {
			return dst[:start], fmt.Errorf("%d bytes of extra data, at most %d fit", len(r.node.Extra), maxExtra)
		}
		dst = appendNode(dst, r.node)
	case opPort, opStop:
		if err := checkName(r.name); err != nil {
			return dst[:start], err
		}
		dst = append(dst, r.name...)
	}
	binary.BigEndian.PutUint16(dst[start:], uint16(len(dst)-start-2)) //nolint:gosec // at most maxRequest
	return dst, nil
}

// parseRequest reads a request's body, without its length. The result does not alias b.
func parseRequest(b []byte) (request, error) {
	if len(b) == 0 {
		return request{}, fmt.Errorf("%w: empty request", ErrProtocol)
	}
	r := request{op: b[0]}
	var err error
	switch r.op {
	case opAlive:
		if r.node, err = parseNode(b[1:]); err != nil {
			return request{}, fmt.Errorf("%w: ALIVE2_REQ: %w", ErrProtocol, err)
		}
		if r.node.Name == "" || strings.Contains(r.node.Name, "\x00") { // any other bad name is answered: taken
			return request{}, fmt.Errorf("%w: ALIVE2_REQ: %w", ErrProtocol, ErrBadName)
		}
	case opPort, opStop:
		r.name = string(bytes.TrimSuffix(b[1:], []byte{0})) // a C node may count its NUL
		if err = checkName(r.name); err != nil {
			return request{}, err
		}
	case opNames, opDump, opKill:
	default:
		return request{}, fmt.Errorf("%w: request %d", ErrProtocol, r.op)
	}
	return r, nil
}

// appendNode appends what ALIVE2_REQ and PORT2_RESP have in common, from the port to the extra data.
func appendNode(dst []byte, n Node) []byte {
	dst = binary.BigEndian.AppendUint16(dst, n.Port)
	dst = append(dst, byte(n.Type), n.Protocol)
	dst = binary.BigEndian.AppendUint16(dst, n.HighestVersion)
	dst = binary.BigEndian.AppendUint16(dst, n.LowestVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(n.Name))) //nolint:gosec // checkName
	dst = append(dst, n.Name...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(n.Extra))) //nolint:gosec // maxExtra
	return append(dst, n.Extra...)
}

// parseNode is appendNode's inverse. Like epmd it ignores what comes after the extra data (old nodes ended the request
// with a NUL). What b may hold is bounded by maxRequest and maxReply; whether the name can be one is not its question.
func parseNode(b []byte) (Node, error) {
	const head = aliveHead - 1 - 2 // to the name: without the tag and the length of the extra data
	if len(b) < head {
		return Node{}, errShort
	}
	n := Node{
		Port: binary.BigEndian.Uint16(b), Type: NodeType(b[2]), Protocol: b[3],
		HighestVersion: binary.BigEndian.Uint16(b[4:]), LowestVersion: binary.BigEndian.Uint16(b[6:]),
	}
	end := head + int(binary.BigEndian.Uint16(b[8:]))
	if len(b) < end+2 {
		return Node{}, errShort
	}
	n.Name = string(b[head:end])
	extra := int(binary.BigEndian.Uint16(b[end:]))
	end += 2
	if len(b) < end+extra {
		return Node{}, errShort
	}
	if extra > 0 {
		n.Extra = slices.Clone(b[end : end+extra])
	}
	return n, nil
}

// aliveReply is the answer to a registration; creation 0 stands for a refusal.
func aliveReply(version uint16, creation uint32) []byte {
	result := byte(resultOK)
	if creation == 0 {
		result, creation = resultError, 99 // epmd's number; nobody reads it
	}
	if version >= extendedVersion {
		return binary.BigEndian.AppendUint32([]byte{tagAliveX, result}, creation)
	}
	return binary.BigEndian.AppendUint16([]byte{tagAlive, result}, uint16(creation)) //nolint:gosec // 1..3 or 99
}

// parseAliveReply returns the creation, ErrNameTaken, or errShort.
func parseAliveReply(b []byte) (uint32, error) {
	if len(b) == 0 {
		return 0, errShort
	}
	want := 6
	switch b[0] {
	case tagAliveX:
	case tagAlive:
		want = 4
	default:
		return 0, fmt.Errorf("%w: reply %d to ALIVE2_REQ", ErrProtocol, b[0])
	}
	switch {
	case len(b) < want:
		return 0, errShort
	case b[1] != resultOK:
		return 0, ErrNameTaken
	case want == 4:
		return uint32(binary.BigEndian.Uint16(b[2:])), nil
	default:
		return binary.BigEndian.Uint32(b[2:]), nil
	}
}

// appendPortReply appends the answer to a lookup that found n.
func appendPortReply(dst []byte, n Node) []byte {
	return appendNode(append(dst, tagPort, resultOK), n)
}

// parsePortReply returns the node, ErrNotRegistered, or errShort.
func parsePortReply(b []byte) (Node, error) {
	switch {
	case len(b) < 2:
		return Node{}, errShort
	case b[0] != tagPort:
		return Node{}, fmt.Errorf("%w: reply %d to PORT_PLEASE2_REQ", ErrProtocol, b[0])
	case b[1] != resultOK:
		return Node{}, ErrNotRegistered
	}
	return parseNode(b[2:])
}

// appendNamesLine appends one line of a NAMES reply.
func appendNamesLine(dst []byte, n Node) []byte {
	dst = append(append(dst, "name "...), n.Name...)
	dst = strconv.AppendUint(append(dst, " at port "...), uint64(n.Port), 10)
	return append(dst, '\n')
}

// parseNames reads a whole NAMES reply.
func parseNames(b []byte) ([]NamePort, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	var names []NamePort
	for line := range bytes.Lines(b[4:]) {
		s, whole := strings.CutSuffix(string(line), "\n")
		s, named := strings.CutPrefix(s, "name ")
		at := strings.LastIndex(s, " at port ") // the last: a name may hold anything
		if !whole || !named || at < 0 {
			return nil, fmt.Errorf("%w: %.300q in the NAMES reply", ErrProtocol, line)
		}
		port, err := strconv.ParseUint(s[at+len(" at port "):], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%w: %.300q in the NAMES reply", ErrProtocol, line)
		}
		names = append(names, NamePort{Name: s[:at], Port: uint16(port)})
	}
	return names, nil
}

// appendDumpLine appends one line of a DUMP reply, with the NUL that epmd sends after each.
func appendDumpLine(dst []byte, d DumpEntry) []byte {
	if d.Active {
		return fmt.Appendf(dst, "active name     <%s> at port %d, fd = %d\n\x00", d.Name, d.Port, d.FD)
	}
	return fmt.Appendf(dst, "old/unused name <%s>, port = %d, fd = %d \n\x00", d.Name, d.Port, d.FD)
}

// parseDump reads a whole DUMP reply.
func parseDump(b []byte) ([]DumpEntry, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	var entries []DumpEntry
	for line := range bytes.SplitAfterSeq(b[4:], []byte{0}) {
		if len(line) == 0 {
			break // after the last NUL
		}
		d, ok := parseDumpLine(string(line))
		if !ok {
			return nil, fmt.Errorf("%w: %.300q in the DUMP reply", ErrProtocol, line)
		}
		entries = append(entries, d)
	}
	return entries, nil
}

func parseDumpLine(s string) (DumpEntry, bool) {
	var d DumpEntry
	s, whole := strings.CutSuffix(s, "\n\x00")
	s, d.Active = strings.CutPrefix(s, "active name     <")
	sep := "> at port "
	if !d.Active {
		var old bool
		if s, old = strings.CutPrefix(s, "old/unused name <"); !old {
			return d, false
		}
		sep = ">, port = "
	}
	at := strings.LastIndex(s, sep)
	if !whole || at < 0 {
		return d, false
	}
	d.Name = s[:at]
	port, fd, ok := strings.Cut(strings.TrimSuffix(s[at+len(sep):], " "), ", fd = ")
	p, err := strconv.ParseUint(port, 10, 16)
	f, err2 := strconv.ParseInt(fd, 10, 32)
	d.Port, d.FD = uint16(p), int(f)
	return d, ok && err == nil && err2 == nil
}
