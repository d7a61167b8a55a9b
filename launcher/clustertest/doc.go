// Package clustertest starts real clusters inside go test, as httptest does servers.
package clustertest
