// Package control is the supervisor's API on a unix socket, server and client.
package control
