// Package disttest is the test kit for the wire: a scripted peer, a faulty net.Conn and golden traces.
package disttest
