// Package launcher runs clusters as OS processes: spec, ports, supervisor, runtimes, logs, state.
package launcher
