// Package checks knows what "ready to start" and "healthy" mean: preflight, readiness, the health
// matrix. It takes targets (name, address, cookie), never a launcher type.
package checks
