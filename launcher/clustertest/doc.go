// Package clustertest starts real clusters inside go test, as httptest does servers.
//
//	func TestMain(m *testing.M) {
//		clustertest.Init()
//		os.Exit(m.Run())
//	}
//
//	func TestReplication(t *testing.T) {
//		c := clustertest.Start(t, "../examples/erlang-kv")
//		_, err := c.Node.Call(t.Context(), c.Names[0], "kv", "put", etf.Atom("k"), 1)
//		…
//	}
package clustertest
